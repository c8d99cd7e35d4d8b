//! The links of the head: who signed it and when, whether the record can be under it, and its time stamp.

use serde_json::{Map, Value};

use super::{Belief, Head, Links, Stop, moment, sha256, shown};
use crate::{
    evidence::{
        bundle::{Bundle, Decoded},
        timestamp::Stamp,
    },
    trust::{Certificate, Listed},
};

/// How far the authority's clock may be behind the gateway's.
const STAMP_TOLERANCE_MS: i64 = 300_000;

/// The head bears the signature of a certificate below the anchors, of the organisation whose log it must be.
pub(super) fn head_signature(
    bundle: &Bundle,
    head: &Head,
    certificates: &[Certificate],
    belief: &Belief,
    links: &mut Links<'_>,
) -> Result<(), Stop> {
    let Some(certificate) = certificates.iter().find(|c| c.fingerprint() == head.signer) else {
        let words = format!(
            "the certificate {} that signed the head is missing",
            head.signer
        );
        return links.broken("head", words);
    };
    if !Head::signed_by(&bundle.head, certificate) {
        let words = format!(
            "the head does not bear the signature of `{}`",
            certificate.subject()
        );
        return links.broken("head", words);
    }
    let when = shown(head.time);
    let words = format!("`{}` signed the tree head at {when}", certificate.subject());
    links.holds("head", words);
    let found = certificate.organisation();
    match &belief.organisation {
        Some(wanted) if found != Some(wanted) => {
            let words = format!(
                "the head was signed for the organisation `{}`, not for `{wanted}`",
                found.unwrap_or("-")
            );
            return links.broken("signer", words);
        }
        _ => {}
    }
    match belief.anchor.signature_path(certificate, head.time) {
        Err(why) => links.broken("signer", format!("`{}`: {why}", certificate.subject())),
        Ok((path, listed)) => {
            links.holds("signer", format!("{}: valid on {when}", path.join(" ← ")));
            match listed {
                Listed::Good { as_of } => {
                    let words = format!("none of them is revoked in lists from {}", shown(as_of));
                    links.holds("revocation", words);
                }
                Listed::Unknown { issuer } => {
                    let words = format!(
                        "no revocation list of `{issuer}` is in the bundle; give one with --crl"
                    );
                    links.unproven("revocation", words);
                }
            }
            if belief.organisation.is_none() {
                let organisation = found.unwrap_or("-");
                let words =
                    format!("the log says it is `{organisation}`'s; --organisation makes sure");
                links.unproven("owner", words);
            } else {
                links.holds("owner", format!("the log is `{}`'s", found.unwrap_or("-")));
            }
            Ok(())
        }
    }
}

/// The record is of the head's log and not younger than the head.
pub(super) fn order(
    record: &Map<String, Value>,
    head: &Head,
    links: &mut Links<'_>,
) -> Result<(), Stop> {
    let gateway = record.get("gateway").and_then(Value::as_str);
    if gateway.is_none() || head.log.rsplit_once('/').map(|(name, _)| name) != gateway {
        return links.broken("order", "the record is another gateway's than the log");
    }
    let time = record.get("time").and_then(Value::as_str).and_then(moment);
    match time {
        Some(time) if time <= head.time => {
            links.holds("order", "the record is older than the head that covers it");
            Ok(())
        }
        _ => links.broken(
            "order",
            "the record is younger than the head that covers it",
        ),
    }
}

pub(super) fn time_stamp(
    bundle: &Bundle,
    decoded: &Decoded,
    head: &Head,
    belief: &Belief,
    links: &mut Links<'_>,
) -> Result<(), Stop> {
    const NAME: &str = "time stamp";
    let Some(token) = &decoded.timestamp else {
        links.unproven(
            NAME,
            "there is none: when the head was signed is its signer's word",
        );
        return Ok(());
    };
    let stamp = match Stamp::read(token, &sha256(bundle.head.as_bytes())) {
        Ok(stamp) => stamp,
        Err(why) => return links.broken(NAME, why.to_string()),
    };
    let (who, when) = (stamp.authority().subject(), shown(stamp.time()));
    if stamp.time() < head.time.plus_ms(-STAMP_TOLERANCE_MS) {
        return links.broken(
            NAME,
            format!("`{who}` stamped the head at {when}, before it was signed"),
        );
    }
    let Some(anchor) = &belief.authority else {
        let words =
            format!("`{who}` stamped this head at {when}; --tsa-anchor makes sure who that is");
        links.unproven(NAME, words);
        return Ok(());
    };
    match stamp.chain(anchor) {
        Err(why) => links.broken(NAME, why.to_string()),
        Ok(path) => {
            let words = format!("the head existed at {when}: {}", path.join(" ← "));
            links.holds(NAME, words);
            Ok(())
        }
    }
}
