//! The little world of the tests: a PKI as MOSIP makes it, records, and a client that seals and signs like an SDK.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of the tests' own")]

use std::sync::OnceLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use http::HeaderMap;
use openssl::{
    asn1::{Asn1Integer, Asn1Time},
    bn::BigNum,
    ec::{EcGroup, EcKey},
    ecdsa::EcdsaSig,
    encrypt::{Decrypter, Encrypter},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::{Padding, Rsa},
    sha::sha256,
    sign::{Signer, Verifier},
    symm::{Cipher, decrypt_aead, encrypt_aead},
    x509::{
        X509, X509Builder, X509Name,
        extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier},
    },
};
use serde_json::{Map, Value, json};

use super::super::{
    ApiKeyRecord, Ida, IdaAnswer, IdaConfig, KeyKind, MispPolicyDoc, MispRecord, OwnKey,
    PartnerRecord, PolicyRecord, Status, Validity,
};
use crate::{clock::Moment, sandbox::people};

pub(super) const NOW: Moment = Moment::from_s(1_790_000_000);
const DAY: i64 = 86_400;

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) key: PKey<Private>,
    pub(super) certificate: X509,
}

impl Identity {
    pub(super) fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    fn own(&self) -> OwnKey {
        OwnKey {
            key: self.key.private_key_to_pem_pkcs8().unwrap().into(),
            certificate: self.der(),
        }
    }
}

/// Everybody's certificates; made once.
pub(super) struct Pki {
    pub(super) root: Identity,
    pub(super) pms: Identity,
    pub(super) encryption: Identity,
    pub(super) signature: Identity,
    pub(super) partner: Identity,
    pub(super) other: Identity,
    pub(super) misp: Identity,
    /// The right names under another root.
    pub(super) stranger: Identity,
    /// The partner's key in a certificate that ended a second ago.
    pub(super) expired: Identity,
    /// Registered as partner-two in one test: a P-256 key signs, but cannot receive eKYC.
    pub(super) elliptic: Identity,
    /// Issued by the partner, who is a CA the way MOSIP re-signs.
    pub(super) minted: Identity,
}

pub(super) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let root = issue("MOSIP-ROOT", None, Some(2), 0, NOW.s() + 300 * DAY);
        let pms = issue("MOSIP-PMS", Some(&root), Some(1), 0, NOW.s() + 300 * DAY);
        let other_root = issue("MOSIP-ROOT", None, Some(2), 0, NOW.s() + 300 * DAY);
        let until = NOW.s() + 300 * DAY;
        let partner = issue("PARTNER-one", Some(&pms), None, -77, until);
        let mut expired = issue("PARTNER-one", Some(&pms), None, -78, NOW.s() - 1);
        expired.certificate = certificate(
            &partner.key,
            "PARTNER-one",
            Some(&pms),
            None,
            -78,
            NOW.s() - 1,
        );
        expired.key = partner.key.clone();
        Pki {
            encryption: issue("IDA-PARTNER", Some(&root), None, 5, until),
            signature: issue("IDA-SIGN", Some(&root), Some(1), -6, until),
            other: issue("PARTNER-two", Some(&pms), None, 9, until),
            misp: issue("MISP-one", Some(&pms), None, -10, until),
            stranger: issue("PARTNER-one", Some(&other_root), None, -77, until),
            minted: issue("PARTNER-one-branch", Some(&partner), None, 3, until),
            elliptic: {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
                let certificate = certificate(&key, "PARTNER-two", Some(&pms), None, 12, until);
                Identity { key, certificate }
            },
            expired,
            partner,
            root,
            pms,
        }
    })
}

fn issue(
    name: &str,
    issuer: Option<&Identity>,
    path_length: Option<u32>,
    serial: i64,
    until: i64,
) -> Identity {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let certificate = certificate(&key, name, issuer, path_length, serial, until);
    Identity { key, certificate }
}

