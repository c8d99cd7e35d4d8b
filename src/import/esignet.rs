//! `[esignet]`: the login with E-Signet, whose client key no service holds any more.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    links,
    work::{Work, quote},
};

const KEY: &str = "OIDP_CLIENT_PRIVATE_KEY_PATH";
const CLIENT: &str = "OPENID_PROVIDER_CLIENT_ID";
const REDIRECT: &str = "ESIGNET_REDIRECT_URL";
const TOKEN: &str = "ESIGNET_TOKEN_URL";

pub(super) fn sections(work: &mut Work<'_>) -> String {
    let key = key(work);
    let names = [TOKEN, CLIENT, REDIRECT];
    if key.is_none() || names.iter().any(|name| work.peek(name).is_none()) {
        return left_out(work);
    }
    let Some(token) = work.take_address(
        TOKEN,
        "where codes are redeemed; the issuer follows from it",
    ) else {
        return left_out(work);
    };
    work.esignet = true;
    let (base, version) = split(&token.path);
    let client = work
        .take(CLIENT, "the client that we stand for")
        .unwrap_or_default();
    let redirect = work
        .take(REDIRECT, "where people come back to")
        .unwrap_or_default();
    let mut text = String::new();
    let upstream = if work.request.direct {
        links::upstream(work, &mut text, "esignet", Some(&token), "");
        "esignet"
    } else {
        links::mosip(work)
    };
    text.push_str(&format!(
        "# E-Signet: client assertions are made here, userinfo is verified and opened here.\n[esignet]\nissuer = {}   # from {TOKEN}; compare with E-Signet's discovery document\n\
         upstream = \"{upstream}\"\nenvelope = \"{}\"\nbase = {}\n\n[[esignet.client]]\nid = {}   # {CLIENT}\nkey = {{ file = \"secrets/esignet-jwk\" }}   # {KEY}\n\
         redirect_uris = [{}]   # {REDIRECT}\ntoken_version = {version}\n\n",
        quote(&format!("{}{base}", token.origin)),
        links::envelope(work),
        quote(base),
        quote(client),
        quote(redirect),
    ));
    text
}

/// The base of E-Signet's paths and the version of its token endpoint.
fn split(path: &str) -> (&str, u8) {
    if let Some(base) = path.strip_suffix("/oauth/v2/token") {
        return (base, 2);
    }
    (path.strip_suffix("/oauth/token").unwrap_or(path), 1)
}

fn left_out(work: &mut Work<'_>) -> String {
    for (name, why) in [
        (KEY, "the key of our client at E-Signet"),
        (TOKEN, "where codes are redeemed"),
        (
            CLIENT,
            "our client id at E-Signet; country configuration has it",
        ),
        (
            REDIRECT,
            "where people come back to; country configuration has it",
        ),
    ] {
        if work.peek(name).is_none() {
            work.findings.missing(
                name,
                format!("{why}: without it the login with E-Signet is left out"),
            );
        } else {
            work.findings.unused(name, "the login with E-Signet is left out, because another variable of it is missing or of no use");
        }
    }
    "# No [esignet]: not all of its variables are there (import.txt says which). Without it there is no /esignet/get-oidp-user-info.\n\n".to_owned()
}

/// The base64 of a JWK, as the middleware has it: looked into, then kept as it is.
fn key(work: &mut Work<'_>) -> Option<()> {
    let bytes = work.named_file(KEY)?;
    let fits = is_private_jwk(&bytes);
    if !fits {
        work.findings
            .unused(KEY, "the file is no base64 of a private JWK");
        return None;
    }
    work.findings.used(
        KEY,
        "the key of our client at E-Signet; in secrets/esignet-jwk as it is",
    );
    work.secret("esignet-jwk", bytes.trim_ascii());
    Some(())
}

fn is_private_jwk(bytes: &[u8]) -> bool {
    let Ok(json) = STANDARD.decode(bytes.trim_ascii()).map(Zeroizing::new) else {
        return false;
    };
    let Ok(jwk) = serde_json::from_slice::<Value>(&json) else {
        return false;
    };
    matches!(jwk.get("kty").and_then(Value::as_str), Some("RSA" | "EC"))
        && jwk.get("d").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_jwk_in_base64_is_known_and_a_public_one_is_none() {
        let of = |json: &str| is_private_jwk(STANDARD.encode(json).as_bytes());
        assert!(of(r#"{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ"}"#));
        assert!(!of(r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#));
        assert!(!of(r#"{"kty":"oct","d":"AQ"}"#));
        assert!(!is_private_jwk(br#"{"kty":"RSA","d":"AQ"}"#));
    }

    #[test]
    fn the_base_and_the_version_follow_from_the_path() {
        assert_eq!(split("/v1/esignet/oauth/v2/token"), ("/v1/esignet", 2));
        assert_eq!(split("/oauth/token"), ("", 1));
    }
}
