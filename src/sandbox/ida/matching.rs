//! Demographic matching: exact after normalising (case, white space, ASCII punctuation), as IDA's default strategy is. A
//! stated age matches when the individual is at least that old.

use time::{Date, Month, OffsetDateTime};

use super::{
    failure::Failure,
    inner::{Demographics, Spoken},
};
use crate::{
    clock::Moment,
    sandbox::people::{Person, Text, in_language},
};

/// What does not match, in the order of the members; nothing means that all do.
pub(super) fn demographics(stated: &Demographics, person: &Person, now: Moment) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (member, list) in stated.spoken() {
        for spoken in list {
            failures.extend(in_words(member, spoken, person));
        }
    }
    let mut plain = |member: &str, stated: Option<&str>, real: Option<&str>| {
        let Some(stated) = stated.filter(|text| !text.is_empty()) else {
            return;
        };
        match real {
            None => failures.push(absent(member)),
            Some(real) if normalised(real) == normalised(stated) => {}
            Some(_) => failures.push(mismatch(member)),
        }
    };
    plain(
        "phoneNumber",
        stated.phone_number.as_deref(),
        person.phone.as_deref(),
    );
    plain(
        "emailId",
        stated.email_id.as_deref(),
        person.email.as_deref(),
    );
    plain(
        "postalCode",
        stated.postal_code.as_deref(),
        Some(&person.postal_code),
    );
    let born = date(&person.date_of_birth);
    if let Some(dob) = stated.dob.as_deref().filter(|text| !text.is_empty())
        && date(dob) != born
    {
        failures.push(mismatch("dob"));
    }
    if let Some(age) = stated
        .age
        .as_deref()
        .and_then(|age| age.parse::<i32>().ok())
        && born.is_none_or(|born| years(born, now) < age)
    {
        failures.push(mismatch("age"));
    }
    for member in stated
        .others
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| name)
    {
        failures.push(absent(member));
    }
    failures
}

/// A date as IDA writes it: `yyyy/MM/dd`.
pub(super) fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    Date::from_calendar_date(
        year.parse().ok()?,
        Month::try_from(month.parse::<u8>().ok()?).ok()?,
        day.parse().ok()?,
    )
    .ok()
}

/// The full years since a birth.
pub(super) fn years(born: Date, now: Moment) -> i32 {
    let today = OffsetDateTime::from_unix_timestamp(now.s())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .date();
    let had_birthday =
        (u8::from(today.month()), today.day()) >= (u8::from(born.month()), born.day());
    today
        .year()
        .saturating_sub(born.year())
        .saturating_sub(i32::from(!had_birthday))
}

/// The whole address in one language, as it is matched and given.
pub(super) fn full_address(person: &Person, language: &str) -> Option<String> {
    let parts: Option<Vec<&str>> = person
        .address_lines
        .iter()
        .chain(&person.locations)
        .map(|texts| in_language(texts, language))
        .collect();
    Some(format!("{} {}", parts?.join(" "), person.postal_code))
}

fn in_words(member: &str, spoken: &Spoken, person: &Person) -> Option<Failure> {
    let language = spoken.language.as_deref()?;
    let stated = spoken.value.as_deref().filter(|text| !text.is_empty())?;
    let from = |texts: Option<&Vec<Text>>| {
        texts
            .and_then(|texts| in_language(texts, language))
            .map(str::to_owned)
    };
    let [line1, line2, line3] = &person.address_lines;
    let [city, region, province] = &person.locations;
    let real = match member {
        "name" => from(Some(&person.name)),
        "gender" => from(Some(&person.gender)),
        "addressLine1" => from(Some(line1)),
        "addressLine2" => from(Some(line2)),
        "addressLine3" => from(Some(line3)),
        "location1" => from(Some(city)),
        "location2" => from(Some(region)),
        "location3" => from(Some(province)),
        "fullAddress" => full_address(person, language),
        _ => None,
    };
    match real {
        None => Some(absent(&format!("{member} in {language}"))),
        Some(real) if normalised(&real) == normalised(stated) => None,
        Some(_) => Some(mismatch(&format!("{member} in {language}"))),
    }
}

fn normalised(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .flat_map(char::to_lowercase)
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn mismatch(what: &str) -> Failure {
    Failure::new(
        "IDA-DEA-001",
        format!("Demographic data {what} did not match"),
    )
    .acting(format!("Please re-enter your {what}"))
}

fn absent(what: &str) -> Failure {
    Failure::new(
        "IDA-DEA-003",
        format!("Demographic data {what} not available in database"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::people;

    fn stated(json: &str) -> Demographics {
        serde_json::from_str(json).unwrap()
    }

    fn codes(json: &str) -> Vec<&'static str> {
        let person = &people::all()[0];
        demographics(&stated(json), person, Moment::from_s(1_790_000_000))
            .iter()
            .map(|failure| failure.error_code)
            .collect()
    }

    #[test]
    fn case_spaces_and_punctuation_do_not_matter_but_words_do() {
        assert!(codes(r#"{"name":[{"language":"eng","value":"  ADA,  example "}]}"#).is_empty());
        assert_eq!(
            codes(r#"{"name":[{"language":"eng","value":"Ada Exemple"}]}"#),
            ["IDA-DEA-001"]
        );
        assert!(codes(r#"{"name":[{"language":"fra","value":"Ada Exemple"}]}"#).is_empty());
    }

    #[test]
    fn a_language_the_person_has_no_name_in_is_not_in_the_database() {
        assert_eq!(
            codes(r#"{"name":[{"language":"hin","value":"Ada"}]}"#),
            ["IDA-DEA-003"]
        );
    }

    #[test]
    fn every_wrong_member_is_named() {
        assert_eq!(
            codes(
                r#"{"dob":"1987/11/24","phoneNumber":"1","postalCode":"10001","emailId":"PERSON01@sandbox.example.org"}"#
            ),
            ["IDA-DEA-001", "IDA-DEA-001"]
        );
    }

    #[test]
    fn an_age_matches_up_to_the_real_one() {
        // Born 1987/11/25; the moment is 2026-09-21.
        assert!(codes(r#"{"age":"38"}"#).is_empty() && codes(r#"{"age":"18"}"#).is_empty());
        assert_eq!(codes(r#"{"age":"39"}"#), ["IDA-DEA-001"]);
    }
}