/// As MOSIP re-signs: CA:TRUE, digitalSignature and keyCertSign, no extended key usage, serial of either sign.
fn certificate(
    key: &PKey<Private>,
    name: &str,
    issuer: Option<&Identity>,
    path_length: Option<u32>,
    serial: i64,
    until: i64,
) -> X509 {
    let named = |name: &str| {
        let mut builder = X509Name::builder().unwrap();
        builder.append_entry_by_text("O", "Example").unwrap();
        builder.append_entry_by_text("CN", name).unwrap();
        builder.build()
    };
    let subject = named(name);
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let mut number =
        BigNum::from_u32(u32::try_from(serial.unsigned_abs()).unwrap() + 1000).unwrap();
    number.set_negative(serial < 0);
    builder
        .set_serial_number(&Asn1Integer::from_bn(&number).unwrap())
        .unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder
        .set_issuer_name(match issuer {
            Some(issuer) => issuer.certificate.subject_name(),
            None => &subject,
        })
        .unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(NOW.s() - 30 * DAY).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::from_unix(until).unwrap())
        .unwrap();
    builder.set_pubkey(key).unwrap();
    let mut basic = BasicConstraints::new();
    basic.critical().ca();
    if let Some(length) = path_length {
        basic.pathlen(length);
    }
    builder.append_extension(basic.build().unwrap()).unwrap();
    let usage = KeyUsage::new()
        .critical()
        .digital_signature()
        .key_cert_sign()
        .build()
        .unwrap();
    builder.append_extension(usage).unwrap();
    let identifier = SubjectKeyIdentifier::new()
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(identifier).unwrap();
    builder
        .sign(
            issuer.map_or(key, |issuer| &issuer.key),
            MessageDigest::sha256(),
        )
        .unwrap();
    builder.build()
}

pub(super) const PARTNER: &str = "partner-one";
pub(super) const API_KEY: &str = "735298";
pub(super) const CLIENT: &str = "oidc-client-one";
pub(super) const LICENCE: &str = "Zk8sQ2vLw0pRk3yTt7mX1nB5cD9fG4hJ6aS2eU8iO0qW3rY5uP";

pub(super) fn policy() -> PolicyRecord {
    let document = json!({
        "authTokenType": "policy",
        "allowedAuthTypes": [
            {"authType": "demo", "mandatory": false}, {"authType": "otp"}, {"authType": "pin"},
            {"authType": "bio", "authSubType": "FINGER"},
            {"authType": "otp-request"}, {"authType": "kyc"}, {"authType": "kycauth"}, {"authType": "kycexchange"},
        ],
        "allowedKycAttributes": [
            {"attributeName": "fullName"}, {"attributeName": "dateOfBirth"}, {"attributeName": "photo"},
        ],
        "kycLanguages": ["eng"],
    });
    PolicyRecord {
        id: "48213".to_owned(),
        document: serde_json::from_value(document).unwrap(),
        status: Status::Active,
        validity: Validity::default(),
    }
}

pub(super) fn config() -> IdaConfig {
    let pki = pki();
    let key = |key: &str, kind| ApiKeyRecord {
        key: key.to_owned(),
        kind,
        policy: policy(),
        status: Status::Active,
        validity: Validity::default(),
    };
    let partner = |id: &str, who: &Identity| PartnerRecord {
        id: id.to_owned(),
        status: Status::Active,
        certificate: who.der(),
        api_keys: vec![
            key(API_KEY, KeyKind::ApiKey),
            key(
                CLIENT,
                KeyKind::OidcClient {
                    factors: vec!["demo".to_owned()],
                },
            ),
        ],
    };
    let mut config = IdaConfig::new(
        pki.encryption.own(),
        pki.signature.own(),
        vec![pki.root.der(), pki.pms.certificate.to_pem().unwrap()],
    );
    config.partners = vec![
        partner(PARTNER, &pki.partner),
        partner("partner-two", &pki.other),
    ];
    config.partners[1].certificate = pki.other.certificate.to_pem().unwrap();
    config.misps = vec![MispRecord {
        id: "misp-one".to_owned(),
        certificate: pki.misp.der(),
        licence_key: LICENCE.to_owned(),
        status: Status::Active,
        validity: Validity::default(),
        policy: Some(MispPolicyDoc {
            allow_kyc_request_delegation: true,
            ..MispPolicyDoc::default()
        }),
    }];
    config
}

/// How `x5c` is written.
#[derive(Clone, Copy)]
pub(super) enum X5c {
    Der,
    /// mosip-auth-sdk: PEM, a line break every 76 characters and at the end.
    PemInLines,
    /// OpenCRVS: PEM with CRLF, base64url, no padding.
    PemUrl,
}

/// A request in the making. What is sealed and signed is what stands here when it is sent.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) outer: Map<String, Value>,
    pub(super) inner: Option<Map<String, Value>>,
    pub(super) recipient: Identity,
    pub(super) signer: Identity,
    pub(super) x5c: X5c,
    pub(super) algorithm: &'static str,
    pub(super) authorization: &'static str,
    pub(super) pad: bool,
    /// Signs these bytes instead of the body.
    pub(super) sign_instead: Option<Vec<u8>>,
    pub(super) no_signature: bool,
    /// Puts this in place of the digest.
    pub(super) digest_instead: Option<String>,
    /// Members taken away after sealing.
    pub(super) without: Vec<&'static str>,
    /// Members replaced after sealing.
    pub(super) replaced: Vec<(&'static str, Value)>,
}

