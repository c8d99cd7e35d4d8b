//! `POST /esignet/get-oidp-user-info`: who has logged in, in the words of OpenCRVS' forms (reference 4.7).
//!
//! The caller names client and redirect URI, as the middleware's does; here both have to be the configured ones, and everything
//! that E-Signet says is verified before it is repeated.

use serde_json::{Map, Value, json};

use super::fields::{invalid, missing, text};
use crate::{
    config::{OpenCrvsEsignet, UserInfoForm},
    envelope::json as strict,
    exchange::{Gateway, Snapshot, Trail},
    handlers::{
        esignet::{Claims, login},
        form::Fields,
    },
    refusal::{Code, Refusal},
};

/// Exchanges the code in the query for who has logged in.
pub(super) async fn ask(
    gateway: &Gateway,
    snapshot: &Snapshot,
    settings: &OpenCrvsEsignet,
    query: Option<&str>,
    body: &[u8],
    trail: &Trail,
) -> Result<Value, Refusal> {
    let members = strict::object(body, body.len())
        .map_err(|why| Refusal::new(Code::MessageForm, why.to_string()))?;
    let client = text(&members, "clientId")?.ok_or_else(|| missing("clientId"))?;
    let redirect = text(&members, "redirectUri")?.ok_or_else(|| missing("redirectUri"))?;
    // The page's own parameters are no part of what E-Signet knows.
    let redirect = redirect.split('?').next().unwrap_or_default();
    let listed = settings.redirect_uris.iter().any(|known| known == redirect);
    if client != settings.client_id || !listed {
        let cause = "the caller names another client or redirect URI";
        return Err(Refusal::new(Code::LoginForeign, cause));
    }
    let parameters = Fields::parse(query.unwrap_or_default()).ok_or_else(|| {
        invalid(
            "code",
            "does not stand once and percent-encoded in the query, with at most 2048 bytes",
        )
    })?;
    let code = parameters.get("code").ok_or_else(|| missing("code"))?;
    let claims = login(
        gateway,
        snapshot,
        client,
        code,
        redirect,
        None,
        trail.correlation_id(),
    )
    .await
    .map_err(crate::handlers::esignet::LoginError::into_refusal)?;
    Ok(told(settings.form, &claims))
}

/// The answer; a claim that was not given has no member.
fn told(form: UserInfoForm, claims: &Claims) -> Value {
    let said = &claims.claims;
    let mut told = Map::new();
    told.insert("name".to_owned(), name(form, said));
    if let Some(gender) = claim(said, "gender") {
        told.insert("gender".to_owned(), json!(gender.to_lowercase()));
    }
    told.insert("dobUnknown".to_owned(), Value::Null);
    if let Some(born) = claim(said, "birthdate") {
        told.insert("birthDate".to_owned(), json!(date(born)));
    }
    told.insert("verificationStatus".to_owned(), json!("authenticated"));
    let nid = match form {
        UserInfoForm::V1 => None,
        UserInfoForm::V2 => claim(said, "individual_id"),
    };
    told.insert("idType".to_owned(), json!(nid.map(|_| "NATIONAL_ID")));
    told.insert("nid".to_owned(), json!(nid));
    if form == UserInfoForm::V2 {
        told.insert("sub".to_owned(), json!(claims.subject));
    }
    Value::Object(told)
}

/// 1.9 takes the parts of the name and, where they are missing, what 2.x takes: the whole name, split at its blanks.
fn name(form: UserInfoForm, said: &Map<String, Value>) -> Value {
    let parts = [
        ("firstname", claim(said, "given_name")),
        ("middlename", claim(said, "middle_name")),
        ("surname", claim(said, "family_name")),
    ];
    let mut name = Map::new();
    let whole = claim(said, "name");
    if form == UserInfoForm::V1 && (parts.iter().any(|(_, part)| part.is_some()) || whole.is_none())
    {
        for (member, part) in parts {
            if let Some(part) = part {
                name.insert(member.to_owned(), json!(part));
            }
        }
        return Value::Object(name);
    }
    let words: Vec<&str> = whole.unwrap_or_default().split_whitespace().collect();
    if let [first, rest @ ..] = words.as_slice() {
        name.insert("firstname".to_owned(), json!(first));
        if let [middle @ .., last] = rest {
            name.insert("middlename".to_owned(), json!(middle.join(" ")));
            name.insert("surname".to_owned(), json!(last));
        }
    }
    Value::Object(name)
}

/// A claim in the one language there is, in English, or in the first of several (`name#en`).
fn claim<'s>(said: &'s Map<String, Value>, name: &str) -> Option<&'s str> {
    let english = format!("{name}#en");
    let any = format!("{name}#");
    said.get(name)
        .or_else(|| said.get(&english))
        .or_else(|| (said.iter()).find_map(|(n, v)| n.starts_with(&any).then_some(v)))
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// `YYYY-MM-DD` of MOSIP's `yyyy/MM/dd`; empty when it is something else.
fn date(text: &str) -> String {
    let form = text.bytes().enumerate().all(|(i, b)| match i {
        4 | 7 => b == b'/',
        _ => b.is_ascii_digit(),
    });
    if form && text.len() == 10 {
        text.replace('/', "-")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
    fn claims(said: Value) -> Claims {
        Claims {
            subject: "psut".to_owned(),
            claims: said.as_object().unwrap().clone(),
            jws: String::new(),
            received: Moment::from_s(0),
        }
    }

    #[test]
    fn the_answer_has_the_form_of_1_9() {
        let said = claims(
            json!({"given_name": "Ada", "family_name": "Example", "gender": "Female",
            "birthdate": "1987/11/25", "individual_id": "5860356276"}),
        );
        assert_eq!(
            told(UserInfoForm::V1, &said),
            json!({"name": {"firstname": "Ada", "surname": "Example"}, "gender": "female", "dobUnknown": null,
                "birthDate": "1987-11-25", "verificationStatus": "authenticated", "idType": null, "nid": null})
        );
        let said = claims(json!({"name#en": "Ada May Example", "birthdate": "25.11.1987"}));
        let told = told(UserInfoForm::V1, &said);
        assert_eq!(
            told["name"],
            json!({"firstname": "Ada", "middlename": "May", "surname": "Example"})
        );
        assert_eq!((&told["birthDate"], told.get("gender")), (&json!(""), None));
    }

    #[test]
    fn the_answer_has_the_form_of_2_x() {
        let said = claims(json!({"name": "Ada Example", "individual_id": "5860356276"}));
        let told = told(UserInfoForm::V2, &said);
        assert_eq!(
            told["name"],
            json!({"firstname": "Ada", "middlename": "", "surname": "Example"})
        );
        assert_eq!(
            (&told["nid"], &told["idType"], &told["sub"]),
            (&json!("5860356276"), &json!("NATIONAL_ID"), &json!("psut"))
        );
    }
}
