//! The public JOSE vectors of Wycheproof, all of them, against the whole of the envelope and against what lies beneath its
//! profile.
//!
//! The whole lets none of them through: they have other header members than ours (no `kid` of a certificate, no `cty`, no
//! `crit`) and payloads that are not detached. So each runs a second time from one step further in: split by our splitter,
//! header read by our readers but for the members that no vector has, then our keys behind josekit's traits. There, valid
//! vectors with our algorithms must pass, and what Wycheproof calls invalid must not, for the reason that its flag names.

use bytes::Bytes;
use openssl::{
    bn::BigNum,
    ec::{EcGroup, EcKey, EcPoint},
    nid::Nid,
    pkey::{PKey, Private, Public},
    rsa::Rsa,
};
use serde_json::Value;
use wycheproof_ng_kdf_jose::json_web::TestName;

use super::{
    AnswerSignature, BodyProblem, RequestSignature, SealedBody, SignatureProblem, body, compact,
    header, signature, signing::Verifier,
};
use crate::{
    config::Algorithm,
    envelope::{forms, json},
    keys::{ContentUnwrapKey, PublicKey, VerifyingKey, default_algorithm},
};
use josekit::jws::JwsVerifier as _;

/// Where a vector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Not compact serialisation of canonical parts, or no strictly readable header.
    Form,
    /// A header member that none of our profiles has.
    Member,
    /// `alg`, `enc` or `epk` is none of ours.
    Algorithm,
    /// The key is none that could be bound: symmetric, of another kind or role, weak, or one of several.
    Key,
    /// The cryptography refused.
    Cryptography,
}

struct Vector {
    name: String,
    valid: bool,
    flags: Vec<String>,
    plain: Option<Vec<u8>>,
    private: Option<Value>,
    public: Option<Value>,
    token: String,
    encrypted: bool,
}

fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for set in TestName::all() {
        let json: Value = serde_json::from_str(set.json_data()).unwrap();
        for group in json["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let encrypted = test.get("jwe").is_some();
                let token = test.get("jwe").or_else(|| test.get("jws")).unwrap();
                all.push(Vector {
                    name: format!("{set:?} {} {}", test["tcId"], test["comment"]),
                    valid: test["result"] == "valid",
                    flags: (test["flags"].as_array().unwrap().iter())
                        .map(|f| f.as_str().unwrap().to_owned())
                        .collect(),
                    plain: (test.get("pt").and_then(Value::as_str))
                        .map(|hex| forms::unhex(hex).unwrap()),
                    private: group.get("private").cloned(),
                    public: group.get("public").cloned(),
                    token: token
                        .as_str()
                        .map_or_else(|| token.to_string(), str::to_owned),
                    encrypted,
                });
            }
        }
    }
    all
}

/// What stands in the way of the valid ones, and must stand in the way of the invalid ones with that flag.
fn reason_of_flag(flag: &str) -> &'static [Refused] {
    match flag {
        // We speak compact serialisation alone.
        "JsonSerialization" => &[Refused::Form],
        // `none` is no algorithm of ours.
        "AlgIsNone" => &[Refused::Algorithm],
        // PKCS#1 1.5 encryption is none either: an OAEP key is never asked to undo it, nor is its padding ever looked at.
        "Pkcs15WithOaepKey" | "ModifiedPkcs15Padding" => &[Refused::Algorithm],
        // AES key wrap alone and its GCM sister: not ours, and the latter has members `iv` and `tag`, which are not either.
        "WrongCipher" => &[Refused::Algorithm, Refused::Member],
        // The content of AES-CBC has an IV of 16 octets: not our form.
        "Pkcs5Padding" => &[Refused::Form],
        // `zip` is a member that is not taken: nothing is ever inflated.
        "CompressedPlaintext" => &[Refused::Member],
        // A key has one algorithm by its binding, whatever the header says; these keys are for PS512, so that they cannot be bound.
        "WrongPrimitive" => &[Refused::Algorithm, Refused::Key],
        // Found out by the library under us, if the algorithm is ours; else nobody looks.
        "ModifiedPadding" | "ModifiedSignature" => &[Refused::Cryptography, Refused::Algorithm],
        // Sets of keys: ours come one by one from bindings, and these are symmetric ones besides.
        "JsonWebKeyset" | "MixedKeySet" | "DuplicateKid" | "Ambiguous" => {
            &[Refused::Algorithm, Refused::Key]
        }
        other => panic!("a flag without a reason: {other}"),
    }
}

