//! Our codes in MOSIP's words: the error envelope of IDA reference 2.8 and the codes of 2.7, in one match.

use crate::ida::Operation;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    envelope::time,
    exchange::{RefusalAnswer, Trail},
    refusal::{Code, Refusal},
};

/// MOSIP's generic error: first of two for what its filter finds.
const GENERIC: (&str, &str) = (
    "IDA-MLC-007",
    "Request could not be processed. Please try again",
);

/// The MOSIP code and message for one of ours.
enum Told {
    /// HTTP 200 with the generic code first, as MOSIP's filter does.
    Filter(&'static str, String),
    /// HTTP 200 with this code alone, as MOSIP's controllers do.
    Controller(&'static str, String),
    /// The generic code alone, with the HTTP status of our own code: nothing MOSIP would have said.
    Generic,
    /// Not in MOSIP's words at all: the caller does not speak this protocol yet.
    Plain,
}

/// The answer to a refusal on an IDA route; `None` where MOSIP's envelope does not fit.
pub(super) fn answer(refusal: &Refusal, trail: &Trail) -> Option<RefusalAnswer> {
    let operation = trail.route().and_then(|r| r.operation())?;
    let told = told(refusal);
    let status = match &told {
        Told::Plain => return None,
        Told::Filter(..) | Told::Controller(..) => StatusCode::OK,
        Told::Generic => StatusCode::from_u16(refusal.code().status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let entry = |code: &str, message: &str| json!({"errorCode": code, "errorMessage": message});
    let generic = entry(GENERIC.0, GENERIC.1);
    let errors = match &told {
        Told::Filter(code, message) => vec![generic, entry(code, message)],
        Told::Controller(code, message) => vec![entry(code, message)],
        Told::Generic | Told::Plain => vec![generic],
    };
    let mut body = json!({
        "transactionID": trail.transaction_id(),
        "version": "1.0",
        "id": operation.id(),
        "errors": errors,
        "responseTime": time::format(trail.at()),
    });
    if let (Some(response), Some(members)) = (empty_response(operation), body.as_object_mut()) {
        members.insert("response".to_owned(), response);
    }
    Some(RefusalAnswer {
        status,
        content_type: "application/json",
        body: Bytes::from(body.to_string()),
        signed: true,
    })
}

/// The shape of `response` beside errors (IDA reference 2.8).
fn empty_response(operation: Operation) -> Option<Value> {
    match operation {
        Operation::Kyc => Some(json!({"kycStatus": false})),
        Operation::Otp => None,
        Operation::KycExchange => Some(json!({})),
        Operation::VciExchange => Some(Value::Null),
        Operation::Auth | Operation::KycAuth | Operation::KeyBinding => {
            Some(json!({"authStatus": false, "authToken": null}))
        }
    }
}

fn filter(code: &'static str, message: &str) -> Told {
    Told::Filter(code, message.to_owned())
}

#[expect(
    clippy::too_many_lines,
    reason = "one exhaustive match: what the caller may know is decided here and only here"
)]
fn told(refusal: &Refusal) -> Told {
    let member = refusal.member().unwrap_or("request");
    match refusal.code() {
        // Who and with which keys (IDA reference section 8).
        Code::PartnerUnknown | Code::ApiKeyUnknown => {
            filter("IDA-MPA-009", "Partner is not registered")
        }
        Code::PartnerInactive | Code::ApiKeyInactive | Code::PartnerNotValid => {
            filter("IDA-MPA-012", "Partner is deactivated")
        }
        Code::ApiKeyNotValid => filter(
            "IDA-MPA-039",
            "Partner API is expired or using before Commence Start Date.",
        ),
        Code::LicenceUnknown => filter(
            "IDA-MPA-007",
            "License key does not belong to a registered MISP",
        ),
        Code::LicenceBlocked => filter("IDA-MPA-017", "License key of MISP is blocked"),
        Code::LicenceExpired => filter("IDA-MPA-008", "License key of MISP has expired"),
        Code::PolicyUnknown => filter(
            "IDA-MPA-018",
            "Policy ID does not belong to a registered Partner",
        ),
        Code::PolicyInactive => filter("IDA-MPA-019", "Partner policy is not active"),
        // The member is the permission that the policy lacks (`policy::Operation::permission`).
        Code::PolicyRoute => match refusal.member() {
            Some("otp-request") => {
                filter("IDA-MPA-005", "OTP Request Usage not allowed as per policy")
            }
            Some("kycauth") => filter("IDA-MPA-025", "Partner is unauthorised for KYC-Auth"),
            Some("kycexchange") => {
                filter("IDA-MPA-026", "Partner is unauthorised for KYC-Exchange")
            }
            Some("keybinding") => filter("IDA-MPA-033", "Partner is unauthorised for KeyBinding"),
            Some("vciexchange") => {
                filter("IDA-MPA-036", "Partner is unauthorised for VCI-Exchange")
            }
            _ => filter("IDA-MPA-013", "Partner is unauthorised for eKYC"),
        },
        Code::MispPolicyMissing => filter("IDA-MPA-023", "MISP Partner Policy not availble."),
        // The member is the operation.
        Code::MispPolicyRoute => {
            let code = match refusal.member() {
                Some("kyc-auth") => "IDA-MPA-030",
                Some("kyc-exchange") => "IDA-MPA-031",
                Some("identity-key-binding") => "IDA-MPA-032",
                _ => "IDA-MPA-037",
            };
            Told::Filter(code, format!("{member} not allowed as per MISP policy"))
        }
        Code::PolicyFactor => Told::Filter(
            "IDA-MPA-006",
            format!("{member} Authentication usage not allowed as per policy"),
        ),
        Code::PolicyMandatory => Told::Filter(
            "IDA-MPA-015",
            format!("{member}-authentiation usage is mandatory as per policy"),
        ),
        // MOSIP has no rules like the operator's; in its words, too, it is a matter of policy.
        Code::RuleForbids | Code::RuleNone | Code::RuleForbidsContent | Code::RuleNoneContent => {
            Told::Filter(
                "IDA-MPA-006",
                format!("{member} Authentication usage not allowed as per policy"),
            )
        }
        Code::PartnerMismatch | Code::SignerUnbound | Code::SignerForeign | Code::SignerRole => {
            filter(
                "IDA-MPA-021",
                "Partner (Auth) Certificate not matching with signature header certificate.",
            )
        }
        // The signature.
        Code::SignatureMissing | Code::MemberMissing => {
            Told::Filter("IDA-MLC-006", format!("Missing Input Parameter - {member}"))
        }
        Code::SignatureForm
        | Code::SignatureAlgorithm
        | Code::SignerUnusable
        | Code::SignatureTarget
        | Code::SignatureWrong => filter(
            "IDA-MPA-001",
            "Digital signature verification failed for request",
        ),
        // The content.
        Code::RecipientUnknown | Code::Undecryptable => {
            filter("IDA-MPA-003", "Unable to decrypt Request")
        }
        Code::IntegrityWrong => filter("IDA-MPA-016", "HMAC Validation failed"),
        Code::MemberInvalid | Code::MessageForm => {
            Told::Filter("IDA-MLC-009", format!("Invalid Input Parameter - {member}"))
        }
        Code::ConsentMissing => Told::Controller(
            "IDA-MLC-012",
            "Individual's Consent is not available".to_owned(),
        ),
        Code::NoFactor => {
            Told::Controller("IDA-MLC-008", "No authentication type selected".to_owned())
        }
        // The time.
        Code::TimeForm => Told::Controller(
            "IDA-MLC-009",
            "Invalid Input Parameter - requestTime".to_owned(),
        ),
        Code::Stale | Code::FromTheFuture => Told::Controller(
            "IDA-MLC-001",
            "Request to be received at MOSIP within 30 seconds. Attribute: requestTime".to_owned(),
        ),
        // Nothing that MOSIP would have said: its generic code, with an HTTP status that tells the truth.
        Code::Replayed
        | Code::ReplayClosed
        | Code::ReplayFull
        | Code::NoRecipient
        | Code::UpstreamDown
        | Code::UpstreamSlow
        | Code::UpstreamBroken
        | Code::UpstreamSize
        | Code::UpstreamSignature
        | Code::UpstreamForm
        | Code::UpstreamUndecryptable
        | Code::Overloaded
        | Code::Fault
        | Code::StoreDown
        | Code::SharedGone
        | Code::QuotaRate
        | Code::QuotaDay
        | Code::RuleFailed
        | Code::EvidenceQueue
        | Code::EvidenceWrite
        | Code::EvidenceSlow
        | Code::ReplacementForm
        | Code::ReplacementUnreadable
        | Code::ReplacementPath
        | Code::ReplacementOrganisation
        | Code::ReplacementUsage
        | Code::ReplacementKey
        | Code::ReplacementTime
        | Code::ReplacementRevoked
        | Code::ReplacementBound
        | Code::ReplacementTooMany
        | Code::ReplacementNothing
        | Code::ChallengeForeign
        | Code::ChallengeStale
        | Code::ChallengeUsed
        | Code::ProofForm
        | Code::ProofWrong
        | Code::ReplacementBegin
        | Code::EvidenceUnknown
        | Code::EvidenceQuery
        | Code::EvidenceEarly
        | Code::EvidenceDown
        | Code::BearerMissing
        | Code::BearerForm
        | Code::BearerSignature
        | Code::BearerIssuer
        | Code::BearerAudience
        | Code::BearerExpired
        | Code::BearerScope
        | Code::BearerRecord
        | Code::BearerKeys
        | Code::RegistrationKind
        | Code::RegistrationOther
        | Code::LoginForeign
        | Code::IdaInput
        | Code::IdaRefused
        | Code::SealedForm
        | Code::SeederForm
        | Code::SeederProgram
        | Code::SeederCallback
        | Code::SeederUnknown
        | Code::LoginRefused
        | Code::LoginDown
        | Code::LoginForm
        | Code::TokenRefused
        | Code::PacketForbidden
        | Code::PacketErrors
        | Code::PacketLost
        | Code::IntentUnexpected
        | Code::TopicForbidden
        | Code::CallbackForbidden
        | Code::SubscriptionForm
        | Code::PacketAnswer
        | Code::ClientUnknown
        | Code::RedirectUnknown
        | Code::AssertionForm
        | Code::AssertionSignature
        | Code::AssertionClaim
        | Code::AssertionReplayed
        | Code::AssertionUnwanted
        | Code::EsignetKeys
        | Code::TokenAnswer
        | Code::UserinfoForm
        | Code::UserinfoSignature
        | Code::UserinfoSubject
        | Code::AccessTokenUnknown
        | Code::EsignetRefused
        | Code::NoSigner => Told::Generic,
        // Form and identity, before MOSIP's protocol begins.
        Code::HttpMalformed
        | Code::HttpLength
        | Code::HttpChunked
        | Code::HttpHost
        | Code::HttpUpgrade
        | Code::HttpPath
        | Code::HttpHeader
        | Code::HttpHeadSize
        | Code::HttpBodySize
        | Code::HttpSlow
        | Code::HttpExpect
        | Code::HttpBodyCut
        | Code::HttpSpoofed
        | Code::CertificateUnbound
        | Code::CertificateRole
        | Code::CertificateUnusable
        | Code::ServiceUnknown
        | Code::RouteUnknown
        | Code::MethodNotAllowed
        | Code::RouteForbidden
        | Code::MediaType
        | Code::QueryNotAllowed => Told::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Side;

    #[test]
    fn each_operation_that_a_policy_lacks_has_mosips_own_code() {
        let code = |operation: Operation| {
            let refusal = Refusal::from(Code::PolicyRoute).naming(operation.permission().unwrap());
            match told(&refusal) {
                Told::Filter(code, _) => code,
                Told::Controller(..) | Told::Generic | Told::Plain => "-",
            }
        };
        for (operation, expected) in [
            (Operation::Kyc, "IDA-MPA-013"),
            (Operation::Otp, "IDA-MPA-005"),
            (Operation::KycAuth, "IDA-MPA-025"),
            (Operation::KycExchange, "IDA-MPA-026"),
            (Operation::KeyBinding, "IDA-MPA-033"),
            (Operation::VciExchange, "IDA-MPA-036"),
        ] {
            assert_eq!(code(operation), expected, "{operation:?}");
        }
    }

    /// IDA reference section 8 row by row, then the policy errors of 2.3 and 2.7. Which state gives which of our codes is the
    /// table of `policy::admission`.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table: one entry a row")]
    fn every_state_and_every_policy_error_has_mosips_own_code() {
        let plain = Refusal::from;
        let naming = |code, member| Refusal::from(code).naming(member);
        for (given, refusal, expected) in [
            (
                "no mapping, mapping deleted, API key deleted",
                plain(Code::ApiKeyUnknown),
                "IDA-MPA-009",
            ),
            (
                "partner deleted",
                plain(Code::PartnerUnknown),
                "IDA-MPA-009",
            ),
            (
                "partner inactive",
                plain(Code::PartnerInactive),
                "IDA-MPA-012",
            ),
            ("policy deleted", plain(Code::PolicyUnknown), "IDA-MPA-018"),
            (
                "policy inactive, not commenced, expired",
                plain(Code::PolicyInactive),
                "IDA-MPA-019",
            ),
            (
                "API key inactive",
                plain(Code::ApiKeyInactive),
                "IDA-MPA-012",
            ),
            (
                "API key not commenced, expired",
                plain(Code::ApiKeyNotValid),
                "IDA-MPA-039",
            ),
            (
                "licence missing, deleted, not commenced",
                plain(Code::LicenceUnknown),
                "IDA-MPA-007",
            ),
            (
                "licence inactive",
                plain(Code::LicenceBlocked),
                "IDA-MPA-017",
            ),
            (
                "licence expired",
                plain(Code::LicenceExpired),
                "IDA-MPA-008",
            ),
            (
                "no MISP policy",
                plain(Code::MispPolicyMissing),
                "IDA-MPA-023",
            ),
            (
                "MISP: kyc-auth",
                naming(Code::MispPolicyRoute, "kyc-auth"),
                "IDA-MPA-030",
            ),
            (
                "MISP: kyc-exchange",
                naming(Code::MispPolicyRoute, "kyc-exchange"),
                "IDA-MPA-031",
            ),
            (
                "MISP: key binding",
                naming(Code::MispPolicyRoute, "identity-key-binding"),
                "IDA-MPA-032",
            ),
            (
                "MISP: vci",
                naming(Code::MispPolicyRoute, "vci-exchange"),
                "IDA-MPA-037",
            ),
            (
                "factor not allowed",
                naming(Code::PolicyFactor, "OTP"),
                "IDA-MPA-006",
            ),
            (
                "factor mandatory",
                naming(Code::PolicyMandatory, "otp"),
                "IDA-MPA-015",
            ),
            ("rule forbids", plain(Code::RuleForbids), "IDA-MPA-006"),
            ("no rule permits", plain(Code::RuleNone), "IDA-MPA-006"),
            (
                "rule forbids the content",
                plain(Code::RuleForbidsContent),
                "IDA-MPA-006",
            ),
            (
                "no rule permits the content",
                plain(Code::RuleNoneContent),
                "IDA-MPA-006",
            ),
        ] {
            match told(&refusal) {
                Told::Filter(code, message) => {
                    assert_eq!(code, expected, "{given}");
                    assert!(!message.is_empty(), "{given}");
                }
                Told::Controller(..) | Told::Generic | Told::Plain => panic!("{given}"),
            }
        }
    }

    #[test]
    fn whatever_is_not_the_callers_doing_is_never_told_as_a_handled_mosip_error() {
        for code in Code::ALL.iter().filter(|c| c.side() != Side::Caller) {
            let told = told(&Refusal::from(*code));
            assert!(matches!(told, Told::Generic), "{code}");
        }
    }
}
