//! The form of a token request: every name once, and none that the request does not take.

use crate::{
    handlers::form::decoded,
    refusal::{Code, Refusal},
};

/// Fields of one form.
const FIELDS_MAX: usize = 16;
/// What a request for tokens may hold (reference 4.3).
const TAKEN: [&str; 7] = [
    "grant_type",
    "code",
    "redirect_uri",
    "client_id",
    "client_assertion_type",
    "client_assertion",
    "code_verifier",
];

/// A form, with the bytes of each field as they came.
pub(super) struct Form<'b> {
    fields: Vec<Field<'b>>,
}

struct Field<'b> {
    name: String,
    value: String,
    raw: &'b [u8],
}

impl<'b> Form<'b> {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(body: &'b [u8]) -> Result<Self, Refusal> {
        let form = |cause: &str| Refusal::new(Code::MessageForm, cause);
        let mut fields: Vec<Field<'b>> = Vec::new();
        for raw in body.split(|b| *b == b'&') {
            if fields.len() >= FIELDS_MAX {
                return Err(form("too many fields"));
            }
            let at = raw.iter().position(|b| *b == b'=');
            let (name, value) = at
                .and_then(|at| raw.split_at_checked(at))
                .ok_or_else(|| form("a field without `=`"))?;
            let value = value.get(1..).unwrap_or_default();
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(form("a field that is not percent-encoded UTF-8"));
            };
            if fields.iter().any(|f| f.name == name) {
                return Err(form("a field stands twice"));
            }
            if !TAKEN.contains(&name.as_str()) {
                return Err(Refusal::new(
                    Code::MemberInvalid,
                    "a field that a token request does not take",
                ));
            }
            fields.push(Field { name, value, raw });
        }
        Ok(Self { fields })
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|f| f.name == name);
        found.map(|f| f.value.as_str())
    }

    /// The value of a field that must be there.
    pub(super) fn needed(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).filter(|v| !v.is_empty()).ok_or_else(|| {
            let cause = format!("`{name}` is missing or empty");
            Refusal::new(Code::MemberMissing, cause).naming(name)
        })
    }

    /// The bytes of all fields but these, as they came.
    pub(super) fn without(&self, names: &[&str]) -> Vec<u8> {
        let kept = self
            .fields
            .iter()
            .filter(|f| !names.contains(&f.name.as_str()));
        let raw: Vec<&[u8]> = kept.map(|f| f.raw).collect();
        raw.join(&b'&')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Option<Code> {
        Form::parse(body.as_bytes()).err().map(|r| r.code())
    }

    #[test]
    fn a_form_is_read_and_its_other_bytes_are_kept() {
        let body = b"code=a%2Bb&redirect_uri=https%3a%2F%2Fx%2F%3Fq%3D1&client_assertion=x.y.z&client_id=c+d";
        let form = Form::parse(body).unwrap();
        assert_eq!(form.get("code"), Some("a+b"));
        assert_eq!(form.get("redirect_uri"), Some("https://x/?q=1"));
        assert_eq!(form.get("client_id"), Some("c d"));
        assert_eq!(
            form.without(&["client_assertion"]),
            b"code=a%2Bb&redirect_uri=https%3a%2F%2Fx%2F%3Fq%3D1&client_id=c+d"
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "code",
            "code=1&",
            "code=1&code=2",
            "code=1&c%6fde=2",
            "code=%2",
            "code=%zz",
            "code=%ff",
            "code=%00",
            "code=a b",
            "code=\u{fc}",
        ] {
            assert_eq!(code(bad), Some(Code::MessageForm), "{bad}");
        }
        assert_eq!(code("code=1&scope=all"), Some(Code::MemberInvalid));
        assert_eq!(
            Form::parse(b"code=")
                .ok()
                .unwrap()
                .needed("code")
                .unwrap_err()
                .member(),
            Some("code")
        );
    }
}
