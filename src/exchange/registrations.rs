//! OpenCRVS as configured, checked: where registrations go, whose tokens are taken, what `/verify` asks with.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    clock::Moment,
    config::{self, Config, Envelope, FaceKind, HandlerKind, Report},
    envelope::{bearer::TokenKeys, forms, json as strict},
    keys::{self, Secret},
    policy::{Route, path::Segment},
    store::{Count, Standing},
};

/// The kind of errand that a registration is.
pub const REGISTRATION: &str = "opencrvs";
/// The step in which a registration waits for its credential.
pub const WAITING: &str = "workflow-started";

const SCHEMA_MAX: usize = 1 << 20;

/// What a route of handler `opencrvs` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrvsOperation {
    /// `/events/registration`
    Register,
    /// `/verify`
    Verify,
    /// `/esignet/get-oidp-user-info`
    UserInfo,
}

impl CrvsOperation {
    /// What a route does, by the last words of its path.
    pub fn of(route: &Route) -> Option<Self> {
        let words: Vec<&str> = (route.path().segments().iter())
            .map(|segment| match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Capture(_) => "",
            })
            .collect();
        match words.as_slice() {
            [.., "events", "registration"] => Some(Self::Register),
            [.., "verify"] => Some(Self::Verify),
            [.., "esignet", "get-oidp-user-info"] => Some(Self::UserInfo),
            _ => None,
        }
    }
}

/// OpenCRVS as configured.
#[derive(Debug)]
pub struct Registrations {
    raw: config::OpenCrvs,
    schema: Option<String>,
    keys: Option<TokenKeys>,
    pins: Vec<[u8; 32]>,
    misp_lk: Option<Secret>,
    api_key: Option<Secret>,
}

impl Registrations {
    /// Checks the section and the routes that need it.
    pub(super) fn build(config: &Config, report: &mut Report<'_>) -> Option<Self> {
        routes(config, report);
        let raw = config.opencrvs.as_ref()?;
        let mut here = report.within("opencrvs");
        if config.store.is_none() {
            here.error(
                "",
                "registrations must outlive a crash, but there is no [store]",
                "Add [store].",
            );
        }
        let known: Vec<&str> = config.upstream.iter().map(|u| u.name.as_str()).collect();
        let mut upstream = |field: &str, name: &str| {
            if !known.contains(&name) {
                let what = format!("there is no upstream `{name}`");
                here.error(field, what, config::spelling::remedy(name, &known));
            }
        };
        upstream("upstream", &raw.upstream);
        upstream("core", &raw.core);
        if let Some(name) = &raw.token.upstream {
            upstream("token.upstream", name);
        }
        if !matches!(raw.envelope, Envelope::Jose | Envelope::InsecurePlain) {
            here.error(
                "envelope",
                "packets are sealed with jose, or not at all",
                "Use jose.",
            );
        }
        words(raw, &mut here);
        let schema = raw.schema.as_ref().map(|path| schema(path, &mut here));
        let (keys, pins) = token(&raw.token, &mut here.within("token"));
        let mut secret = |field: &str, raw: &config::SecretRef| {
            let mut at = here.within("verify");
            let mut at = at.within(field);
            let secret = keys::read_secret(raw, &mut at)?;
            let fits = (secret.expose_text()).is_some_and(|t| {
                t.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            });
            if !fits {
                at.error(
                    "",
                    "the key does not fit into a path",
                    "Use letters, digits, `_`, `.` and `-` only.",
                );
            }
            Some(secret)
        };
        let (misp_lk, api_key) = match &raw.verify {
            None => (None, None),
            Some(verify) => (
                secret("misp_lk", &verify.misp_lk),
                secret("api_key", &verify.api_key),
            ),
        };
        Some(Self {
            raw: raw.clone(),
            schema: schema.flatten(),
            keys,
            pins,
            misp_lk,
            api_key,
        })
    }

    /// The section as written.
    pub const fn settings(&self) -> &config::OpenCrvs {
        &self.raw
    }

    /// The identity schema for registrations that bring none, where one is configured.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The keys of the tokens' issuer, where they are in a file.
    pub const fn keys(&self) -> Option<&TokenKeys> {
        self.keys.as_ref()
    }

    /// The keys that may be published; empty for any.
    pub fn pins(&self) -> &[[u8; 32]] {
        &self.pins
    }

    /// The licence key and the API key of `/verify`.
    pub fn ida_keys(&self) -> Option<(&str, &str)> {
        let misp_lk = self.misp_lk.as_ref()?.expose_text()?;
        Some((misp_lk, self.api_key.as_ref()?.expose_text()?))
    }

    /// Registrations that wait for their credential longer than they should.
    pub(super) fn finding(&self, counts: &[Count], now: Moment) -> Option<Value> {
        let due_s = i64::try_from(self.raw.credential_due_s).unwrap_or(i64::MAX);
        let late = counts.iter().find(|count| {
            count.kind == REGISTRATION
                && count.standing == Standing::Open
                && count.step == WAITING
                && now.since_ms(count.oldest) / 1000 > due_s
        })?;
        let days = now.since_ms(late.oldest) / 86_400_000;
        Some(json!({
            "what": format!(
                "a registration has waited for its credential for {days} days; MOSIP tells nobody of its failures: look there (triseal transactions list --step {WAITING})"
            ),
            "waiting": late.number,
        }))
    }
}

