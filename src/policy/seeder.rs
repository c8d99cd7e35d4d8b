//! What may be asked of the token seeder: jq programs and callback targets from lists, nothing else.
//!
//! A callback goes to the upstream of a declared target. The address in a request is only compared with the declared one, as
//! text; it is never resolved, parsed leniently or connected to. So it does not matter in how many ways an address inside
//! the network can be written.

use http::Method;

use super::PathPattern;
use crate::{
    config::{self, CallbackLogin, Envelope, Report, spelling},
    refusal::{Code, Refusal},
};

/// The longest address or program that is compared.
const LONGEST: usize = 8 << 10;
/// The most segments of a path.
const SEGMENTS: usize = 16;

/// The lists.
#[derive(Debug)]
pub struct SeederPolicy {
    raw: config::TokenSeeder,
    targets: Vec<CallbackTarget>,
}

/// A place where callbacks may go.
#[derive(Debug)]
pub struct CallbackTarget {
    raw: config::CallbackTarget,
    paths: Vec<PathPattern>,
    methods: Vec<Method>,
}

impl CallbackTarget {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.raw.name
    }

    /// The upstream that is called.
    pub fn upstream(&self) -> &str {
        &self.raw.upstream
    }

    /// How the callback is sealed.
    pub const fn envelope(&self) -> Envelope {
        self.raw.envelope
    }

    /// How callers log in there.
    pub const fn login(&self) -> CallbackLogin {
        self.raw.login
    }

    /// The path of the login.
    pub fn login_path(&self) -> &str {
        self.raw.login_path.as_deref().unwrap_or_default()
    }

    /// The address of the login, as callers must write it.
    pub fn login_address(&self) -> String {
        format!("{}{}", self.raw.address, self.login_path())
    }

    /// Whether a method may be used.
    pub fn takes(&self, method: &str) -> Option<&Method> {
        self.methods.iter().find(|m| m.as_str() == method)
    }

    /// The path of an address, when it is one of ours.
    fn path<'u>(&self, url: &'u str) -> Option<&'u str> {
        let path = url.strip_prefix(self.raw.address.as_str())?;
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let plain = |segment: &&str| {
            !segment.is_empty()
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && !segment.bytes().all(|b| b == b'.')
        };
        if segments.len() > SEGMENTS || !segments.iter().all(plain) {
            return None;
        }
        self.paths
            .iter()
            .any(|pattern| pattern.matches(&segments).is_some())
            .then_some(path)
    }
}

impl SeederPolicy {
    /// Reads the section, where there is one.
    pub fn build(
        raw: Option<&config::TokenSeeder>,
        stored: bool,
        upstream_names: &[&str],
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let raw = raw?;
        if !stored {
            report.error(
                "",
                "callbacks must not be lost, but there is no [store]",
                "Add [store] with a url and a key.",
            );
        }
        if let Some(base) = &raw.callback_base
            && (origin_of(base).is_none() || base.ends_with('/'))
        {
            report.error(
                "callback_base",
                "this is no base for addresses",
                "Write scheme, host, port and path, without a slash at the end.",
            );
        }
        if raw.callback_base.is_none() && !raw.target.is_empty() {
            report.error(
                "callback_base",
                "callbacks have targets, but there is no address for them to come to",
                "Say under which address the token seeder reaches us.",
            );
        }
        if raw.attempts == 0 || raw.keep_hours == 0 {
            report.error(
                "attempts",
                "nothing would ever be delivered",
                "attempts and keep_hours are at least 1.",
            );
        }
        let mut targets = Vec::new();
        for (i, target) in raw.target.iter().enumerate() {
            let mut here = report.within(format!("target[{i}]"));
            if raw.target.iter().take(i).any(|t| t.name == target.name) {
                here.error(
                    "name",
                    format!("`{}` stands twice", target.name),
                    "Give each target its own name.",
                );
            }
            targets.push(CallbackTarget::build(target, upstream_names, &mut here));
        }
        Some(Self {
            raw: raw.clone(),
            targets,
        })
    }

    /// The address at which callbacks come to us.
    pub fn callback_base(&self) -> Option<&str> {
        self.raw.callback_base.as_deref()
    }

    /// How often a delivery is tried.
    pub const fn attempts(&self) -> u32 {
        self.raw.attempts
    }

