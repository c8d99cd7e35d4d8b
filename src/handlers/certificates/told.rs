//! What a partner is told of its own certificates. Nothing in it is secret: what it says is in the certificates.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    clock::Moment,
    config::Role,
    envelope::possession::{Challenge, PROOF, encoded},
    exchange::{Snapshot, rfc3339},
    keys::proof_algorithm,
    partners::Partner,
    trust::{Binding, Certificate, Replacement},
};

/// Its certificates, each with its standing.
pub(super) fn current(snapshot: &Snapshot, partner: &Partner, now: Moment) -> Value {
    let certificates = partner.certificates();
    let roles = [Role::Tls, Role::Encryption, Role::Signature];
    let newest = roles.map(|role| {
        let mut usable = certificates.usable(role, snapshot.anchors(), now);
        (role, usable.next().map(Binding::fingerprint))
    });
    let all: Vec<Value> = (certificates.bindings().iter())
        .map(|bound| {
            let certificate = bound.certificate();
            let standing = match snapshot.judge(bound, now) {
                Ok(()) => "usable",
                Err(why) => why.word(),
            };
            json!({
                "role": bound.role().as_str(),
                "certificate": encoded(&bound.fingerprint()),
                "subject": certificate.subject(),
                "issuer": certificate.issuer(),
                "serial": certificate.serial_hex(),
                "algorithm": bound.algorithm().map(|a| format!("{a:?}")),
                "validFrom": rfc3339(bound.valid_from()),
                "validUntil": rfc3339(bound.valid_until()),
                "standing": standing,
                "newest": newest.contains(&(bound.role(), Some(bound.fingerprint()))),
            })
        })
        .collect();
    json!({
        "partner": partner.id().as_str(),
        "organisation": partner.organisation(),
        "certificates": all,
    })
}

/// A challenge with what is needed to answer it.
pub(super) fn challenge(
    challenge: &Challenge,
    text: &str,
    (nonce, sealed): (String, Option<Bytes>),
    leaf: &Certificate,
    until: Moment,
) -> Value {
    let mut told = json!({
        "challenge": text,
        "audience": challenge.audience,
        "partner": challenge.partner,
        "role": challenge.role.as_str(),
        "certificate": encoded(&challenge.certificate),
        "until": rfc3339(until),
    });
    if let Some(members) = told.as_object_mut() {
        match sealed {
            Some(sealed) => {
                let sealed = String::from_utf8_lossy(&sealed).into_owned();
                members.insert("sealed".to_owned(), json!(sealed));
            }
            None => {
                let alg = proof_algorithm(leaf.key().kind(), challenge.algorithm);
                members.insert("nonce".to_owned(), json!(nonce));
                members.insert("alg".to_owned(), json!(alg));
                members.insert("typ".to_owned(), json!(PROOF));
            }
        }
    }
    told
}

/// What was bound, and until when what it replaces holds.
pub(super) fn replacement(done: &Replacement, partner: &Partner, now: Moment) -> Value {
    let old: Vec<Value> = (partner.certificates().bindings().iter())
        .filter(|b| b.role() == done.role && done.replaces.contains(&b.fingerprint()))
        .map(|b| {
            json!({
                "certificate": encoded(&b.fingerprint()),
                "validUntil": rfc3339(b.valid_until().min(done.overlap_until)),
            })
        })
        .collect();
    json!({
        "partner": partner.id().as_str(),
        "role": done.role.as_str(),
        "certificate": done.leaf().map(|leaf| encoded(&leaf.fingerprint())),
        "algorithm": done.algorithm.map(|a| format!("{a:?}")),
        "validFrom": rfc3339(done.valid_from.max(now)),
        "validUntil": done.leaf().map(|leaf| rfc3339(leaf.not_after())),
        "replaces": old,
    })
}
