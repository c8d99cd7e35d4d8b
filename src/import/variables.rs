//! The variables of OpenCRVS' MOSIP middleware and of the country configuration beside it, and the values that everybody knows.

/// Every variable that is understood, so that nothing is passed over in silence.
pub(super) const KNOWN: [&str; 51] = [
    "PORT",
    "HOST",
    "LOCALE",
    "NODE_ENV",
    "SQLITE_DATABASE_PATH",
    "CLIENT_APP_URL",
    "OPENCRVS_GATEWAY_URL",
    "OPENCRVS_PUBLIC_KEY_URL",
    "MOSIP_AUTH_URL",
    "MOSIP_AUTH_CLIENT_APP_ID",
    "MOSIP_PACKET_AUTH_CLIENT_ID",
    "MOSIP_PACKET_AUTH_CLIENT_SECRET",
    "MOSIP_WEBSUB_AUTH_CLIENT_ID",
    "MOSIP_WEBSUB_AUTH_CLIENT_SECRET",
    "MOSIP_WEBSUB_HUB_URL",
    "MOSIP_WEBSUB_SECRET",
    "MOSIP_WEBSUB_TOPIC",
    "MOSIP_WEBSUB_CALLBACK_URL",
    "MOSIP_VERIFIABLE_CREDENTIAL_ALLOWLIST",
    "MOSIP_VERIFIABLE_CREDENTIAL_NATIONAL_ID_KEY",
    "TRANSACTION_ID_PREFIX",
    "MOSIP_BIRTH_WEBHOOK_URL",
    "MOSIP_DEATH_WEBHOOK_URL",
    "ESIGNET_TOKEN_URL",
    "ESIGNET_USERINFO_URL",
    "OPENID_PROVIDER_CLAIMS",
    "OIDP_CLIENT_PRIVATE_KEY_PATH",
    "PARTNER_ID",
    "PARTNER_APIKEY",
    "PARTNER_MISP_LK",
    "IDA_AUTH_DOMAIN_URI",
    "IDA_AUTH_URL",
    "ENCRYPT_CERT_PATH",
    "DECRYPT_P12_FILE_PATH",
    "DECRYPT_P12_FILE_PASSWORD",
    "SIGN_P12_FILE_PATH",
    "SIGN_P12_FILE_PASSWORD",
    "MOSIP_CREATE_PACKET_URL",
    "MOSIP_PROCESS_PACKET_URL",
    "MOSIP_CENTER_ID",
    "MOSIP_MACHINE_ID",
    "OPENCRVS_AUTH_URL",
    "OPENCRVS_CLIENT_ID",
    "OPENCRVS_CLIENT_SECRET",
    "UNSAFE_DEBUG_LOG",
    "LOG_LEVEL",
    "OPENID_PROVIDER_CLIENT_ID",
    "ESIGNET_REDIRECT_URL",
    "MOSIP_API_USERINFO_URL",
    "MOSIP_INTEROP_URL",
    "ESIGNET_URL",
];

/// Why a variable has no place here.
pub(super) const WITHOUT_PLACE: [(&str, &str); 16] = [
    (
        "LOCALE",
        "formatted dates in the middleware; nothing here depends on a locale",
    ),
    (
        "NODE_ENV",
        "chose the middleware's defaults; there are none of that kind here",
    ),
    (
        "SQLITE_DATABASE_PATH",
        "[store] takes its place; pending rows of the old file are not taken over: let them finish first",
    ),
    (
        "MOSIP_BIRTH_WEBHOOK_URL",
        "the middleware read it and never used it",
    ),
    (
        "MOSIP_DEATH_WEBHOOK_URL",
        "the middleware read it and never used it",
    ),
    (
        "OPENID_PROVIDER_CLAIMS",
        "country configuration sends the claims; the middleware never used it",
    ),
    (
        "OPENCRVS_AUTH_URL",
        "no login at OpenCRVS is needed: the token of the record confirms it",
    ),
    (
        "OPENCRVS_CLIENT_ID",
        "no login at OpenCRVS is needed: the token of the record confirms it",
    ),
    (
        "OPENCRVS_CLIENT_SECRET",
        "no login at OpenCRVS is needed: the token of the record confirms it; withdraw it there",
    ),
    (
        "UNSAFE_DEBUG_LOG",
        "nothing personal is ever logged here, and no setting changes that",
    ),
    (
        "LOG_LEVEL",
        "the operator's log has one level; `--log-json` chooses its form",
    ),
    (
        "ESIGNET_USERINFO_URL",
        "the path of userinfo follows from ESIGNET_TOKEN_URL",
    ),
    (
        "MOSIP_API_USERINFO_URL",
        "country configuration's own: point it at this gateway, path /esignet/get-oidp-user-info",
    ),
    (
        "MOSIP_INTEROP_URL",
        "country configuration's own: point it at this gateway",
    ),
    (
        "ESIGNET_URL",
        "where browsers go to log in; they do not pass this gateway",
    ),
    (
        "MOSIP_PROCESS_PACKET_URL",
        "packets and workflows go one way, that of MOSIP_CREATE_PACKET_URL",
    ),
];

/// Values of secrets that stand in published samples.
const PUBLISHED: [&str; 7] = [
    "mosip123",
    "abcdeABCDE123456",
    "mosip-websub-secret",
    "123456",
    "changeme",
    "password",
    "secret",
];

/// Whether a secret is one that everybody knows.
pub(super) fn is_published(secret: &str) -> bool {
    let one_letter_and_its_capital = secret.len() >= 8 && {
        let first = secret.bytes().next().unwrap_or_default();
        secret.bytes().all(|b| b.eq_ignore_ascii_case(&first))
    };
    PUBLISHED.contains(&secret) || one_letter_and_its_capital || secret.starts_with("aaaaaAAAAA")
}

/// Whether a text looks like a MISP's licence key: long, letters and digits only. Partner ids are words with hyphens.
pub(super) fn looks_like_licence(text: &str) -> bool {
    text.len() >= 24 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_secrets_are_known_and_others_are_not() {
        for known in [
            "mosip123",
            "abcdeABCDE123456",
            "aaaaaAAAAAaaaaaAAAAA",
            "aaaaaaaa",
        ] {
            assert!(is_published(known), "{known}");
        }
        for own in ["mosip1234", "c0rr3ct horse", "aaaaaaab", "aaaa"] {
            assert!(!is_published(own), "{own}");
        }
    }

    #[test]
    fn a_licence_key_looks_unlike_a_partner_id() {
        assert!(looks_like_licence("aaaaaAAAAAaaaaaAAAAAaaaaaAAAAA12345678"));
        for id in [
            "crvs-partner",
            "mpartner-default-auth-of-the-country",
            "opencrvs",
        ] {
            assert!(!looks_like_licence(id), "{id}");
        }
    }
}
