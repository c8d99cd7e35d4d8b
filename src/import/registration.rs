//! `[opencrvs]`: registrations, the tokens of OpenCRVS, `/verify`.

use std::fmt::Write as _;

use super::{
    links,
    work::{Work, quote, quote_all},
};

pub(super) fn sections(work: &mut Work<'_>) -> String {
    let center = work.take_or("MOSIP_CENTER_ID", "10001", "the centre that packets name");
    let machine = work.take_or("MOSIP_MACHINE_ID", "10004", "the machine that packets name");
    let prefix = work.take_or(
        "TRANSACTION_ID_PREFIX",
        "10001",
        "what transaction ids begin with",
    );
    let mut text = format!(
        "# OpenCRVS: the middleware's own API, with this gateway in its place.\n[opencrvs]\nupstream = \"{}\"\nenvelope = \"{}\"\ncore = \"core\"\n\
         center_id = {}\nmachine_id = {}\ntransaction_prefix = {}\n",
        links::mosip(work),
        links::envelope(work),
        quote(&center),
        quote(&machine),
        quote(&prefix),
    );
    if let Some(member) = work.take(
        "MOSIP_VERIFIABLE_CREDENTIAL_NATIONAL_ID_KEY",
        "the member of the credential that is the national id",
    ) {
        let _ = writeln!(text, "credential_member = {}", quote(member));
    }
    if let Some(origin) = work.take_address(
        "CLIENT_APP_URL",
        "the origin that may call from browsers (CORS)",
    ) {
        let _ = writeln!(
            text,
            "client_origin = {}   # CLIENT_APP_URL",
            quote(&origin.origin)
        );
    }
    text.push_str(&token(work));
    route(work, "opencrvs-register", "/events/registration", false);
    if let Some(verify) = verify(work) {
        text.push_str(&verify);
        route(work, "opencrvs-verify", "/verify", false);
    }
    if let Some(login) = login(work) {
        text.push_str(&login);
        route(
            work,
            "opencrvs-userinfo",
            "/esignet/get-oidp-user-info",
            true,
        );
    }
    text.push('\n');
    text
}

fn token(work: &Work<'_>) -> String {
    let path = (work
        .peek("OPENCRVS_PUBLIC_KEY_URL")
        .and_then(|url| url.parse::<http::Uri>().ok()))
    .map_or_else(|| "/.well-known".to_owned(), |uri| uri.path().to_owned());
    format!(
        "\n# The tokens of OpenCRVS: the middleware checked signature and expiry only; here issuer, audience and scope count too.\n\
         # With `pins` (SHA-256 of the public key), no other key is taken, whoever answers at that address.\n\
         [opencrvs.token]\nupstream = \"core-keys\"\npath = {}   # OPENCRVS_PUBLIC_KEY_URL\n",
        quote(&path)
    )
}

/// `/verify`, when there are the two keys it needs.
fn verify(work: &mut Work<'_>) -> Option<String> {
    let has_licence = (work.files.iter()).any(|file| file.path().ends_with("secrets/misp-licence"));
    let api_key = work.take_secret(
        "PARTNER_APIKEY",
        "api-key",
        "the API key for /verify; no service holds it",
    );
    let (Some(api_key), true) = (api_key, has_licence) else {
        if work.peek("PARTNER_APIKEY").is_none() {
            work.findings.missing(
                "PARTNER_APIKEY",
                "without it there is no /verify: ask MOSIP's partner portal for it, or leave it",
            );
        }
        return None;
    };
    let ida = work.take_address("IDA_AUTH_URL", "the path of IDA's authentication");
    if work.request.direct {
        let packets = work.peek("MOSIP_CREATE_PACKET_URL").unwrap_or_default();
        if !ida
            .as_ref()
            .is_some_and(|ida| packets.starts_with(&format!("{}/", ida.origin)))
        {
            work.findings.unused("IDA_AUTH_URL", "IDA has another address than the packet manager: /verify needs a MISP's gateway (without --direct)");
            return None;
        }
    }
    let mut text = format!(
        "\n[opencrvs.verify]\nscopes = {}\nmisp_lk = {{ file = \"secrets/misp-licence\" }}\napi_key = {api_key}\n",
        scopes(work)
    );
    if let Some(ida) = ida {
        let _ = writeln!(text, "path = {}   # IDA_AUTH_URL", quote(&ida.path));
    }
    if let Some(domain) = work.take(
        "IDA_AUTH_DOMAIN_URI",
        "the domain that requests to IDA name",
    ) {
        let _ = writeln!(
            text,
            "domain_uri = {}   # IDA_AUTH_DOMAIN_URI",
            quote(domain)
        );
    }
    Some(text)
}

/// The E-Signet login, when there is a client for it.
fn login(work: &mut Work<'_>) -> Option<String> {
    let (Some(client), Some(redirect)) = (
        work.peek("OPENID_PROVIDER_CLIENT_ID"),
        work.peek("ESIGNET_REDIRECT_URL"),
    ) else {
        return None;
    };
    if !work.esignet {
        return None;
    }
    Some(format!(
        "\n[opencrvs.esignet]\nscopes = {}\nclient_id = {}   # OPENID_PROVIDER_CLIENT_ID of country configuration\nredirect_uris = [{}]   # ESIGNET_REDIRECT_URL\n",
        scopes(work),
        quote(client),
        quote(redirect)
    ))
}

/// The scopes of people who may ask.
fn scopes(work: &mut Work<'_>) -> String {
    if work.request.scopes.is_empty() {
        let what = work.todo("scopes of your registration officers' tokens, of which one must be there (--scope). The middleware asked for none");
        return format!("[]   {what}");
    }
    quote_all(&work.request.scopes)
}

fn route(work: &mut Work<'_>, name: &'static str, path: &str, query: bool) {
    let query = if query {
        "query = true   # the code of the login\n"
    } else {
        ""
    };
    let _ = write!(
        work.routes,
        "[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"opencrvs\"\nfrom = {{ face = \"service\", envelope = \"insecure_plain\" }}\n{query}\n"
    );
    work.route_names.push(name);
}