    /// How long callbacks are waited for.
    pub fn keep_ms(&self) -> i64 {
        i64::from(self.raw.keep_hours).saturating_mul(3_600_000)
    }

    /// A target by name.
    pub fn target(&self, name: &str) -> Option<&CallbackTarget> {
        self.targets.iter().find(|t| t.raw.name == name)
    }

    /// Whether `outputFormat` may be this.
    ///
    /// # Errors
    /// `SEED-002` when it is not on the list.
    pub fn program(&self, text: &str) -> Result<(), Refusal> {
        let listed = text == ".output" || self.raw.programs.iter().any(|p| p == text);
        allowed(listed, "outputFormat is not on the list of programs")
    }

    /// Whether a member of `mapping` may be this.
    ///
    /// # Errors
    /// `SEED-002` when it is neither a plain name nor on the list.
    pub fn mapping(&self, text: &str) -> Result<(), Refusal> {
        let listed = is_field(text) || self.raw.mappings.iter().any(|m| m == text);
        allowed(listed, "a mapping is neither a plain field nor on the list")
    }

    /// Whether forms may be fetched from there.
    ///
    /// # Errors
    /// `SEED-003` when it is not on the list.
    pub fn odk(&self, address: &str) -> Result<(), Refusal> {
        if self.raw.odk.iter().any(|listed| listed == address) {
            return Ok(());
        }
        Err(callback_refused("the ODK address", address))
    }

    /// The target of an address, with the path to call there.
    ///
    /// # Errors
    /// `SEED-003` when the caller has no such target.
    pub fn callback<'s, 'u>(
        &'s self,
        caller: &str,
        url: &'u str,
    ) -> Result<(&'s CallbackTarget, &'u str), Refusal> {
        if url.len() > LONGEST {
            return Err(callback_refused("the callback address", "too long"));
        }
        self.targets
            .iter()
            .filter(|target| target.raw.callers.iter().any(|id| id == caller))
            .find_map(|target| Some((target, target.path(url)?)))
            .ok_or_else(|| callback_refused("the callback address", url))
    }
}

impl CallbackTarget {
    fn build(
        raw: &config::CallbackTarget,
        upstream_names: &[&str],
        report: &mut Report<'_>,
    ) -> Self {
        if origin_of(&raw.address) != Some("") {
            report.error(
                "address",
                format!("`{}` is not scheme, host and port", raw.address),
                "Write it in lower case and without a path, such as http://odoo.example:8069.",
            );
        }
        if !upstream_names.contains(&raw.upstream.as_str()) {
            report.error(
                "upstream",
                format!("there is no upstream `{}`", raw.upstream),
                spelling::remedy(&raw.upstream, upstream_names),
            );
        }
        if !matches!(raw.envelope, Envelope::Jose | Envelope::InsecurePlain) {
            report.error(
                "envelope",
                "a callback cannot be sealed like that",
                "Use jose, or insecure_plain towards a service of your own.",
            );
        }
        let logs_in = matches!(raw.login, CallbackLogin::Odoo | CallbackLogin::Oauth);
        if logs_in
            != raw
                .login_path
                .as_deref()
                .is_some_and(|p| p.starts_with('/'))
        {
            report.error(
                "login_path",
                "login and login_path do not fit",
                "odoo and oauth need the path of the login, the others have none.",
            );
        }
        if raw.login != CallbackLogin::None && raw.envelope == Envelope::Jose {
            report.error(
                "login",
                "credentials of a service never leave its own gateway",
                "Towards a partner's gateway use login = \"none\".",
            );
        }
        for (field, empty) in [
            ("callers", raw.callers.is_empty()),
            ("paths", raw.paths.is_empty()),
            ("methods", raw.methods.is_empty()),
        ] {
            if empty {
                report.error(field, "the list is empty", "Without it nothing is allowed.");
            }
        }
        let mut paths = Vec::new();
        for (i, text) in raw.paths.iter().enumerate() {
            match PathPattern::parse(text) {
                Ok(pattern) if !pattern.has_rest() => paths.push(pattern),
                Ok(_) => report.error(
                    &format!("paths[{i}]"),
                    "`{rest}` would allow any path",
                    "Name each segment.",
                ),
                Err(error) => report.error(
                    &format!("paths[{i}]"),
                    error.to_string(),
                    "Write the canonical path.",
                ),
            }
        }
        let mut methods = Vec::new();
        for (i, text) in raw.methods.iter().enumerate() {
            match text.as_str() {
                "POST" => methods.push(Method::POST),
                "PUT" => methods.push(Method::PUT),
                "PATCH" => methods.push(Method::PATCH),
                _ => report.error(
                    &format!("methods[{i}]"),
                    format!("`{text}` is no method of a callback"),
                    "Use POST, PUT or PATCH.",
                ),
            }
        }
        Self {
            raw: raw.clone(),
            paths,
            methods,
        }
    }
}

