//! The links behind the head: kept bodies, the receipt, the request's signature.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Belief, Links, Stop, moment, sha256};
use crate::{
    clock::Moment,
    evidence::{
        bundle::{self, Bundle},
        jws::Jws,
        merkle::Hash,
    },
    trust::{Certificate, Fingerprint},
};

/// Octets of salt before a kept body.
pub(super) const SALT: usize = 16;

/// What of a bundle they are about.
pub(super) struct Parts<'a> {
    pub(super) record: &'a Map<String, Value>,
    pub(super) certificates: &'a [Certificate],
    pub(super) leaf: &'a Hash,
}

impl Parts<'_> {
    fn text(&self, pointer: [&str; 2]) -> Option<&str> {
        let [outer, inner] = pointer;
        self.record.get(outer)?.get(inner)?.as_str()
    }

    fn certificate(&self, name: &Fingerprint) -> Option<&Certificate> {
        self.certificates.iter().find(|c| c.fingerprint() == *name)
    }

    /// A kept body, when it is in the bundle and is the record's.
    pub(super) fn kept(
        &self,
        bundle: &Bundle,
        which: &'static str,
        links: &mut Links<'_>,
    ) -> Result<Option<Vec<u8>>, Stop> {
        const NAME: &str = "body";
        let kept = self.record.get("body").and_then(|body| body.get(which));
        let part = bundle.body.as_ref();
        let part = part.and_then(|b| {
            if which == "request" {
                &b.request
            } else {
                &b.answer
            }
            .as_ref()
        });
        let Some(text) = part else {
            if kept.is_some() {
                let words = format!(
                    "the {which} was kept; it was erased or left out, and its digests hold without it"
                );
                links.unproven(NAME, words);
            }
            return Ok(None);
        };
        let digest_in = |name| kept.and_then(|k| k.get(name)).and_then(Value::as_str);
        let Ok(salted) = STANDARD.decode(text) else {
            return links.broken(NAME, format!("body.{which} is no base64"));
        };
        let plain = salted.get(SALT..).unwrap_or_default();
        let fits = digest_in("plainDigest") == Some(&*bundle::shown(&sha256(&salted)))
            && self.text([which, "bodyDigest"]) == Some(&*bundle::shown(&sha256(plain)));
        if !fits {
            return links.broken(
                NAME,
                format!("body.{which} is not the one whose digests the record has"),
            );
        }
        let words = format!(
            "the {which} ({} octets) is the one whose digests the record has",
            plain.len()
        );
        links.holds(NAME, words);
        Ok(Some(plain.to_vec()))
    }

    pub(super) fn receipt(
        &self,
        bundle: &Bundle,
        kept: Option<&[u8]>,
        belief: &Belief,
        links: &mut Links<'_>,
    ) -> Result<(), Stop> {
        const NAME: &str = "receipt";
        let Some(receipt) = &bundle.receipt else {
            links.unproven(
                NAME,
                "none is in the bundle; whoever asked has it in the header `response-signature`",
            );
            return Ok(());
        };
        let Some(jws) = Jws::parse(&receipt.signature).filter(Jws::is_detached) else {
            return links.broken(NAME, "it is no detached JWS");
        };
        if jws.text("leaf") != Some(&*bundle::shown(self.leaf)) {
            return links.broken(
                NAME,
                "the receipt is of another record: its `leaf` is not this record's leaf hash",
            );
        }
        let given = match receipt.answer.as_ref().map(|text| STANDARD.decode(text)) {
            Some(Err(_)) => return links.broken(NAME, "receipt.answer is no base64"),
            Some(Ok(body)) => Some(body),
            None => None,
        };
        let Some(body) = given.as_deref().or(kept) else {
            links.unproven(NAME, "its leaf is this record's; the answer's body is not here, so its signature was not checked");
            return Ok(());
        };
        if self.text(["answer", "bodyDigest"]) != Some(&*bundle::shown(&sha256(body))) {
            return links.broken(
                NAME,
                "the answer is not the one whose digest the record has",
            );
        }
        let Some(certificate) = jws.signer().and_then(|name| self.certificate(&name)) else {
            return links.broken(NAME, "the certificate that signed the answer is missing");
        };
        if !jws.is_over(certificate, body) {
            return links.broken(NAME, "the answer does not bear its signature");
        }
        let time = self.record.get("time").and_then(Value::as_str);
        let time = time.and_then(moment).unwrap_or(Moment::from_ms(0));
        if let Err(why) = belief.anchor.signature_path(certificate, time) {
            return links.broken(NAME, format!("`{}`: {why}", certificate.subject()));
        }
        let words = format!(
            "`{}` signed this very answer and named this record",
            certificate.subject()
        );
        links.holds(NAME, words);
        Ok(())
    }

    pub(super) fn request_signature(
        &self,
        body: Option<&[u8]>,
        belief: &Belief,
        links: &mut Links<'_>,
    ) -> Result<(), Stop> {
        const NAME: &str = "request signature";
        let (Some(signature), Some(signer)) = (
            self.text(["request", "signature"]),
            self.record.get("signer").and_then(Value::as_str),
        ) else {
            links.unproven(NAME, "the record has no signature that held");
            return Ok(());
        };
        let Some(body) = body else {
            links.unproven(
                NAME,
                "it was checked by the gateway; to check it again takes the request's body",
            );
            return Ok(());
        };
        let certificate = self
            .certificates
            .iter()
            .find(|c| c.fingerprint().to_string() == signer);
        let Some(certificate) = certificate else {
            links.unproven(
                NAME,
                "the certificate that signed the request is not in the bundle",
            );
            return Ok(());
        };
        let subject = certificate.subject();
        if !Jws::parse(signature).is_some_and(|jws| jws.is_over(certificate, body)) {
            return links.broken(NAME, format!("`{subject}` did not sign this request"));
        }
        let time = self.record.get("time").and_then(Value::as_str);
        let time = time.and_then(moment).unwrap_or(Moment::from_ms(0));
        match belief.anchor.signature_path(certificate, time) {
            Ok((path, _)) => links.holds(
                NAME,
                format!("{}: signed this very request", path.join(" ← ")),
            ),
            Err(why) => {
                let words = format!("`{subject}` signed this very request; who that is: {why}");
                links.unproven(NAME, words);
            }
        }
        Ok(())
    }
}
