//! The identities of the sandbox: a dozen invented people, each with a reason to be there.
//!
//! Nobody here exists. Names say so, phone numbers and addresses lead nowhere (`example.org`), and the identifiers are
//! well formed (length, Verhoeff check digit) because MOSIP checks that before it looks anybody up.

use std::fmt::Write as _;

use super::png;

/// A value in one language (ISO 639-2 code).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The language, as in `eng`.
    pub language: String,
    /// The words.
    pub value: String,
}

/// Whether an identity may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// The UIN is deactivated.
    Deactivated,
}

/// A kind of factor that a person can lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockable {
    /// Demographics.
    Demo,
    /// One-time passwords.
    Otp,
}

/// One identity.
#[derive(Clone, Debug)]
pub struct Person {
    /// Ten digits with a Verhoeff check digit.
    pub uin: String,
    /// Sixteen digits with a Verhoeff check digit.
    pub vid: String,
    /// Why this person is in the set.
    pub purpose: &'static str,
    /// The full name, in each language.
    pub name: Vec<Text>,
    /// `yyyy/MM/dd`.
    pub date_of_birth: String,
    /// The gender, in each language.
    pub gender: Vec<Text>,
    /// Three lines of address, each in each language.
    pub address_lines: [Vec<Text>; 3],
    /// City, region and province, each in each language.
    pub locations: [Vec<Text>; 3],
    /// The postal code.
    pub postal_code: String,
    /// The phone number, when there is one.
    pub phone: Option<String>,
    /// The e-mail address, when there is one.
    pub email: Option<String>,
    /// A PNG picture. (MOSIP keeps JPEG 2000 in an ISO record; here the point is only that bytes arrive unharmed.)
    pub photo: Vec<u8>,
    /// Whether it may be used.
    pub standing: Standing,
    /// Factors the person has locked.
    pub locked: Vec<Lockable>,
}

struct Row {
    purpose: &'static str,
    names: [(&'static str, &'static str); 2],
    born: &'static str,
    female: bool,
    phone: bool,
    email: bool,
    standing: Standing,
    locked: &'static [Lockable],
}

const fn row(
    purpose: &'static str,
    english: &'static str,
    other: (&'static str, &'static str),
    born: &'static str,
    female: bool,
) -> Row {
    Row {
        purpose,
        names: [("eng", english), other],
        born,
        female,
        phone: true,
        email: true,
        standing: Standing::Active,
        locked: &[],
    }
}

const ROWS: [Row; 12] = [
    row(
        "the one of the examples",
        "Ada Example",
        ("fra", "Ada Exemple"),
        "1987/11/25",
        true,
    ),
    row(
        "an accent in the other language",
        "Boris Sample",
        ("fra", "Boris Échantillon"),
        "1979/03/02",
        false,
    ),
    row(
        "three words in the name",
        "Carla May Specimen",
        ("spa", "Carla Mayo Espécimen"),
        "1990/07/14",
        true,
    ),
    row(
        "a hyphen and an apostrophe",
        "Dewi O'Place-Holder",
        ("fra", "Dewi O'Substitut"),
        "1968/01/31",
        false,
    ),
    row(
        "born on 29 February",
        "Esi Pattern",
        ("fra", "Esi Modèle"),
        "2000/02/29",
        true,
    ),
    row(
        "a name written from right to left",
        "Farid Testcase",
        ("ara", "فريد مثال"),
        "1995/09/09",
        false,
    ),
    row(
        "a name in Devanagari",
        "Gita Mockup",
        ("hin", "गीता नमूना"),
        "1983/12/05",
        true,
    ),
    row(
        "born before 1970",
        "Hugo Fiction",
        ("fra", "Hugo Fiction"),
        "1941/05/17",
        false,
    ),
    row(
        "a child",
        "Ines Invented",
        ("fra", "Inès Inventée"),
        "2016/06/30",
        true,
    ),
    Row {
        standing: Standing::Deactivated,
        ..row(
            "UIN deactivated (IDA-MLC-003)",
            "Jonas Formerly",
            ("fra", "Jonas Autrefois"),
            "1972/10/10",
            false,
        )
    },
    Row {
        locked: &[Lockable::Otp],
        ..row(
            "OTP locked (IDA-MLC-019)",
            "Kira Locksmith",
            ("fra", "Kira Serrure"),
            "1988/08/18",
            true,
        )
    },
    Row {
        phone: false,
        email: false,
        ..row(
            "no phone, no e-mail (IDA-MLC-014)",
            "Liv Unreachable",
            ("fra", "Liv Injoignable"),
            "1999/04/01",
            true,
        )
    },
];

/// The whole set, always the same.
pub fn all() -> Vec<Person> {
    (1_u64..)
        .zip(&ROWS)
        .map(|(number, row)| person(number, row))
        .collect()
}

/// The set as a Markdown table, for the documentation.
pub fn table() -> String {
    table_of(&all())
}

