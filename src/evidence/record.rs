//! One record: a line of JSON whose members stand in a fixed order (docs/evidence.md). Written by hand into one buffer, since it
//! is written for every exchange.

mod line;

use line::Line;

use super::{bodies::Sealed, tree::Hash};
use crate::{clock::Moment, trust::Fingerprint};

/// What a record says. Text is borrowed from wherever it is; members that end in `_json` are JSON already.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// As in the header.
    pub correlation_id: &'a str,
    /// The face it came by; none where the gateway itself called.
    pub face: Option<&'a str>,
    /// The errand for which the gateway itself called, or took something.
    pub errand: Option<ErrandSeen<'a>>,
    /// The route, where one was found.
    pub route: Option<&'a str>,
    /// The HTTP method.
    pub method: Option<&'a str>,
    /// The identified partner.
    pub caller: Option<CallerSeen<'a>>,
    /// The party that was called.
    pub peer: Option<PeerSeen<'a>>,
    /// The certificate on the connection, in hex.
    pub tls: Option<&'a str>,
    /// The certificate that signed.
    pub signer: Option<Fingerprint>,
    /// The request's body, where it was read whole.
    pub request_body: Option<BodySeen>,
    /// The header `signature`.
    pub signature: Option<&'a [u8]>,
    /// The certificates relied on, and what was known of their revocation: an array.
    pub revocation_json: Option<&'a str>,
    /// The configuration in force: an object.
    pub configuration_json: Option<&'a str>,
    /// What the rules decided: an object.
    pub policy_json: Option<&'a str>,
    /// The facts the rules saw: an object.
    pub facts_json: Option<&'a str>,
    /// The refusal's code; none where the exchange was answered.
    pub code: Option<&'a str>,
    /// The service behind.
    pub upstream: Option<UpstreamSeen<'a>>,
    /// The answer's status; none where there is no answer.
    pub status: Option<u16>,
    /// The answer's body, where it was whole.
    pub answer_body: Option<BodySeen>,
    /// Whether it is passed on as it comes.
    pub streamed: bool,
    /// Microseconds since the request arrived.
    pub us: u64,
}

/// A body as it travelled.
#[derive(Clone, Copy, Debug)]
pub struct BodySeen {
    /// Its digest; none where it travelled in plain on a call of our own, and the digest would be of a text that can be guessed.
    pub digest: Option<Hash>,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What the gateway did of its own accord.
#[derive(Clone, Copy, Debug)]
pub struct ErrandSeen<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its number in the store.
    pub number: u64,
    /// The step that was attempted.
    pub step: &'a str,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// The correlation id of the exchange that brought what was taken.
    pub cause: Option<&'a str>,
}

/// Who was called.
#[derive(Debug)]
pub struct PeerSeen<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its organisation.
    pub organisation: &'a str,
}

/// Who called.
#[derive(Debug)]
pub struct CallerSeen<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its organisation.
    pub organisation: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// How it was known.
    pub how: &'a str,
    /// The policy of its API key.
    pub policy: Option<&'a str>,
}

/// What the service behind did.
#[derive(Debug)]
pub struct UpstreamSeen<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its HTTP status.
    pub status: Option<u16>,
    /// Microseconds spent on it.
    pub us: u64,
    /// The receipt in its answer.
    pub receipt: Option<&'a Receipt>,
}

/// The signed word of another gateway that a record of this exchange stands in its log.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The leaf it names.
    pub leaf: Hash,
    /// The header `response-signature` that says so.
    pub signature: http::HeaderValue,
}

/// The kept bodies of a record.
#[derive(Debug)]
pub(super) struct KeptBodies<'a> {
    pub(super) id: &'a [u8; 16],
    pub(super) key: &'a str,
    pub(super) request: Option<&'a Sealed>,
    pub(super) answer: Option<&'a Sealed>,
}

/// Room for the members that [`head`] writes.
const HEAD_ROOM: usize = 80;

/// The members before `gateway`, which are only known when the record takes its place in the log.
pub(super) fn head(time: Moment, clock_back: bool, rest: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(rest.len().saturating_add(HEAD_ROOM));
    line.extend_from_slice(br#"{"v":1,"time":""#);
    time.push_rfc3339(&mut line);
    line.push(b'"');
    if clock_back {
        line.extend_from_slice(br#","clockBack":true"#);
    }
    line.extend_from_slice(rest);
    line
}

/// Everything from `gateway` on, with the line end.
pub(super) fn rest(draft: &Draft<'_>, bodies: Option<&KeptBodies<'_>>) -> Vec<u8> {
    let signatures = draft.signature.map_or(0, <[u8]>::len);
    let mut line = Line(Vec::with_capacity(signatures.saturating_add(2048)));
    line.text("gateway", draft.gateway);
    line.text("correlationId", draft.correlation_id);
    line.optional("face", draft.face);
    if let Some(errand) = &draft.errand {
        line.errand(errand);
    }
    line.optional("route", draft.route);
    line.optional("method", draft.method);
    if let Some(caller) = &draft.caller {
        line.begin("caller");
        line.text("id", caller.id);
        line.text("organisation", caller.organisation);
        line.text("kind", caller.kind);
        line.text("how", caller.how);
        line.optional("policy", caller.policy);
        line.end();
    }
    if let Some(peer) = &draft.peer {
        line.begin("peer");
        line.text("id", peer.id);
        line.text("organisation", peer.organisation);
        line.end();
    }
    line.optional("tls", draft.tls);
    if let Some(signer) = &draft.signer {
        line.hex("signer", signer.as_bytes());
    }
    if draft.request_body.is_some() || draft.signature.is_some() {
        line.begin("request");
        line.body(draft.request_body.as_ref());
        if let Some(signature) = draft.signature {
            line.text("signature", &String::from_utf8_lossy(signature));
        }
        line.end();
    }
    line.json("revocation", draft.revocation_json);
    line.json("configuration", draft.configuration_json);
    line.json("policy", draft.policy_json);
    line.json("facts", draft.facts_json);
    line.text("verdict", draft.verdict());
    line.optional("code", draft.code);
    if let Some(upstream) = &draft.upstream {
        line.upstream(upstream);
    }
    if let Some(status) = draft.status {
        line.begin("answer");
        line.number("status", u64::from(status));
        line.body(draft.answer_body.as_ref());
        line.json("streamed", draft.streamed.then_some("true"));
        line.end();
    }
    if let Some(bodies) = bodies {
        line.bodies(bodies);
    }
    line.number("us", draft.us);
    line.0.extend_from_slice(b"}\n");
    line.0
}

impl Draft<'_> {
    /// Of a call of ours is said whether a whole, proven answer came; of something taken, that it was.
    fn verdict(&self) -> &'static str {
        match (&self.errand, self.code, self.status) {
            (None, None, _) | (Some(_), None, Some(_)) => "answered",
            (None, Some(_), _) => "refused",
            (Some(_), Some(_), _) => "failed",
            (Some(_), None, None) => "taken",
        }
    }

    /// By whom the record is found: who called, or who was called.
    pub(super) fn partner(&self) -> &str {
        let called = || self.peer.as_ref().map_or("", |peer| peer.id);
        self.caller.as_ref().map_or_else(called, |caller| caller.id)
    }
}

#[cfg(test)]
mod tests;
