//! MOSIP's policy documents as IDA reads them, and the policy step of its filter (reference, section 2.3).

use serde::{Deserialize, Serialize};

use super::{failure::Failure, inner::Factors, route::Route};

/// An auth policy (`auth-policy-schema.json`).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthPolicyDoc {
    /// `random`, `partner` or `policy`.
    pub auth_token_type: String,
    /// Factors and routes.
    pub allowed_auth_types: Vec<AllowedAuthType>,
    /// What eKYC may give.
    #[serde(default)]
    pub allowed_kyc_attributes: Vec<KycAttribute>,
    /// The languages of eKYC; none of the country's means all of them.
    #[serde(default)]
    pub kyc_languages: Vec<String>,
}

/// A factor or a route.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedAuthType {
    /// `demo`, `otp`, `bio`, `kyc`, `otp-request` …
    pub auth_type: String,
    /// For `bio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_sub_type: Option<String>,
    /// Whether a request without it is refused.
    #[serde(default)]
    pub mandatory: bool,
}

/// An attribute of eKYC.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KycAttribute {
    /// As in the identity schema: `fullName`, `dateOfBirth`, `photo` …
    pub attribute_name: String,
}

/// A MISP policy (`misp-policy-schema.json`): what it may do on behalf of others.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the document has these members"
)]
pub struct MispPolicyDoc {
    /// Not enforced by MOSIP.
    pub allow_auth_request_delegation: bool,
    /// kyc-auth and kyc-exchange.
    pub allow_kyc_request_delegation: bool,
    /// identity-key-binding.
    pub allow_key_binding_delegation: bool,
    /// vci-exchange.
    pub allow_vci_request_delegation: bool,
}

impl AuthPolicyDoc {
    fn lists(&self, auth_type: &str) -> bool {
        self.allowed_auth_types
            .iter()
            .any(|allowed| allowed.auth_type.eq_ignore_ascii_case(auth_type))
    }
}

/// Row 15 of the filter: the MISP's policy, for delegated routes only.
pub(super) fn check_misp(route: Route, policy: Option<&MispPolicyDoc>) -> Result<(), Failure> {
    if !route.delegated() {
        return Ok(());
    }
    let policy =
        policy.ok_or_else(|| Failure::new("IDA-MPA-023", "MISP Partner Policy not availble."))?;
    let (allowed, code, what) = match route {
        Route::Auth | Route::Kyc | Route::Otp => return Ok(()),
        Route::KycAuth => (
            policy.allow_kyc_request_delegation,
            "IDA-MPA-030",
            "KYC-AUTH Authentication usage not allowed as per policy",
        ),
        Route::KycExchange => (
            policy.allow_kyc_request_delegation,
            "IDA-MPA-031",
            "KYC-EXCHANGE not allowed as per policy",
        ),
        Route::KeyBinding => (
            policy.allow_key_binding_delegation,
            "IDA-MPA-032",
            "KEY-BINDING not allowed as per policy",
        ),
        Route::VciExchange => (
            policy.allow_vci_request_delegation,
            "IDA-MPA-037",
            "VCI-EXCHANGE not allowed as per policy",
        ),
    };
    if allowed {
        return Ok(());
    }
    Err(Failure::new(code, what).acting("Please try after updating misp policy"))
}

/// Row 16: the route's permission, then every factor of the request, then every mandatory factor.
pub(super) fn check_auth(
    route: Route,
    policy: &AuthPolicyDoc,
    factors: &Factors,
) -> Result<(), Failure> {
    let permission = match route {
        Route::Auth => None,
        Route::Kyc => Some(("kyc", "IDA-MPA-013", "Partner is unauthorised for eKYC")),
        Route::Otp => Some((
            "otp-request",
            "IDA-MPA-005",
            "OTP Request Usage not allowed as per policy",
        )),
        Route::KycAuth => Some((
            "kycauth",
            "IDA-MPA-025",
            "Partner is unauthorised for KYC-Auth",
        )),
        Route::KycExchange => Some((
            "kycexchange",
            "IDA-MPA-026",
            "Partner is unauthorised for KYC-Exchange",
        )),
        Route::KeyBinding => Some((
            "keybinding",
            "IDA-MPA-033",
            "Partner is unauthorised for KeyBinding",
        )),
        Route::VciExchange => Some((
            "vciexchange",
            "IDA-MPA-036",
            "Partner is unauthorised for VCI-Exchange",
        )),
    };
    if let Some((name, code, message)) = permission
        && !policy.lists(name)
    {
        return Err(Failure::new(code, message));
    }
    if !route.encrypted() || route == Route::KeyBinding {
        return Ok(());
    }
    for factor in factors.names() {
        if !policy.lists(factor) {
            return Err(Failure::new(
                "IDA-MPA-006",
                format!(
                    "{} Authentication usage not allowed as per policy",
                    factor.to_ascii_uppercase()
                ),
            )
            .acting("Please use other Authentication Types in the request"));
        }
    }
    for mandatory in policy
        .allowed_auth_types
        .iter()
        .filter(|allowed| allowed.mandatory)
    {
        let name = mandatory.auth_type.as_str();
        // Entries that stand for routes are no factors and cannot be missing from a request.
        if Factors::is_factor(name) && !factors.has(name) {
            return Err(Failure::new(
                "IDA-MPA-015",
                format!("{name}-authentiation usage is mandatory as per policy"),
            ));
        }
    }
    Ok(())
}

/// Row 17: the factors the OIDC client may use.
pub(super) fn check_client(allowed: &[String], factors: &Factors) -> Result<(), Failure> {
    for factor in factors.names() {
        if !allowed.iter().any(|name| name.eq_ignore_ascii_case(factor)) {
            return Err(Failure::new(
                "IDA-MPA-029",
                format!(
                    "{} Authentication usage not allowed as per client AMR configuration",
                    factor.to_ascii_uppercase()
                ),
            )
            .acting("Please use other Authentication Types in the request"));
        }
    }
    Ok(())
}