fn allowed(listed: bool, cause: &'static str) -> Result<(), Refusal> {
    if listed {
        Ok(())
    } else {
        Err(Refusal::new(Code::SeederProgram, cause))
    }
}

/// The cause names the kind of address, never the address: it may hold credentials.
fn callback_refused(what: &str, url: &str) -> Refusal {
    let kind = match url.split_once("://") {
        _ if !url.bytes().all(|b| b.is_ascii_graphic()) => "has letters beyond ASCII or blanks",
        None => "has no scheme",
        Some((scheme, _)) if scheme != "http" && scheme != "https" => "has another scheme",
        Some((_, rest)) => {
            let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
            let authority = rest.get(..end).unwrap_or_default();
            if authority.contains('@') {
                "has a user in it"
            } else if authority.starts_with('[')
                || authority
                    .trim_start_matches("0x")
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b".:xabcdef".contains(&b))
            {
                "names a number, not an agreed host"
            } else {
                "is not one of the caller's declared targets"
            }
        }
    };
    Refusal::new(Code::SeederCallback, format!("{what} {kind}"))
}

/// What follows scheme, host and port of an address; nothing when it is not canonical.
fn origin_of(address: &str) -> Option<&str> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    let canonical = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        && port
            .parse::<u16>()
            .is_ok_and(|p| p > 0 && p.to_string() == port);
    canonical.then_some(path)
}

