//! MOSIP's MISP policy document: what a MISP may do on behalf of others, on the delegated routes (IDA reference 2.3 and 5.5).

use serde::Deserialize;

use crate::{
    config::Report,
    ida::Operation,
    refusal::{Code, Refusal},
};

/// A MISP policy. MOSIP reads the flags for plain authentication and for one-time passwords and asks for neither; nor do we.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MispPolicy {
    allow_auth_request_delegation: bool,
    allow_kyc_request_delegation: bool,
    allow_key_binding_delegation: bool,
    #[serde(default)]
    allow_vci_request_delegation: bool,
    #[serde(default)]
    trust_binded_auth_verification_token: bool,
    /// Not in MOSIP's own schema, and in MOSIP's own tests.
    #[serde(default, rename = "allowOTPRequestDelegation")]
    allow_otp_request_delegation: bool,
}

impl MispPolicy {
    /// Reads a document. A mistake is reported at `field` of the policy that names it.
    pub fn parse(text: &str, field: &str, report: &mut Report<'_>) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(policy) => Some(policy),
            Err(e) => {
                let remedy = "It has allowAuthRequestDelegation, allowKycRequestDelegation and allowKeyBindingDelegation, true or false, and may have allowVciRequestDelegation and trustBindedAuthVerificationToken.";
                report.error(
                    field,
                    format!("the document is not a MISP policy: {e}"),
                    remedy,
                );
                None
            }
        }
    }

    /// What both allow.
    #[must_use]
    pub const fn narrowed_by(&self, other: &Self) -> Self {
        Self {
            allow_auth_request_delegation: self.allow_auth_request_delegation
                && other.allow_auth_request_delegation,
            allow_kyc_request_delegation: self.allow_kyc_request_delegation
                && other.allow_kyc_request_delegation,
            allow_key_binding_delegation: self.allow_key_binding_delegation
                && other.allow_key_binding_delegation,
            allow_vci_request_delegation: self.allow_vci_request_delegation
                && other.allow_vci_request_delegation,
            trust_binded_auth_verification_token: self.trust_binded_auth_verification_token
                && other.trust_binded_auth_verification_token,
            allow_otp_request_delegation: self.allow_otp_request_delegation
                && other.allow_otp_request_delegation,
        }
    }

    /// Whether the MISP may pass on a request of this kind. Only delegated routes ask.
    ///
    /// # Errors
    /// `POL-012`, naming the operation.
    pub fn permits_operation(&self, operation: Operation) -> Result<(), Refusal> {
        let (flag, allowed) = match operation {
            Operation::Auth | Operation::Kyc | Operation::Otp => return Ok(()),
            Operation::KycAuth | Operation::KycExchange => (
                "allowKycRequestDelegation",
                self.allow_kyc_request_delegation,
            ),
            Operation::KeyBinding => (
                "allowKeyBindingDelegation",
                self.allow_key_binding_delegation,
            ),
            Operation::VciExchange => (
                "allowVciRequestDelegation",
                self.allow_vci_request_delegation,
            ),
        };
        if allowed {
            return Ok(());
        }
        let cause = format!("`{flag}` of the MISP's policy is false");
        Err(Refusal::new(Code::MispPolicyRoute, cause).naming(operation.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes};
    use std::path::Path;

    fn parse(text: &str) -> Option<MispPolicy> {
        let document = Document::from_text(Path::new("triseal.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let policy =
            MispPolicy::parse(text, "document", &mut Report::new(&document, &mut mistakes));
        assert_eq!(policy.is_none(), mistakes.refuse(), "{mistakes}");
        policy
    }

    fn with(kyc: bool, binding: bool, vci: &str) -> String {
        format!(
            r#"{{"allowAuthRequestDelegation": true, "allowKycRequestDelegation": {kyc}, "allowKeyBindingDelegation": {binding}{vci}}}"#
        )
    }

    #[test]
    fn each_delegated_operation_has_its_flag_and_no_other_opens_it() {
        let only_kyc = parse(&with(true, false, "")).unwrap();
        let only_binding = parse(&with(false, true, "")).unwrap();
        let only_vci = parse(&with(
            false,
            false,
            r#", "allowVciRequestDelegation": true"#,
        ))
        .unwrap();
        for (operation, by) in [
            (Operation::KycAuth, &only_kyc),
            (Operation::KycExchange, &only_kyc),
            (Operation::KeyBinding, &only_binding),
            (Operation::VciExchange, &only_vci),
        ] {
            for policy in [&only_kyc, &only_binding, &only_vci] {
                let refused = policy.permits_operation(operation).err();
                assert_eq!(refused.is_none(), policy == by, "{operation:?}");
                if let Some(refusal) = refused {
                    assert_eq!(refusal.code(), Code::MispPolicyRoute);
                    assert_eq!(refusal.member(), Some(operation.as_str()));
                }
            }
        }
        for operation in [Operation::Auth, Operation::Kyc, Operation::Otp] {
            assert!(
                parse(&with(false, false, ""))
                    .unwrap()
                    .permits_operation(operation)
                    .is_ok()
            );
        }
    }

    #[test]
    fn what_is_no_misp_policy_is_refused() {
        assert!(parse(&with(true, true, r#", "allowOTPRequestDelegation": true"#)).is_some());
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"allowAuthRequestDelegation": true, "allowKycRequestDelegation": true}"#,
            &with(true, true, r#", "allowEverything": true"#),
            &with(true, true, r#", "allowVciRequestDelegation": "true""#),
            include_str!("../../policies/ekyc.json"),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(include_str!("../../policies/misp.json")).is_some());
    }
}