#[test]
fn the_whole_lets_none_of_them_through() {
    for vector in vectors() {
        let text = Bytes::from(vector.token.clone());
        assert!(SealedBody::parse(text).is_err(), "{}", vector.name);
        let mut values = vec![vector.token.clone()];
        // And detached, as our header would carry it.
        if let Some([header, _, signature]) = compact::split::<3>(&vector.token) {
            values.push(format!("{header}..{signature}"));
        }
        for value in values {
            assert!(RequestSignature::parse(&value).is_err(), "{}", vector.name);
            assert!(AnswerSignature::parse(&value).is_err(), "{}", vector.name);
        }
    }
}

#[test]
fn beneath_the_profile_the_valid_ones_with_our_algorithms_pass_and_no_invalid_one() {
    let (mut opened, mut verified, mut count) = (Vec::new(), 0, 0);
    for vector in vectors() {
        count += 1;
        let outcome = if vector.encrypted {
            open(&vector)
        } else {
            verify(&vector).map(|()| Vec::new())
        };
        match outcome {
            Ok(plain) => {
                assert!(vector.valid && ours(&vector), "passed: {}", vector.name);
                if vector.encrypted {
                    assert_eq!(Some(plain), vector.plain, "{}", vector.name);
                    opened.push(vector.name);
                } else {
                    verified += 1;
                }
            }
            Err(why) => {
                for flag in &vector.flags {
                    let expected = reason_of_flag(flag);
                    assert!(expected.contains(&why), "{}: {flag} {why:?}", vector.name);
                }
                if vector.valid {
                    assert!(!ours(&vector), "{}: {why:?}", vector.name);
                }
            }
        }
    }
    assert_eq!(count, 83 + 139 + 26 + 401);
    // The two with `RSA-OAEP-256` or `ECDH-ES+A256KW` and `A256GCM`.
    assert_eq!(
        opened,
        [
            "JsonWebEncryption 66 \"acceptsEcdhEsA256KwA256Gcm\"",
            "JsonWebEncryption 90 \"acceptsA256GCM\"",
        ]
    );
    // RS256, PS256 and ES256; none is EdDSA.
    assert_eq!(verified, 10 + 6 + 3);
}

/// Whether a vector's algorithms are ours. The other valid ones are refused: HMAC, RS384, RS512, PS384, PS512, ES512; PKCS#1
/// 1.5, OAEP with SHA-1, other key wraps and agreements, direct keys; AES-128, AES-192, AES-CBC; `zip`.
fn ours(vector: &Vector) -> bool {
    let encoded = vector.token.split('.').next().unwrap_or_default();
    let decoded = header::decoded(encoded);
    let Some(members) = (decoded.as_ref().ok()).and_then(|text| header::members(text).ok()) else {
        // Two valid ones have characters in their parts that Wycheproof lets a reader skip; ours is strict.
        assert!(vector.name.contains("InvalidCharacterInserted") || !vector.valid);
        return false;
    };
    let text = |name| members.get(name).and_then(json::Value::as_str);
    let alg = text("alg").unwrap();
    if vector.encrypted {
        let wrapped = ["RSA-OAEP-256", "ECDH-ES+A256KW"].contains(&alg);
        wrapped && text("enc") == Some("A256GCM") && members.get("zip").is_none()
    } else {
        ["RS256", "PS256", "ES256", "EdDSA"].contains(&alg)
    }
}

fn open(vector: &Vector) -> Result<Vec<u8>, Refused> {
    let [encoded, ..] = body::parts(vector.token.as_bytes()).map_err(|_| Refused::Form)?;
    let decoded = header::decoded(encoded).map_err(|_| Refused::Form)?;
    let members = header::members(&decoded).map_err(|_| Refused::Form)?;
    only(&members, &["alg", "enc", "epk", "kid"])?;
    let management = header::management(&members).map_err(|_| Refused::Algorithm)?;
    let jwk = one(vector.private.as_ref())?;
    if jwk.get("use").is_some_and(|u| u != "enc")
        || jwk["alg"].as_str() != members.get("alg").and_then(json::Value::as_str)
    {
        return Err(Refused::Key);
    }
    let pkcs8 = private(jwk).ok_or(Refused::Key)?;
    let kind = public(jwk).ok_or(Refused::Key)?.kind();
    let key = ContentUnwrapKey::from_pkcs8_der(kind, &pkcs8).map_err(|_| Refused::Key)?;
    match body::unseal(vector.token.as_bytes(), &management, &key) {
        Ok(plain) => Ok(plain.to_vec()),
        Err(BodyProblem::Form(_)) => Err(Refused::Key),
        Err(BodyProblem::Undecryptable) => Err(Refused::Cryptography),
    }
}

