//! `[websub]`: the subscription to credentials, and whose credentials are believed.

use std::fmt::Write as _;

use super::{
    links,
    work::{Work, quote},
};
use crate::partners::callback_path;

/// Issuers that are taken over from a list.
const ISSUERS_MAX: usize = 16;

pub(super) fn sections(work: &mut Work<'_>) -> String {
    let topic = topic(work);
    let callback = callback(work);
    let secret = secret(work);
    let issuers = issuers(work);
    let (upstream, path) = if work.request.direct {
        let hub = work
            .peek("MOSIP_WEBSUB_HUB_URL")
            .and_then(|url| url.parse::<http::Uri>().ok());
        (
            "hub",
            hub.map_or_else(|| "/hub".to_owned(), |uri| uri.path().to_owned()),
        )
    } else {
        ("misp", "/websub/hub".to_owned())
    };
    format!(
        "# Credentials come back through WebSub: stored before they are answered, opened, their proof verified.\n\
         [websub]\nupstream = \"{upstream}\"\nenvelope = \"{}\"\npath = {}\n\n\
         [[websub.subscription]]\nname = \"credentials\"\ntopic = {topic}\ncallback = {callback}\nsecret = {secret}\ncredential = {{ layouts = [\"r2\"] }}\n\
         hand_on = {{ opencrvs = true }}\n\n{issuers}",
        links::envelope(work),
        quote(&path),
    )
}

fn topic(work: &mut Work<'_>) -> String {
    const NAME: &str = "MOSIP_WEBSUB_TOPIC";
    let own = format!("{}/CREDENTIAL_ISSUED", work.party_id);
    match work.take(NAME, "the topic of our subscription") {
        Some("CREDENTIAL_ISSUED") => {
            work.findings.used(NAME, format!("without the partner in it, as the mock has it; MOSIP's real topic `{own}` was put in its place"));
            quote(&own)
        }
        Some(topic) => {
            if topic != own {
                work.findings.warn(format!("MOSIP_WEBSUB_TOPIC is not that of the partner id, `{own}`: credentials on it would be another partner's"));
            }
            format!("{}   # {NAME}", quote(topic))
        }
        None => {
            work.findings.missing(NAME, format!("`{own}` stands in"));
            quote(&own)
        }
    }
}

fn callback(work: &mut Work<'_>) -> String {
    const NAME: &str = "MOSIP_WEBSUB_CALLBACK_URL";
    let given = work.peek(NAME);
    if let Some(url) = given.filter(|url| callback_path(url) == Some("/websub/callback"))
        && let Some(address) = work.take_address(
            NAME,
            "the address that the hub is told, and this gateway's name",
        )
    {
        work.hosts.push(address.host);
        if !address.secure {
            work.findings.warn("MOSIP_WEBSUB_CALLBACK_URL begins with http://: deliveries come over TLS here. Say https://, with this gateway's port, at the MISP too.");
        }
        return format!("{}   # {NAME}", quote(url));
    }
    match given {
        Some(_) => work.findings.unused(
            NAME,
            "it does not end with /websub/callback, where deliveries are taken",
        ),
        None => work
            .findings
            .missing(NAME, "the hub must be told where to deliver"),
    }
    let what = work.todo("the address on which deliveries reach this gateway, such as \"https://crvs.example:8443/websub/callback\"");
    format!("\"\"   {what}")
}

fn secret(work: &mut Work<'_>) -> String {
    const NAME: &str = "MOSIP_WEBSUB_SECRET";
    let fits = work
        .peek(NAME)
        .map(|secret| (16..200).contains(&secret.len()));
    match fits {
        Some(true) => {
            let taken =
                work.take_secret(NAME, "websub-secret", "the hub signs deliveries under it");
            taken.unwrap_or_default()
        }
        Some(false) => {
            work.findings
                .unused(NAME, "it has fewer than 16 bytes or more than 199");
            open_secret(work)
        }
        None => {
            work.findings
                .missing(NAME, "make one and put it to secrets/websub-secret");
            open_secret(work)
        }
    }
}

fn open_secret(work: &mut Work<'_>) -> String {
    work.todo("secrets/websub-secret: `(umask 077; openssl rand -hex 32 > secrets/websub-secret)`");
    "{ file = \"secrets/websub-secret\" }".to_owned()
}

/// The middleware fetched the keys of a list of addresses when a credential came; here each is a pinned file.
fn issuers(work: &mut Work<'_>) -> String {
    const NAME: &str = "MOSIP_VERIFIABLE_CREDENTIAL_ALLOWLIST";
    let list = work.take(NAME, "verification methods of the issuers that are believed; their keys are pinned, never fetched");
    let Some(list) = list else {
        work.findings
            .missing(NAME, "without an issuer no credential is believed");
        let what = work.todo("[[websub.issuer]] with issuer, verification_method, key and contexts: without one no credential is believed");
        return format!("{what}\n\n");
    };
    let urls: Vec<&str> = list
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .collect();
    if urls.len() > ISSUERS_MAX {
        work.findings.warn(format!(
            "{NAME} names more than {ISSUERS_MAX} addresses; the first {ISSUERS_MAX} were taken"
        ));
    }
    let mut text = String::new();
    let mut contexts = Vec::new();
    for (i, url) in urls.iter().take(ISSUERS_MAX).enumerate() {
        let number = i.saturating_add(1);
        let base = url.rsplit_once('/').map_or(*url, |(base, _)| base);
        let context = format!("{base}/mosip-context.json");
        let what = work.todo(&format!("certificates/issuer-{number}.pem: the member publicKeyPem of {url}, fetched by you and compared with the issuer"));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{what}\n[[websub.issuer]]\nissuer = {}   # as MOSIP writes it; compare with a credential\nverification_method = {}   # {NAME}\n\
             key = \"certificates/issuer-{number}.pem\"\ncontexts = [{}]\n\n",
            quote(&format!("{base}/controller.json")),
            quote(url),
            quote(&context),
        );
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    for context in contexts {
        let _ = write!(
            text,
            "# What MOSIP ships under that address is built in; name a `file` when yours differs.\n[[websub.context]]\nurl = {}\n\n",
            quote(&context)
        );
    }
    text
}
