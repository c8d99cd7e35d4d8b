//! Checking a bundle offline: each link of the proof, in words, up to the first broken one.
//!
//! What is believed: the anchors that were given, and nothing in the bundle. Issuers come from the anchors' files alone
//! (`crate::trust`, offline). Whatever stands in the bundle is either proven, or said to be unproven, or breaks the chain.

mod heads;
mod parts;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    bundle::{self, Bundle, BundleProblem, Decoded},
    jws::Jws,
    merkle::{self, Hash},
};
use crate::{
    clock::Moment,
    trust::{Anchor, Certificate, Fingerprint},
};
use aws_lc_rs::digest::{SHA256, digest};
use heads::{head_signature, order, time_stamp};
use parts::Parts;

/// The type of a tree head.
pub const HEAD_TYPE: &str = "triseal-tree-head";
/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It was not checked; the words say what is missing.
    Unproven,
    /// It does not hold.
    Broken,
}

/// One link of the proof.
#[derive(Clone, Debug)]
pub struct Link {
    /// Which.
    pub name: &'static str,
    /// How it stands.
    pub outcome: Outcome,
    /// Why, in words.
    pub words: String,
}

/// What the verifier believes.
#[derive(Debug)]
pub struct Belief {
    /// In which CA certificates trust starts. They are all the issuers there are.
    pub anchor: Anchor,
    /// The same for time stamps.
    pub authority: Option<Anchor>,
    /// The organisation whose log it must be.
    pub organisation: Option<String>,
}

/// A tree head whose form is right.
#[derive(Clone, Debug)]
pub struct Head {
    /// Which log.
    pub log: String,
    /// How many leaves.
    pub size: u64,
    /// The tree's hash.
    pub root: Hash,
    /// When it was signed.
    pub time: Moment,
    /// The certificate that it names.
    pub signer: Fingerprint,
}

impl Head {
    /// Reads a head; its signature is not looked at.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let jws = Jws::parse(text).ok_or("it is no compact JWS")?;
        Self::of(&jws)
    }

    fn of(jws: &Jws) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Payload {
            log: String,
            size: u64,
            root: String,
            time: String,
        }
        if jws.text("typ") != Some(HEAD_TYPE) || jws.header().len() != 3 {
            return Err("its header is not that of a tree head");
        }
        let signer = jws.signer().ok_or("its header names no certificate")?;
        let payload: Payload =
            serde_json::from_slice(&jws.payload()).map_err(|_| "its payload is not of the form")?;
        Ok(Self {
            log: payload.log,
            size: payload.size,
            root: bundle::hash(&payload.root).ok_or("its root is no hash")?,
            time: moment(&payload.time).ok_or("its time is none")?,
            signer,
        })
    }

    /// Whether the certificate signed the head of that text.
    pub fn signed_by(text: &str, certificate: &Certificate) -> bool {
        Jws::parse(text).is_some_and(|jws| jws.is_by(certificate))
    }
}

/// Checks a bundle. The last link is the first broken one, where there is one.
pub fn verify(text: &[u8], belief: Belief) -> Vec<Link> {
    let mut links = Vec::new();
    // What is broken was noted as such.
    let _ = follow(text, belief, &mut Links(&mut links));
    links
}

/// The chain is broken; the last link says where.
struct Stop;

struct Links<'l>(&'l mut Vec<Link>);

impl Links<'_> {
    fn note(&mut self, name: &'static str, outcome: Outcome, words: String) {
        self.0.push(Link {
            name,
            outcome,
            words,
        });
    }

    fn holds(&mut self, name: &'static str, words: impl Into<String>) {
        self.note(name, Outcome::Holds, words.into());
    }

    fn unproven(&mut self, name: &'static str, words: impl Into<String>) {
        self.note(name, Outcome::Unproven, words.into());
    }

    fn broken<T>(&mut self, name: &'static str, words: impl Into<String>) -> Result<T, Stop> {
        self.note(name, Outcome::Broken, words.into());
        Err(Stop)
    }
}

