//! What a partner may know: the identity of eKYC, filtered by its policy and encrypted to its stored certificate
//! (reference, section 3.2), and the claims of kyc-exchange (section 3.3).

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::sha::sha256;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    crypto, encoding, failure::Failure, matching, policy::AuthPolicyDoc, records::PartnerRecord,
    signature,
};
use crate::{
    clock::Moment,
    sandbox::people::{Person, Text, in_language},
};

/// The encrypted identity.
pub(super) struct Sealed {
    pub(super) identity: String,
    pub(super) session_key: String,
    pub(super) thumbprint: String,
}

/// Members of the plain identity. Attributes of the schema become IDA's own names, with `_language` where they have one.
pub(super) fn identity(
    policy: &AuthPolicyDoc,
    languages: &[String],
    person: &Person,
    now: Moment,
) -> Map<String, Value> {
    let wanted: Vec<&String> = policy
        .kyc_languages
        .iter()
        .filter(|language| {
            languages
                .iter()
                .any(|known| known.eq_ignore_ascii_case(language))
        })
        .collect();
    let wanted = if wanted.is_empty() {
        languages.iter().collect()
    } else {
        wanted
    };
    let mut members = Map::new();
    for attribute in &policy.allowed_kyc_attributes {
        let name = attribute.attribute_name.as_str();
        if let Some((member, texts)) = spoken(name, person) {
            for language in &wanted {
                if let Some(value) = in_language(texts, language) {
                    members.insert(format!("{member}_{language}"), value.into());
                }
            }
        } else if name == "fullAddress" {
            for language in &wanted {
                if let Some(value) = matching::full_address(person, language) {
                    members.insert(format!("fullAddress_{language}"), value.into());
                }
            }
        } else if let Some((member, value)) = plain(name, person, now) {
            members.insert(member.to_owned(), value.into());
        }
    }
    members
}

/// Encrypts to the partner's stored certificate, which must have an RSA key.
pub(super) fn seal(
    identity: &Map<String, Value>,
    partner: &PartnerRecord,
) -> Result<Sealed, Failure> {
    let failed = || Failure::new("IDA-MLC-020", "Unable to encrypt data");
    let certificate = signature::certificate(&partner.certificate)
        .ok_or_else(|| Failure::new("IDA-MLC-025", "Partner Certificate is not available"))?;
    let key = certificate.public_key().map_err(|_| failed())?;
    if key.rsa().is_err() {
        return Err(failed());
    }
    let plain = Zeroizing::new(serde_json::to_vec(identity).map_err(|_| failed())?);
    let session: Zeroizing<[u8; 32]> = Zeroizing::new(crypto::random().map_err(|_| failed())?);
    Ok(Sealed {
        identity: encoding::url(&crypto::seal(session.as_slice(), &plain).map_err(|_| failed())?),
        session_key: encoding::url(
            &crypto::wrap_key(&key, session.as_slice()).map_err(|_| failed())?,
        ),
        thumbprint: encoding::upper_hex(&sha256(&partner.certificate)),
    })
}

/// The claims of kyc-exchange: those consented to whose attributes the policy allows.
pub(super) fn claims(
    policy: &AuthPolicyDoc,
    consented: &[String],
    locales: &[String],
    person: &Person,
    individual: &str,
    subject: String,
) -> Map<String, Value> {
    let allowed = |attribute: &str| {
        policy
            .allowed_kyc_attributes
            .iter()
            .any(|listed| listed.attribute_name == attribute)
    };
    let locale = locales.first().map_or("eng", String::as_str);
    let mut claims = Map::from_iter([("sub".to_owned(), Value::from(subject))]);
    for claim in consented {
        let value = match claim.as_str() {
            "individual_id" => Some(individual.to_owned()),
            "name" if allowed("fullName") => in_language(&person.name, locale).map(str::to_owned),
            "gender" if allowed("gender") => in_language(&person.gender, locale).map(str::to_owned),
            "birthdate" if allowed("dateOfBirth") => Some(person.date_of_birth.clone()),
            "phone_number" if allowed("phone") => person.phone.clone(),
            "email" if allowed("email") => person.email.clone(),
            "address" if allowed("addressLine1") || allowed("fullAddress") => {
                matching::full_address(person, locale)
            }
            "picture" if allowed("photo") || allowed("face") => Some(format!(
                "data:image/png;base64,{}",
                STANDARD.encode(&person.photo)
            )),
            _ => None,
        };
        if let Some(value) = value {
            claims.insert(claim.clone(), value.into());
        }
    }
    claims
}

fn spoken<'p>(attribute: &str, person: &'p Person) -> Option<(&'static str, &'p [Text])> {
    let [line1, line2, line3] = &person.address_lines;
    let [city, region, province] = &person.locations;
    let (member, texts) = match attribute {
        "fullName" | "name" => ("name", &person.name),
        "gender" => ("gender", &person.gender),
        "addressLine1" => ("addressLine1", line1),
        "addressLine2" => ("addressLine2", line2),
        "addressLine3" => ("addressLine3", line3),
        "city" | "location1" => ("location1", city),
        "region" | "location2" => ("location2", region),
        "province" | "location3" => ("location3", province),
        _ => return None,
    };
    Some((member, texts))
}

fn plain(attribute: &str, person: &Person, now: Moment) -> Option<(&'static str, String)> {
    match attribute {
        "dateOfBirth" | "dob" => Some(("dob", person.date_of_birth.clone())),
        "age" => matching::date(&person.date_of_birth)
            .map(|born| ("age", matching::years(born, now).to_string())),
        "phone" | "phoneNumber" => person.phone.clone().map(|phone| ("phoneNumber", phone)),
        "email" | "emailId" => person.email.clone().map(|email| ("emailId", email)),
        "postalCode" => Some(("postalCode", person.postal_code.clone())),
        "photo" => Some(("photo", STANDARD.encode(&person.photo))),
        "face" => Some(("face", STANDARD.encode(&person.photo))),
        _ => None,
    }
}