/// People as a Markdown table, for `GET /sandbox/people`.
pub fn table_of(people: &[Person]) -> String {
    let mut out = String::from(
        "| UIN | VID | name (eng) | name | born | gender | phone | e-mail | why |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for person in people {
        let english = in_language(&person.name, "eng").unwrap_or_default();
        let other = person
            .name
            .iter()
            .find(|text| text.language != "eng")
            .map(|text| format!("{} ({})", text.value, text.language))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {english} | {other} | {} | {} | {} | {} | {} |",
            person.uin,
            person.vid,
            person.date_of_birth,
            in_language(&person.gender, "eng").unwrap_or_default(),
            person.phone.as_deref().unwrap_or("-"),
            person.email.as_deref().unwrap_or("-"),
            person.purpose,
        );
    }
    out
}

/// The value in a language, when there is one.
pub fn in_language<'a>(texts: &'a [Text], language: &str) -> Option<&'a str> {
    texts
        .iter()
        .find(|text| text.language.eq_ignore_ascii_case(language))
        .map(|text| text.value.as_str())
}

/// Whether the last digit is the Verhoeff check digit of the ones before it.
pub fn has_check_digit(digits: &str) -> bool {
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && verhoeff(digits.bytes().rev(), 0) == Some(0)
}

fn person(number: u64, row: &Row) -> Person {
    let other = row.names.get(1).map_or("eng", |(language, _)| language);
    let both =
        |english: &str, translated: &str| vec![text("eng", english), text(other, translated)];
    let gender = match (row.female, other) {
        (true, "fra") => "Féminin",
        (false, "fra") => "Masculin",
        (true, "spa") => "Femenino",
        (false, "spa") => "Masculino",
        (true, "ara") => "أنثى",
        (false, "ara") => "ذكر",
        (true, "hin") => "महिला",
        (false, "hin") => "पुरुष",
        (true, _) => "Female",
        (false, _) => "Male",
    };
    let house = format!("{number} Example Street");
    Person {
        uin: with_check_digit(&format!(
            "{}",
            275_310_460_u64.wrapping_add(number.wrapping_mul(1_013))
        )),
        vid: with_check_digit(&format!(
            "{}",
            482_019_375_610_240_u64.wrapping_add(number.wrapping_mul(70_079))
        )),
        purpose: row.purpose,
        name: row
            .names
            .iter()
            .map(|(language, name)| text(language, name))
            .collect(),
        date_of_birth: row.born.to_owned(),
        gender: both(if row.female { "Female" } else { "Male" }, gender),
        address_lines: [
            both(&house, &house),
            both("Sample Quarter", "Sample Quarter"),
            both("Flat 1", "Flat 1"),
        ],
        locations: [
            both("Exampleville", "Exampleville"),
            both("Test Region", "Test Region"),
            both("Specimen Province", "Specimen Province"),
        ],
        postal_code: format!("{}", 10_000_u64.wrapping_add(number)),
        phone: row.phone.then(|| format!("55501{number:05}")),
        email: row
            .email
            .then(|| format!("person{number:02}@sandbox.example.org")),
        photo: png::portrait(number),
        standing: row.standing,
        locked: row.locked.to_vec(),
    }
}

fn text(language: &str, value: &str) -> Text {
    Text {
        language: language.to_owned(),
        value: value.to_owned(),
    }
}

/// Digits with their Verhoeff check digit behind them.
pub(super) fn with_check_digit(base: &str) -> String {
    let digit = verhoeff(base.bytes().rev(), 1)
        .and_then(|c| INVERSE.get(c).copied())
        .unwrap_or_default();
    format!("{base}{digit}")
}

/// Runs the digits, last first, from a position on; zero at the end means that the check digit fits.
fn verhoeff(digits: impl Iterator<Item = u8>, first: usize) -> Option<usize> {
    let mut sum = 0_usize;
    for (position, byte) in (first..).zip(digits) {
        let digit = usize::from(byte.checked_sub(b'0')?);
        let permuted = PERMUTED.get(position % 8)?.get(digit)?;
        sum = usize::from(*DIHEDRAL.get(sum)?.get(usize::from(*permuted))?);
    }
    Some(sum)
}

const DIHEDRAL: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];
const PERMUTED: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];
const INVERSE: [u8; 10] = [0, 4, 3, 2, 1, 5, 6, 7, 8, 9];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_that_of_verhoeffs_own_example() {
        assert_eq!(with_check_digit("236"), "2363");
        assert!(has_check_digit("2363"));
        assert!(!has_check_digit("2364"));
        assert!(!has_check_digit(""));
        assert!(!has_check_digit("23a3"));
    }

    #[test]
    fn everybody_has_well_formed_identifiers_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for person in all() {
            assert_eq!((person.uin.len(), person.vid.len()), (10, 16));
            assert!(has_check_digit(&person.uin) && has_check_digit(&person.vid));
            assert!(seen.insert(person.uin) && seen.insert(person.vid));
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn the_table_has_a_line_for_everybody() {
        assert_eq!(table().lines().count(), 14);
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        assert!(include_str!("../../docs/sandbox.md").contains(&table()));
    }
}