impl Ask {
    pub(super) fn new(route: &str) -> Self {
        let uin = people::all()[0].uin.clone();
        let id = format!("mosip.identity.{}", route.replace('-', ""));
        let mut outer = json!({
            "id": id, "version": "1.0", "individualId": uin, "individualIdType": "UIN",
            "transactionID": "1234567890", "requestTime": stamp(NOW), "specVersion": "1.0",
            "domainUri": "https://localhost", "env": "Staging", "consentObtained": true, "metadata": {},
        });
        let delegated = matches!(
            route,
            "kyc-auth" | "kyc-exchange" | "identity-key-binding" | "vci-exchange"
        );
        let (middle, last) = if delegated {
            ("/delegated", CLIENT)
        } else {
            ("", API_KEY)
        };
        let inner = (!matches!(route, "otp" | "kyc-exchange" | "vci-exchange"))
            .then(|| json!({"timestamp": stamp(NOW), "otp": "", "demographics": {"name": [{"language": "eng", "value": "Ada Example"}]}}));
        if route == "otp" {
            outer["otpChannel"] = json!(["email", "PHONE"]);
        }
        Self {
            path: format!("/idauthentication/v1/{route}{middle}/{LICENCE}/{PARTNER}/{last}"),
            outer: outer.as_object().unwrap().clone(),
            inner: inner.map(|inner| inner.as_object().unwrap().clone()),
            recipient: pki().encryption.clone(),
            signer: pki().partner.clone(),
            x5c: X5c::Der,
            algorithm: "RS256",
            authorization: "Authorization",
            pad: false,
            sign_instead: None,
            no_signature: false,
            digest_instead: None,
            without: Vec::new(),
            replaced: Vec::new(),
        }
    }

    pub(super) fn outer(mut self, member: &str, value: Value) -> Self {
        self.outer.insert(member.to_owned(), value);
        self
    }

    pub(super) fn inner(mut self, member: &str, value: Value) -> Self {
        self.inner
            .as_mut()
            .unwrap()
            .insert(member.to_owned(), value);
        self
    }

    pub(super) fn demographics(self, value: Value) -> Self {
        self.inner("demographics", value)
    }

    /// The bytes and headers that go out.
    pub(super) fn wire(&self) -> (Vec<u8>, HeaderMap) {
        let mut outer = self.outer.clone();
        if let Some(inner) = &self.inner {
            let plain = serde_json::to_vec_pretty(inner).unwrap();
            let (mut session, b64) = ([0; 32], |bytes: &[u8]| {
                if self.pad {
                    URL_SAFE.encode(bytes)
                } else {
                    URL_SAFE_NO_PAD.encode(bytes)
                }
            });
            openssl::rand::rand_bytes(&mut session).unwrap();
            let digest = self
                .digest_instead
                .clone()
                .unwrap_or_else(|| upper_hex(&sha256(&plain)));
            outer.insert("request".to_owned(), b64(&gcm(&session, &plain)).into());
            outer.insert(
                "requestHMAC".to_owned(),
                b64(&gcm(&session, digest.as_bytes())).into(),
            );
            outer.insert(
                "requestSessionKey".to_owned(),
                b64(&oaep(&self.recipient, &session)).into(),
            );
            outer.insert(
                "thumbprint".to_owned(),
                b64(&sha256(&pki().encryption.der())).into(),
            );
        }
        for member in &self.without {
            outer.remove(*member);
        }
        for (member, value) in &self.replaced {
            outer.insert((*member).to_owned(), value.clone());
        }
        let body = serde_json::to_vec(&outer).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("authorization", self.authorization.parse().unwrap());
        if !self.no_signature {
            let signed = self.sign_instead.as_deref().unwrap_or(&body);
            headers.insert("signature", self.sign(signed).parse().unwrap());
        }
        (body, headers)
    }