fn verify(vector: &Vector) -> Result<(), Refused> {
    let [encoded, payload, signature] = compact::split::<3>(&vector.token).ok_or(Refused::Form)?;
    let signature = forms::base64url(signature).ok_or(Refused::Form)?;
    if !compact::is_canonical(payload) {
        return Err(Refused::Form);
    }
    let decoded = header::decoded(encoded).map_err(|_| Refused::Form)?;
    let members = header::members(&decoded).map_err(|_| Refused::Form)?;
    only(&members, &["alg", "kid"])?;
    let named = signature::algorithm(&members).map_err(|why| match why {
        SignatureProblem::Algorithm => Refused::Algorithm,
        _ => Refused::Form,
    })?;
    let jwk = one(vector.public.as_ref().or(vector.private.as_ref()))?;
    let for_signatures = jwk.get("use").is_none_or(|u| u == "sig")
        && (jwk.get("key_ops").and_then(Value::as_array))
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    let key = public(jwk).ok_or(Refused::Key)?;
    let bound = match jwk.get("alg").and_then(Value::as_str) {
        Some(name) => [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256]
            .into_iter()
            .find(|a| format!("{a:?}") == name),
        None => default_algorithm(key.kind()),
    };
    let (true, Some(bound)) = (for_signatures, bound) else {
        return Err(Refused::Key);
    };
    let key = VerifyingKey::new(&key, bound).map_err(|_| Refused::Key)?;
    if bound != named {
        return Err(Refused::Algorithm);
    }
    let input = format!("{encoded}.{payload}");
    Verifier::new(&key)
        .verify(input.as_bytes(), &signature)
        .map_err(|_| Refused::Cryptography)
}

fn only(members: &json::Object<'_>, names: &[&str]) -> Result<(), Refused> {
    let known = members.iter().all(|(name, _)| names.contains(&name));
    known.then_some(()).ok_or(Refused::Member)
}

/// The one key of a JWK, or of a set with one.
fn one(jwk: Option<&Value>) -> Result<&Value, Refused> {
    match jwk
        .and_then(|jwk| jwk.get("keys"))
        .and_then(Value::as_array)
    {
        None => jwk.ok_or(Refused::Key),
        Some(keys) => match keys.as_slice() {
            [one] => Ok(one),
            _ => Err(Refused::Key),
        },
    }
}

fn number(jwk: &Value, name: &str) -> Option<BigNum> {
    BigNum::from_slice(&forms::base64url(jwk.get(name)?.as_str()?)?).ok()
}

fn public(jwk: &Value) -> Option<PublicKey> {
    let key: PKey<Public> = match jwk.get("kty")?.as_str()? {
        "RSA" => {
            PKey::from_rsa(Rsa::from_public_components(number(jwk, "n")?, number(jwk, "e")?).ok()?)
                .ok()?
        }
        "EC" => {
            let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
            let group = group(jwk)?;
            let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?;
            PKey::from_ec_key(key).ok()?
        }
        _ => return None,
    };
    PublicKey::from_spki(&key.public_key_to_der().ok()?).ok()
}

fn private(jwk: &Value) -> Option<Vec<u8>> {
    let key: PKey<Private> = match jwk.get("kty")?.as_str()? {
        "RSA" => {
            let n = |name| number(jwk, name);
            let rsa = Rsa::from_private_components(
                n("n")?,
                n("e")?,
                n("d")?,
                n("p")?,
                n("q")?,
                n("dp")?,
                n("dq")?,
                n("qi")?,
            );
            PKey::from_rsa(rsa.ok()?).ok()?
        }
        "EC" => {
            let group = group(jwk)?;
            let (x, y, d) = (number(jwk, "x")?, number(jwk, "y")?, number(jwk, "d")?);
            let mut context = openssl::bn::BigNumContext::new().ok()?;
            let mut point = EcPoint::new(&group).ok()?;
            point
                .set_affine_coordinates_gfp(&group, &x, &y, &mut context)
                .ok()?;
            PKey::from_ec_key(EcKey::from_private_components(&group, &d, &point).ok()?).ok()?
        }
        _ => return None,
    };
    key.private_key_to_pkcs8().ok()
}

fn group(jwk: &Value) -> Option<EcGroup> {
    let curve = match jwk.get("crv")?.as_str()? {
        "P-256" => Nid::X9_62_PRIME256V1,
        "P-384" => Nid::SECP384R1,
        "P-521" => Nid::SECP521R1,
        _ => return None,
    };
    EcGroup::from_curve_name(curve).ok()
}
