//! MOSIP's data share policy document: which attributes of a person a credential may carry to a partner (IDA reference 5.5).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Report;

/// A data share policy. How the data are encrypted and how often they may be fetched is between MOSIP's data share and its
/// caller; here it says which attributes may be handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSharePolicy {
    shareable: BTreeSet<String>,
}

/// The document as MOSIP's schema has it: every number is a text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    #[expect(
        dead_code,
        reason = "held against the schema; nothing here is ours to enforce"
    )]
    data_share_policies: Share,
    shareable_attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "held against the schema; nothing here is ours to enforce"
)]
struct Share {
    type_of_share: TypeOfShare,
    valid_for_in_minutes: String,
    transactions_allowed: String,
    encryption_type: EncryptionType,
    share_domain: String,
    source: String,
    #[serde(default)]
    protocol: Option<String>,
}

#[derive(Deserialize)]
enum TypeOfShare {
    #[serde(rename = "Data Share")]
    DataShare,
    #[serde(rename = "direct")]
    Direct,
}

#[derive(Deserialize)]
enum EncryptionType {
    #[serde(rename = "Partner Based")]
    PartnerBased,
    #[serde(rename = "none")]
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Attribute {
    attribute_name: String,
    #[expect(dead_code, reason = "where MOSIP takes it from")]
    #[serde(default)]
    source: Value,
    #[expect(dead_code, reason = "MOSIP's own encryption inside the credential")]
    #[serde(default)]
    encrypted: bool,
    #[expect(dead_code, reason = "how MOSIP writes it")]
    #[serde(default)]
    group: Option<String>,
    #[expect(dead_code, reason = "how MOSIP writes it")]
    #[serde(default)]
    format: Option<String>,
}

impl DataSharePolicy {
    /// Reads a document. A mistake is reported at `field` of the policy that names it.
    pub fn parse(text: &str, field: &str, report: &mut Report<'_>) -> Option<Self> {
        match serde_json::from_str::<Raw>(text) {
            Ok(raw) => Some(Self {
                shareable: raw
                    .shareable_attributes
                    .into_iter()
                    .map(|a| a.attribute_name)
                    .collect(),
            }),
            Err(e) => {
                let remedy = "It has dataSharePolicies and shareableAttributes as MOSIP's schema says; numbers in it are texts.";
                report.error(
                    field,
                    format!("the document is not a data share policy: {e}"),
                    remedy,
                );
                None
            }
        }
    }

    /// Whether an attribute may be handed on.
    pub fn shares(&self, attribute: &str) -> bool {
        self.shareable.contains(attribute)
    }

    /// Takes out of a credential's subject what may not be handed on; its id stays. Says how many members went.
    pub fn narrow(&self, credential: &mut Map<String, Value>) -> usize {
        let Some(Value::Object(subject)) = credential.get_mut("credentialSubject") else {
            return 0;
        };
        let before = subject.len();
        subject.retain(|name, _| name == "id" || self.shares(name));
        before.saturating_sub(subject.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes};
    use serde_json::json;
    use std::path::Path;

    const SAMPLE: &str = include_str!("../../policies/data-share.json");

    fn parse(text: &str) -> Option<DataSharePolicy> {
        let document = Document::from_text(Path::new("triseal.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let mut report = Report::new(&document, &mut mistakes);
        let policy = DataSharePolicy::parse(text, "document", &mut report);
        assert_eq!(policy.is_none(), mistakes.refuse(), "{mistakes}");
        policy
    }

    #[test]
    fn only_what_the_policy_shares_stays_in_the_subject() {
        let policy = parse(SAMPLE).unwrap();
        let mut credential = json!({"issuer": "x", "credentialSubject": {
            "id": "https://mosip.example/credentials/1", "fullName": "Ada", "phone": "1", "fullname": "Ada",
        }});
        let members = credential.as_object_mut().unwrap();
        assert_eq!(policy.narrow(members), 2);
        let left = json!({"issuer": "x", "credentialSubject": {
            "id": "https://mosip.example/credentials/1", "fullName": "Ada",
        }});
        assert_eq!(credential, left);
    }

    #[test]
    fn what_mosips_schema_does_not_take_is_refused() {
        for (from, to) in [
            ("\"30\"", "30"),
            ("\"Data Share\"", "\"data share\""),
            ("\"Partner Based\"", "\"Partner\""),
            ("\"attributeName\"", "\"attribute\""),
            ("\"shareableAttributes\"", "\"attributes\""),
        ] {
            assert!(SAMPLE.contains(from), "{from}");
            assert!(parse(&SAMPLE.replacen(from, to, 1)).is_none(), "{to}");
        }
    }
}