/// Routes of the handler: known paths, and the section each of them needs.
fn routes(config: &Config, report: &mut Report<'_>) {
    let section = config.opencrvs.as_ref();
    for (i, route) in config.route.iter().enumerate() {
        if route.handler != HandlerKind::OpenCrvs {
            continue;
        }
        let mut here = report.within(format!("route[{i}]"));
        let missing = |here: &mut Report<'_>, what: &str| {
            here.error(
                "handler",
                format!("the route needs [{what}]"),
                "Add that section.",
            );
        };
        let Some(section) = section else {
            missing(&mut here, "opencrvs");
            continue;
        };
        if route.from.face != FaceKind::Service || route.from.envelope != Envelope::InsecurePlain {
            here.error(
                "from",
                "OpenCRVS is a service and seals nothing",
                "Use from = { face = \"service\", envelope = \"insecure_plain\" }.",
            );
        }
        if route.to.is_some() {
            here.error("to", "where it goes is in [opencrvs]", "Remove it.");
        }
        if route.path.ends_with("/esignet/get-oidp-user-info") {
            if section.esignet.is_none() || config.esignet.is_none() {
                missing(&mut here, "opencrvs.esignet] and [esignet");
            }
            if !route.query {
                here.error(
                    "query",
                    "the code of a login comes in the query",
                    "Set query = true.",
                );
            }
        } else if route.path.ends_with("/verify") {
            if section.verify.is_none() {
                missing(&mut here, "opencrvs.verify");
            }
        } else if !route.path.ends_with("/events/registration") {
            here.error(
                "path",
                "the path is none of the middleware's",
                "End it with /events/registration, /verify or /esignet/get-oidp-user-info.",
            );
        }
    }
}

/// Words that travel in ids and keys.
fn words(raw: &config::OpenCrvs, report: &mut Report<'_>) {
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && (text.bytes()).all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    for (field, text) in [
        ("source", &raw.source),
        ("birth_process", &raw.birth_process),
        ("death_process", &raw.death_process),
        ("center_id", &raw.center_id),
        ("machine_id", &raw.machine_id),
        ("transaction_prefix", &raw.transaction_prefix),
        ("credential_member", &raw.credential_member),
    ] {
        if !word(text) {
            report.error(
                field,
                "this is no word of 1 to 64 letters, digits, `-` and `_`",
                "Correct it.",
            );
        }
    }
    if raw.schema_version.parse::<f64>().is_err() {
        report.error("schema_version", "this is no number", "Write it as 0.100.");
    }
    if raw.attempts_max == 0 {
        report.error(
            "attempts_max",
            "nothing would ever be tried",
            "Leave it out.",
        );
    }
    for (field, scopes) in [
        ("token.scopes", Some(&raw.token.scopes)),
        ("token.audiences", Some(&raw.token.audiences)),
        ("verify.scopes", raw.verify.as_ref().map(|v| &v.scopes)),
        ("esignet.scopes", raw.esignet.as_ref().map(|e| &e.scopes)),
    ] {
        if scopes.is_some_and(Vec::is_empty) {
            report.error(
                field,
                "nobody is admitted where nothing is listed",
                "List at least one.",
            );
        }
    }
    let origin = raw.client_origin.as_deref();
    let is_origin = |text: &str| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '*', ' ', ',']))
    };
    if origin.is_some_and(|text| !is_origin(text)) {
        report.error(
            "client_origin",
            "this is no origin",
            "Write scheme, host and port only, such as https://register.example.",
        );
    }
}

fn schema(path: &Path, report: &mut Report<'_>) -> Option<String> {
    let file = report.resolve(path);
    let text = match read_text(&file) {
        Ok(text) => text,
        Err(why) => {
            report.error("schema", why, "Check the path.");
            return None;
        }
    };
    let properties = strict::object(text.as_bytes(), SCHEMA_MAX)
        .ok()
        .and_then(|schema| {
            let properties = schema
                .get("properties")?
                .get("identity")?
                .get("properties")?;
            properties.is_object().then_some(())
        });
    if properties.is_none() {
        report.error(
            "schema",
            "this is no identity schema: it has no properties.identity.properties",
            "Take the schema that MOSIP publishes.",
        );
    }
    Some(text)
}

fn read_text(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_or(0, |about| about.len());
    if size > SCHEMA_MAX as u64 {
        return Err(format!("{} is too large", file.display()));
    }
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn token(
    raw: &config::OpenCrvsToken,
    report: &mut Report<'_>,
) -> (Option<TokenKeys>, Vec<[u8; 32]>) {
    let mut pins = Vec::new();
    for (i, pin) in raw.pins.iter().enumerate() {
        match forms::unhex(pin).and_then(|bytes| bytes.try_into().ok()) {
            Some(pin) => pins.push(pin),
            None => report.error(
                &format!("pins[{i}]"),
                "this is no SHA-256 in hex",
                "Make it: openssl pkey -pubin -in KEY -outform DER | sha256sum.",
            ),
        }
    }
    if raw.refresh_s == 0 {
        report.error("refresh_s", "no time at all", "Leave it out for 5 minutes.");
    }
    let keys = match (&raw.upstream, &raw.public_key) {
        (Some(_), None) => None,
        (None, Some(path)) => {
            let file = report.resolve(path);
            let keys = read_text(&file)
                .and_then(|text| {
                    TokenKeys::parse(text.as_bytes(), &pins).map_err(|why| why.to_string())
                })
                .map_err(|why| {
                    report.error("public_key", why, "Name the key of OpenCRVS' auth service.")
                });
            keys.ok()
        }
        _ => {
            report.error(
                "",
                "the key of the tokens' issuer has exactly one source",
                "Give `upstream` or `public_key`, and only one of them.",
            );
            None
        }
    };
    (keys, pins)
}
