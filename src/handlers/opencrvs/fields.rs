//! What a registration brings, member by member.

use serde_json::{Map, Value};

use crate::{
    envelope::json,
    refusal::{Code, Refusal},
};

/// Names that travel in ids, keys and URLs.
const NAME_MAX: usize = 128;
/// Fields of one registration.
const FIELDS_MAX: usize = 200;

/// A member that is an object.
pub(super) fn object<'b>(
    of: &'b Map<String, Value>,
    name: &'static str,
) -> Result<&'b Map<String, Value>, Refusal> {
    match of.get(name) {
        Some(Value::Object(members)) if members.len() <= FIELDS_MAX => Ok(members),
        Some(Value::Object(_)) => Err(invalid(name, "has too many members")),
        None | Some(Value::Null) => Err(missing(name)),
        Some(_) => Err(invalid(name, "is no object")),
    }
}

/// A member that is a name: short and printable.
pub(super) fn name(of: &Map<String, Value>, member: &'static str) -> Result<String, Refusal> {
    let text = text(of, member)?.ok_or_else(|| missing(member))?;
    if text.len() > NAME_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(
            member,
            "is longer than 128 characters, or has others than visible ones",
        ));
    }
    Ok(text.to_owned())
}

/// A member that may be missing, null or empty.
pub(super) fn text<'b>(
    of: &'b Map<String, Value>,
    member: &'static str,
) -> Result<Option<&'b str>, Refusal> {
    match of.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(member, "is no text")),
    }
}

/// A map of texts, as MOSIP takes it: what is not a text becomes its JSON text, and what looks like JSON text must be some.
/// Country configuration glues such texts together, and a quotation mark in a name breaks or changes them.
pub(super) fn texts(
    of: &Map<String, Value>,
    member: &'static str,
) -> Result<Map<String, Value>, Refusal> {
    let mut texts = Map::new();
    for (name, value) in of {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => {
                let tight: String = text
                    .chars()
                    .filter(|c| !c.is_whitespace())
                    .take(2)
                    .collect();
                let looks_like_json = tight == "[{" || tight == "{\"";
                if looks_like_json && !is_json(text) {
                    return Err(invalid(
                        member,
                        "has a value that begins like JSON and is none: a quotation mark or backslash in it is not escaped",
                    ));
                }
                text.clone()
            }
            other => other.to_string(),
        };
        texts.insert(name.clone(), Value::String(text));
    }
    Ok(texts)
}

/// Strict, as an object or array.
fn is_json(text: &str) -> bool {
    let wrapped = format!("{{\"v\":{text}}}");
    json::object(wrapped.as_bytes(), wrapped.len()).is_ok_and(|members| members.len() == 1)
}

pub(super) fn missing(member: &'static str) -> Refusal {
    Refusal::new(
        Code::MemberMissing,
        format!("`{member}` is missing or empty"),
    )
    .naming(member)
}

pub(super) fn invalid(member: &'static str, why: &str) -> Refusal {
    Refusal::new(Code::MemberInvalid, format!("`{member}` {why}")).naming(member)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
    fn of(value: Value) -> Result<Map<String, Value>, Refusal> {
        texts(value.as_object().unwrap(), "requestFields")
    }

    #[test]
    fn values_become_texts() {
        let texts = of(
            json!({"a": "x", "b": [{"language": "eng", "value": "O\"Hara"}], "c": null, "d": 7}),
        )
        .unwrap();
        assert_eq!(texts["b"], r#"[{"language":"eng","value":"O\"Hara"}]"#);
        assert_eq!((texts.len(), &texts["d"]), (3, &json!("7")));
    }

    #[test]
    fn glued_json_that_broke_or_was_injected_is_refused() {
        for broken in [
            r#"[{"language":"eng","value":"O"Hara"}]"#,
            r#"[{"language":"eng","value":"back\"}]"#,
            r#"[{"language":"eng","value":"a"}],"uin":"1"#,
            r#"[{"language":"eng","value":"a","value":"b"}]"#,
            r#"{"a":1} , "b":2"#,
        ] {
            let refused = of(json!({"fullName": broken})).unwrap_err();
            assert_eq!(refused.code(), Code::MemberInvalid, "{broken}");
        }
        assert!(of(json!({"fullName": r#"[{"language":"eng","value":"O\"Hara"}]"#})).is_ok());
        assert!(of(json!({"address": "[rear] 7 Main Street"})).is_ok());
    }
}
