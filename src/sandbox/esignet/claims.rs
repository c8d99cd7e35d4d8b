//! The claims about a person (reference 4.6): only what was consented to, and by language as the identity authority has it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::sandbox::people::{Person, Text, in_language};

/// Every claim there is.
pub(super) const KNOWN: [&str; 12] = [
    "name",
    "given_name",
    "middle_name",
    "family_name",
    "gender",
    "birthdate",
    "email",
    "phone_number",
    "address",
    "picture",
    "individual_id",
    "locale",
];

/// Languages, with two letters and with three.
pub(super) const LOCALES: [(&str, &str); 5] = [
    ("en", "eng"),
    ("fr", "fra"),
    ("es", "spa"),
    ("ar", "ara"),
    ("hi", "hin"),
];

/// The known ones of `claims_locales`; English when none is.
pub(super) fn known_locales(asked: &str) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = asked
        .split(' ')
        .filter_map(|word| LOCALES.iter().find(|(short, _)| *short == word))
        .map(|(short, _)| *short)
        .collect();
    known.dedup();
    if known.is_empty() {
        known.push("en");
    }
    known
}

/// Whether a scope stands for a claim.
pub(super) fn in_scopes(claim: &str, scopes: &[&str]) -> bool {
    match claim {
        "email" => scopes.contains(&"email"),
        "phone_number" => scopes.contains(&"phone"),
        "address" | "individual_id" => false,
        _ => scopes.contains(&"profile"),
    }
}

/// What the consent page calls a claim.
pub(super) fn title(claim: &str) -> &str {
    match claim {
        "name" => "Full name",
        "given_name" => "Given name",
        "middle_name" => "Middle name",
        "family_name" => "Family name",
        "gender" => "Gender",
        "birthdate" => "Date of birth",
        "email" => "E-mail address",
        "phone_number" => "Phone number",
        "address" => "Address",
        "picture" => "Picture",
        "individual_id" => "National ID",
        "locale" => "Language",
        other => other,
    }
}

/// The payload of userinfo: `sub` and the claims consented to, nothing else.
pub(super) fn payload(
    person: &Person,
    individual: &str,
    subject: &str,
    consented: &[String],
    locales: &[&str],
) -> Value {
    let mut members = Map::from_iter([("sub".to_owned(), json!(subject))]);
    for claim in consented {
        let plain = match claim.as_str() {
            "birthdate" => Some(person.date_of_birth.clone()),
            "email" => person.email.clone(),
            "phone_number" => person.phone.clone(),
            "individual_id" => Some(individual.to_owned()),
            "locale" => Some(locales.join(" ")),
            "picture" => Some(format!(
                "data:image/png;base64,{}",
                STANDARD.encode(&person.photo)
            )),
            _ => None,
        };
        if let Some(value) = plain {
            members.insert(claim.clone(), json!(value));
            continue;
        }
        for locale in locales {
            // One language: plain names. Several: every name says its own.
            let suffix = if locales.len() > 1 {
                format!("#{locale}")
            } else {
                String::new()
            };
            if let Some(value) = spoken(claim, person, locale, &suffix) {
                members.insert(format!("{claim}{suffix}"), value);
            }
        }
    }
    Value::Object(members)
}

fn spoken(claim: &str, person: &Person, locale: &str, suffix: &str) -> Option<Value> {
    let (_, language) = LOCALES.iter().find(|(short, _)| *short == locale)?;
    let name = || in_language(&person.name, language);
    let words = || name().map(|name| name.split(' ').collect::<Vec<_>>());
    match claim {
        "name" => name().map(|name| json!(name)),
        "given_name" => words()?.first().map(|word| json!(word)),
        "family_name" => words()?.last().map(|word| json!(word)),
        "middle_name" => match words()?.as_slice() {
            [_, middle @ .., _] if !middle.is_empty() => Some(json!(middle.join(" "))),
            _ => None,
        },
        "gender" => in_language(&person.gender, language).map(|text| json!(text)),
        "address" => address(person, language, suffix),
        _ => None,
    }
}

fn address(person: &Person, language: &str, suffix: &str) -> Option<Value> {
    let say = |texts: &[Text]| in_language(texts, language).map(str::to_owned);
    let lines: Option<Vec<String>> = person.address_lines.iter().map(|line| say(line)).collect();
    let street = lines?.join(", ");
    let [city, region, province] = &person.locations;
    let (city, region, province) = (say(city)?, say(region)?, say(province)?);
    let whole = format!(
        "{street}, {city}, {region}, {province} {}",
        person.postal_code
    );
    let member = |name: &str| format!("{name}{suffix}");
    Some(Value::Object(Map::from_iter([
        (member("formatted"), json!(whole)),
        (member("street_address"), json!(street)),
        (member("locality"), json!(city)),
        (member("region"), json!(region)),
        (member("postal_code"), json!(person.postal_code)),
    ])))
}
