//! What E-Signet says of itself. Only what is really there is announced.

use serde_json::{Value, json};

use super::{Esignet, STATIC_CODE, claims};

impl Esignet {
    /// OpenID discovery.
    pub(super) fn openid_configuration(&self) -> Value {
        let mut document = self.authorization_server();
        let issuer = self.config.issuer();
        let more = json!({
            "userinfo_endpoint": format!("{issuer}/oidc/userinfo"),
            "acr_values_supported": [STATIC_CODE],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            // What E-Signet advertises; the identity authority signs with RS256 all the same (reference 4.1).
            "userinfo_signing_alg_values_supported": ["PS256"],
            "userinfo_encryption_alg_values_supported": ["RSA-OAEP-256"],
            "userinfo_encryption_enc_values_supported": ["A256GCM"],
            "claim_types_supported": ["normal"],
            "claims_parameter_supported": true,
            "claims_supported": claims::KNOWN,
            "claims_locales_supported": claims::LOCALES.map(|(short, _)| short),
            "ui_locales_supported": ["en"],
            "display_values_supported": ["page"],
        });
        if let (Some(all), Value::Object(more)) = (document.as_object_mut(), more) {
            all.extend(more);
        }
        document
    }

    /// The same as RFC 8414 has it.
    pub(super) fn authorization_server(&self) -> Value {
        let issuer = self.config.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{}/authorize", self.config.origin),
            "token_endpoint": self.token_endpoint(),
            "jwks_uri": format!("{issuer}/oauth/.well-known/jwks.json"),
            "pushed_authorization_request_endpoint": self.par_endpoint(),
            "scopes_supported": ["openid", "profile", "email", "phone"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
            "authorization_response_iss_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "require_pushed_authorization_requests": false,
        })
    }

    /// The token endpoint of discovery.
    pub(super) fn token_endpoint(&self) -> String {
        format!("{}/oauth/v2/token", self.config.issuer())
    }

    /// The original one.
    pub(super) fn first_token_endpoint(&self) -> String {
        format!("{}/oauth/token", self.config.issuer())
    }

    pub(super) fn par_endpoint(&self) -> String {
        format!("{}/oauth/par", self.config.issuer())
    }
}