/// A plain path of names: `vid`, `person.family_name`.
fn is_field(text: &str) -> bool {
    text.len() <= 128
        && text.split('.').all(|name| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes};

    fn target() -> config::CallbackTarget {
        config::CallbackTarget {
            name: "odoo".to_owned(),
            callers: vec!["openg2p".to_owned()],
            address: "http://127.0.0.1:8069".to_owned(),
            paths: vec!["/api/{version}/update_individual".to_owned()],
            methods: vec!["PUT".to_owned()],
            upstream: "odoo".to_owned(),
            envelope: Envelope::InsecurePlain,
            login: CallbackLogin::Odoo,
            login_path: Some("/web/session/authenticate".to_owned()),
        }
    }

    fn raw(target: config::CallbackTarget) -> config::TokenSeeder {
        config::TokenSeeder {
            callback_base: Some("http://127.0.0.1:1/callback".to_owned()),
            programs: vec!["[.input.id]".to_owned()],
            mappings: vec!["names[0]".to_owned()],
            target: vec![target],
            attempts: 1,
            keep_hours: 1,
            odk: vec!["https://odk.example.org".to_owned()],
        }
    }

    fn build(raw: &config::TokenSeeder) -> (Option<SeederPolicy>, Vec<String>) {
        let document = Document::from_text(std::path::Path::new("x.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let mut report = Report::new(&document, &mut mistakes);
        let policy = SeederPolicy::build(Some(raw), true, &["odoo"], &mut report);
        (policy, mistakes.0.into_iter().map(|m| m.at).collect())
    }

    fn policy() -> SeederPolicy {
        let (policy, mistakes) = build(&raw(target()));
        assert_eq!(mistakes, [""; 0]);
        policy.expect("a policy")
    }

    #[test]
    fn only_the_declared_address_passes_and_only_for_who_may_name_it() {
        let policy = policy();
        let good = "http://127.0.0.1:8069/api/v1/update_individual";
        let (found, path) = policy.callback("openg2p", good).expect("allowed");
        assert_eq!((found.name(), path), ("odoo", "/api/v1/update_individual"));
        let refusal = policy.callback("somebody", good).expect_err("not theirs");
        assert_eq!(refusal.code(), Code::SeederCallback);
    }

    #[test]
    fn no_way_to_write_an_address_inside_the_network_passes() {
        let policy = policy();
        for url in [
            // The declared one, almost.
            "https://127.0.0.1:8069/api/v1/update_individual",
            "HTTP://127.0.0.1:8069/api/v1/update_individual",
            "http://127.0.0.1:8070/api/v1/update_individual",
            "http://127.0.0.1/api/v1/update_individual",
            "http://127.0.0.1:08069/api/v1/update_individual",
            "http://127.0.0.1:8069@evil.example/api/v1/update_individual",
            "http://user:pw@127.0.0.1:8069/api/v1/update_individual",
            "http://127.0.0.1:8069.evil.example/api/v1/update_individual",
            "http://127.0.0.1:80690/api/v1/update_individual",
            "http://127.0.0.1:8069/api/v1/update_individual/",
            "http://127.0.0.1:8069/api/v1/update_individual?x=1",
            "http://127.0.0.1:8069/api/v1/update_individual#x",
            "http://127.0.0.1:8069/api/../admin/update_individual",
            "http://127.0.0.1:8069/api/%2e%2e/update_individual",
            "http://127.0.0.1:8069/api//update_individual",
            "http://127.0.0.1:8069/api/../update_individual",
            "http://127.0.0.1:8069\\@evil.example/api/v1/update_individual",
            "http://127.0.0.1:8069/api/v1/update_individual\r\nx: y",
            "http://127.0.0.1:8069/web/session/authenticate",
            // The same host by other names.
            "http://localhost:8069/api/v1/update_individual",
            "http://2130706433:8069/api/v1/update_individual",
            "http://0x7f000001:8069/api/v1/update_individual",
            "http://0177.0.0.1:8069/api/v1/update_individual",
            "http://127.1:8069/api/v1/update_individual",
            "http://[::1]:8069/api/v1/update_individual",
            "http://[::ffff:127.0.0.1]:8069/api/v1/update_individual",
            "http://１２７.0.0.1:8069/api/v1/update_individual",
            "http://127。0。0。1:8069/api/v1/update_individual",
            // Elsewhere inside.
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://metadata.google.internal/",
            "http://0.0.0.0:8069/api/v1/update_individual",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            // No address of a callback at all.
            "file:///etc/passwd",
            "gopher://127.0.0.1:8069/_x",
            "//127.0.0.1:8069/api/v1/update_individual",
            "",
            "/api/v1/update_individual",
        ] {
            let refusal = policy.callback("openg2p", url).expect_err(url);
            assert_eq!(refusal.code(), Code::SeederCallback, "{url}");
        }
    }

    #[test]
    fn programs_are_listed_word_by_word_and_mappings_are_plain_names() {
        let policy = policy();
        assert!(policy.program(".output").is_ok() && policy.program("[.input.id]").is_ok());
        for other in ["[.input.id] ", "[.input]", ".", "", "env"] {
            assert!(policy.program(other).is_err(), "{other}");
        }
        for good in ["vid", "person.family_name", "_x1", "names[0]"] {
            assert!(policy.mapping(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "1a", "a b", "a|env", "a[0]", "a;b", "é"] {
            assert!(policy.mapping(bad).is_err(), "{bad}");
        }
        assert!(policy.odk("https://odk.example.org").is_ok());
        assert!(policy.odk("https://odk.example.org.evil.example").is_err());
    }

    #[test]
    fn a_target_that_says_too_little_or_too_much_is_a_mistake() {
        let wrong = |change: &dyn Fn(&mut config::CallbackTarget)| {
            let mut target = target();
            change(&mut target);
            build(&raw(target)).1
        };
        assert_eq!(wrong(&|t| t.address.push('/')), ["target[0].address"]);
        assert_eq!(
            wrong(&|t| t.address = "http://a@b".to_owned()),
            ["target[0].address"]
        );
        assert_eq!(wrong(&|t| t.upstream.push('x')), ["target[0].upstream"]);
        assert_eq!(wrong(&|t| t.callers.clear()), ["target[0].callers"]);
        assert_eq!(
            wrong(&|t| t.paths = vec!["/a/{rest}".to_owned()]),
            ["target[0].paths[0]"]
        );
        assert_eq!(
            wrong(&|t| t.methods = vec!["GET".to_owned()]),
            ["target[0].methods[0]"]
        );
        assert_eq!(wrong(&|t| t.login_path = None), ["target[0].login_path"]);
        assert_eq!(wrong(&|t| t.envelope = Envelope::Jose), ["target[0].login"]);
    }
}