fn follow(text: &[u8], mut belief: Belief, links: &mut Links<'_>) -> Result<(), Stop> {
    let read = Bundle::read(text).and_then(|bundle| {
        let decoded = bundle.decode()?;
        let certificates = certificates(&decoded)?;
        Ok((bundle, decoded, certificates))
    });
    let (bundle, decoded, certificates) = match read {
        Ok(all) => all,
        Err(problem) => return links.broken("bundle", problem.to_string()),
    };
    let Ok(Value::Object(record)) = serde_json::from_str::<Value>(&bundle.record) else {
        return links.broken("record", "the record is no JSON object");
    };
    if record.get("v") != Some(&Value::from(1)) {
        return links.broken("record", "the record is of a version that is not known");
    }
    let leaf = merkle::leaf_hash(bundle.record.as_bytes());
    let words = format!(
        "{}; its leaf hash is {}",
        told(&record),
        bundle::shown(&leaf)
    );
    links.holds("record", words);

    let head = head_and_place(&bundle, &decoded, &leaf, links)?;
    let unused = unused(&bundle, &head, &record, &certificates);
    if let Some(at) = unused {
        let words = format!("certificates[{at}]: no signature in the bundle names it");
        return links.broken("bundle", words);
    }
    for (i, list) in decoded.crls.iter().enumerate() {
        if let Err(why) = belief.anchor.add_list(list) {
            return links.broken("revocation", format!("crls[{i}]: {why}"));
        }
    }
    head_signature(&bundle, &head, &certificates, &belief, links)?;
    order(&record, &head, links)?;
    time_stamp(&bundle, &decoded, &head, &belief, links)?;
    let parts = Parts {
        record: &record,
        certificates: &certificates,
        leaf: &leaf,
    };
    let request = parts.kept(&bundle, "request", links)?;
    let answer = parts.kept(&bundle, "answer", links)?;
    parts.receipt(&bundle, answer.as_deref(), &belief, links)?;
    parts.request_signature(request.as_deref(), &belief, links)
}

/// The certificates of a bundle, read.
fn certificates(decoded: &Decoded) -> Result<Vec<Certificate>, BundleProblem> {
    let read = decoded.certificates.iter().enumerate().map(|(i, der)| {
        Certificate::from_der(der.clone()).map_err(|e| BundleProblem {
            part: format!("certificates[{i}]"),
            what: e.to_string(),
        })
    });
    read.collect()
}

fn told(record: &Map<String, Value>) -> String {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("?");
    let caller = record.get("caller").and_then(|c| c.get("id"));
    let caller = caller.and_then(Value::as_str).unwrap_or("?");
    let answer = record.get("answer").and_then(|a| a.get("status"));
    let status = answer.map_or_else(|| "?".to_owned(), ToString::to_string);
    let code = record.get("code").and_then(Value::as_str);
    let mut told = match record.get("errand") {
        None => format!(
            "gateway {} says: at {} partner {caller} asked {} {} and was {} with status {status}",
            text("gateway"),
            text("time"),
            text("method"),
            text("route"),
            text("verdict"),
        ),
        Some(errand) => {
            let of_errand = |name: &str| errand.get(name).and_then(Value::as_str).unwrap_or("?");
            let (peer, upstream) = (record.get("peer"), record.get("upstream"));
            let id = peer.and_then(|p| p.get("id")?.as_str());
            let name = upstream.and_then(|u| u.get("name")?.as_str());
            format!(
                "gateway {} says: at {} it called {} in step {} of an errand ({}): {} with status {status}",
                text("gateway"),
                text("time"),
                id.or(name).unwrap_or("nobody"),
                of_errand("step"),
                of_errand("kind"),
                text("verdict"),
            )
        }
    };
    if let Some(code) = code {
        told.push_str(&format!(" ({code})"));
    }
    told.push_str(&format!("; correlation id {}", text("correlationId")));
    // What stands in a record is not ours to let onto a terminal.
    told.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The head's form, and the leaf's place under its root.
fn head_and_place(
    bundle: &Bundle,
    decoded: &Decoded,
    leaf: &Hash,
    links: &mut Links<'_>,
) -> Result<Head, Stop> {
    let head = match Head::read(&bundle.head) {
        Ok(head) => head,
        Err(what) => return links.broken("head", format!("the tree head: {what}")),
    };
    let (index, size) = (bundle.index, head.size);
    if !merkle::includes(leaf, index, size, &decoded.inclusion, &head.root) {
        let words = format!(
            "the leaf does not lead to the head's root: record, index ({index}), proof or head ({size} records) is another"
        );
        return links.broken("inclusion", words);
    }
    let words = format!(
        "the record is number {index} of {size} in log {}: {} hashes lead to the head's root",
        head.log,
        decoded.inclusion.len()
    );
    links.holds("inclusion", words);
    Ok(head)
}

/// The place of a certificate that nothing in the bundle names.
fn unused(
    bundle: &Bundle,
    head: &Head,
    record: &Map<String, Value>,
    certificates: &[Certificate],
) -> Option<usize> {
    let signer = record.get("signer").and_then(Value::as_str);
    let receipt = bundle.receipt.as_ref();
    let receipt = receipt.and_then(|r| Jws::parse(&r.signature)?.signer());
    certificates.iter().position(|c| {
        let name = c.fingerprint();
        name != head.signer && Some(name) != receipt && signer != Some(&*name.to_string())
    })
}

fn sha256(bytes: &[u8]) -> Hash {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .unwrap_or_default()
}

/// RFC 3339 in UTC.
pub fn moment(text: &str) -> Option<Moment> {
    let form = &time::format_description::well_known::Rfc3339;
    let at = time::OffsetDateTime::parse(text, form).ok()?;
    if !text.ends_with('Z') {
        return None;
    }
    let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
    Some(Moment::from_ms(i64::try_from(ms).ok()?))
}

fn shown(at: Moment) -> String {
    let mut text = Vec::new();
    at.push_rfc3339(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests;