    fn sign(&self, body: &[u8]) -> String {
        let pem = String::from_utf8(self.signer.certificate.to_pem().unwrap()).unwrap();
        let x5c = match self.x5c {
            X5c::Der => STANDARD.encode(self.signer.der()),
            X5c::PemInLines => STANDARD
                .encode(pem)
                .as_bytes()
                .chunks(76)
                .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
                .collect(),
            X5c::PemUrl => URL_SAFE_NO_PAD.encode(pem.replace('\n', "\r\n")),
        };
        let header = json!({"x5c": [x5c], "alg": self.algorithm}).to_string();
        let protected = URL_SAFE_NO_PAD.encode(header);
        let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(body));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.signer.key).unwrap();
        if self.algorithm == "PS256" {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer
                .set_rsa_pss_saltlen(openssl::sign::RsaPssSaltlen::DIGEST_LENGTH)
                .unwrap();
        }
        let mut signature = signer.sign_oneshot_to_vec(input.as_bytes()).unwrap();
        if self.signer.key.ec_key().is_ok() {
            let pair = EcdsaSig::from_der(&signature).unwrap();
            signature = [pair.r(), pair.s()]
                .map(|number| number.to_vec_padded(32).unwrap())
                .concat();
        }
        format!("{protected}..{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Sends it, checks the answer's signature, and gives its body.
    pub(super) async fn to(&self, ida: &Ida) -> Value {
        self.to_at(ida, NOW).await
    }

    pub(super) async fn to_at(&self, ida: &Ida, now: Moment) -> Value {
        let (body, headers) = self.wire();
        let answer = ida.answer(&self.path, &headers, &body, now).await;
        assert_eq!(answer.status, 200);
        assert!(signed_by_ida(&answer), "every answer is signed");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// An IDA with partners and a MISP.
pub(in crate::sandbox) fn ida() -> Ida {
    Ida::new(config()).unwrap()
}

/// A time as the SDKs write it.
pub(super) fn stamp(at: Moment) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(at.s()).unwrap();
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        time.date(),
        time.hour(),
        time.minute(),
        time.second(),
        at.ms() % 1000
    )
}

/// The error codes of an answer, in order.
pub(super) fn codes(answer: &Value) -> Vec<&str> {
    answer["errors"]
        .as_array()
        .map(|errors| {
            errors
                .iter()
                .map(|error| error["errorCode"].as_str().unwrap())
                .collect()
        })
        .unwrap_or_default()
}

/// Verifies `response-signature` with nothing but OpenSSL and the pinned certificate.
pub(super) fn signed_by_ida(answer: &IdaAnswer) -> bool {
    let Some(value) = answer.headers.get("response-signature") else {
        return false;
    };
    let parts: Vec<&str> = value.to_str().unwrap().split('.').collect();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let der = pki().signature.der();
    assert_eq!(parts[1], "");
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["x5c"], json!([STANDARD.encode(&der)]));
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(sha256(&der)));
    assert_eq!(header["kid"].as_str().unwrap().len(), 43);
    let input = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(&answer.body));
    Verifier::new(MessageDigest::sha256(), &pki().signature.key)
        .unwrap()
        .verify_oneshot(&URL_SAFE_NO_PAD.decode(parts[2]).unwrap(), input.as_bytes())
        .unwrap()
}

/// The session key of an eKYC answer, then its identity.
pub(super) fn open_kyc(partner: &Identity, response: &Value) -> Value {
    let bytes = |member: &str| {
        URL_SAFE_NO_PAD
            .decode(response[member].as_str().unwrap())
            .unwrap()
    };
    let mut decrypter = Decrypter::new(&partner.key).unwrap();
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    decrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
    decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
    let mut session = vec![0; 512];
    let length = decrypter
        .decrypt(&bytes("sessionKey"), &mut session)
        .unwrap();
    let sealed = bytes("identity");
    let (rest, nonce) = sealed.split_at(sealed.len() - 16);
    let (text, tag) = rest.split_at(rest.len() - 16);
    let plain = decrypt_aead(
        Cipher::aes_256_gcm(),
        &session[..length],
        Some(nonce),
        &[],
        text,
        tag,
    )
    .unwrap();
    serde_json::from_slice(&plain).unwrap()
}

pub(super) fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn gcm(session: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let (mut nonce, mut tag) = ([0; 16], [0; 16]);
    openssl::rand::rand_bytes(&mut nonce).unwrap();
    let text = encrypt_aead(
        Cipher::aes_256_gcm(),
        session,
        Some(&nonce),
        &[],
        plain,
        &mut tag,
    )
    .unwrap();
    [text.as_slice(), &tag, &nonce].concat()
}

fn oaep(to: &Identity, session: &[u8; 32]) -> Vec<u8> {
    let mut encrypter = Encrypter::new(&to.key).unwrap();
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    encrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
    encrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
    let mut out = vec![0; 512];
    let length = encrypter.encrypt(session, &mut out).unwrap();
    out.truncate(length);
    out
}

/// An IDA with the sandbox's people and without partners, for the services beside it.
pub(in crate::sandbox) fn bare_ida() -> Ida {
    let pki = pki();
    Ida::new(IdaConfig::new(
        pki.encryption.own(),
        pki.signature.own(),
        Vec::new(),
    ))
    .unwrap()
}
