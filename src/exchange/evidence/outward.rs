//! Records of what the gateway does of its own accord: the calls of errands, and what an errand took. The same log, the same levels
//! as for exchanges; an errand's step counts as done only when its record is where the level wants it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};

use super::{is_detached, not_open, sized, whole};
use crate::{
    config::{EvidenceBodies, EvidenceLevel, Role},
    envelope::jose::AnswerSignature,
    evidence::{BodySeen, Draft, ErrandSeen, Keep, Noted, PeerSeen, Receipt, UpstreamSeen},
    exchange::{Gateway, Snapshot},
    refusal::{Code, Refusal},
    store::Errand,
    trust::Fingerprint,
    upstream::Answer,
};

/// What a call showed on its way, as far as it came.
#[derive(Default)]
pub(in crate::exchange) struct Travelled {
    /// Whether anything may have left.
    pub(in crate::exchange) sent: bool,
    /// The bodies are sealed, so that their digests tell nothing.
    pub(in crate::exchange) sealed: bool,
    pub(in crate::exchange) request: Bytes,
    /// Our header `signature`, and whose it is.
    pub(in crate::exchange) signature: Option<(HeaderValue, Fingerprint)>,
    pub(in crate::exchange) status: Option<u16>,
    /// The answer's octets, before anything was opened.
    pub(in crate::exchange) answer: Option<Bytes>,
    /// There only when the answer is proven.
    pub(in crate::exchange) receipt: Option<Receipt>,
    pub(in crate::exchange) took: Duration,
}

impl Travelled {
    /// Takes note of what a call came to.
    pub(in crate::exchange) fn came(&mut self, answer: &Result<Answer, Refusal>) {
        match answer {
            Ok(answer) => {
                self.sent = true;
                self.status = Some(answer.status.as_u16());
                self.answer = Some(answer.body.clone());
            }
            // Nothing left: there was no connection, or no token to call with.
            Err(refusal) if nothing_left(refusal.code()) => {}
            Err(_) => self.sent = true,
        }
    }
}

const fn nothing_left(code: Code) -> bool {
    matches!(
        code,
        Code::UpstreamDown | Code::LoginRefused | Code::LoginDown | Code::LoginForm
    )
}

/// The step of an errand that a record is about.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The errand.
    pub errand: &'a Errand,
    /// What ties its records together.
    pub correlation_id: &'a str,
}

impl<'a> Step<'a> {
    fn seen(&self) -> ErrandSeen<'a> {
        ErrandSeen {
            kind: self.errand.kind(),
            number: u64::try_from(self.errand.id()).unwrap_or_default(),
            step: self.errand.step(),
            attempt: self.errand.attempts().saturating_add(1),
            cause: None,
        }
    }
}

/// Keeps the record of one call.
pub(in crate::exchange) struct Outward<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    step: Step<'a>,
    level: EvidenceLevel,
    bodies: EvidenceBodies,
}

impl<'a> Outward<'a> {
    /// Before anything is sent. `None` where nothing is recorded.
    ///
    /// # Errors
    /// `EVD-004` where a record is required and cannot be had at present.
    pub(in crate::exchange) fn begin(
        gateway: &'a Gateway,
        snapshot: &'a Snapshot,
        step: Step<'a>,
    ) -> Result<Option<Self>, Refusal> {
        let Some(general) = &snapshot.config().evidence else {
            return Ok(None);
        };
        match (general.level, gateway.evidence()) {
            (EvidenceLevel::Off, _) | (EvidenceLevel::BestEffort, None) => return Ok(None),
            (EvidenceLevel::Required, None) => return Err(not_open()),
            (EvidenceLevel::Required, Some(evidence)) => evidence.ready()?,
            (EvidenceLevel::BestEffort, Some(_)) => {}
        }
        Ok(Some(Self {
            gateway,
            snapshot,
            step,
            level: general.level,
            bodies: general.bodies,
        }))
    }

    /// After the call: the record, on disk where that is required. A call of which nothing left is not recorded.
    ///
    /// # Errors
    /// `EVD-…` where the record is required and is not there: the step is to be done again.
    pub(in crate::exchange) async fn end(
        self,
        upstream: &str,
        method: &Method,
        travelled: &Travelled,
        failed: Option<Code>,
    ) -> Result<(), Refusal> {
        if !travelled.sent {
            return Ok(());
        }
        let peer = self.snapshot.peer_of(upstream);
        let body = |body: &Bytes| -> BodySeen {
            if travelled.sealed {
                whole(body)
            } else {
                sized(body)
            }
        };
        let revocation = self.peers_standing(upstream, travelled);
        let draft = Draft {
            errand: Some(self.step.seen()),
            method: Some(method.as_str()),
            peer: peer.map(|peer| PeerSeen {
                id: peer.id(),
                organisation: peer.organisation(),
            }),
            signer: travelled.signature.as_ref().map(|(_, signer)| *signer),
            request_body: Some(body(&travelled.request)),
            signature: (travelled
                .signature
                .as_ref()
                .map(|(value, _)| value.as_bytes()))
            .filter(|value| is_detached(value)),
            revocation_json: revocation.as_deref(),
            code: failed.map(|code| code.as_str()),
            upstream: Some(UpstreamSeen {
                name: upstream,
                status: travelled.status,
                us: u64::try_from(travelled.took.as_micros()).unwrap_or(u64::MAX),
                receipt: travelled.receipt.as_ref(),
            }),
            status: travelled.status.filter(|_| travelled.answer.is_some()),
            answer_body: travelled.answer.as_ref().map(body),
            us: u64::try_from(travelled.took.as_micros()).unwrap_or(u64::MAX),
            ..self.draft()
        };
        // Only what is sealed is kept: of the rest not even a digest is in the record.
        let kept = |wanted: bool, body: Option<&'_ Bytes>| {
            wanted && travelled.sealed && body.is_some_and(|body| !body.is_empty())
        };
        let keep = Keep {
            request: kept(self.bodies.request(), Some(&travelled.request))
                .then_some(&*travelled.request),
            answer: (travelled.answer.as_ref())
                .filter(|answer| kept(self.bodies.answer(), Some(answer)))
                .map(|answer| &**answer),
        };
        self.note(&draft, keep)?.durable().await
    }

    /// What an errand took, and by which exchange it had come.
    async fn taken(self, at: &'a str, cause: &'a str) -> Result<(), Refusal> {
        let draft = Draft {
            errand: Some(ErrandSeen {
                step: at,
                cause: Some(cause),
                ..self.step.seen()
            }),
            ..self.draft()
        };
        self.note(&draft, Keep::default())?.durable().await
    }

    fn draft(&self) -> Draft<'a> {
        Draft {
            gateway: self.gateway.name(),
            correlation_id: self.step.correlation_id,
            configuration_json: Some(&self.snapshot.seen().configuration),
            ..Draft::default()
        }
    }

    fn note(&self, draft: &Draft<'_>, keep: Keep<'_>) -> Result<Noted, Refusal> {
        let Some(evidence) = self.gateway.evidence() else {
            return Ok(Noted::nothing());
        };
        evidence.note(draft, keep, self.level == EvidenceLevel::Required)
    }

    /// What is known of the certificate that signed the peer's receipt.
    fn peers_standing(&self, upstream: &str, travelled: &Travelled) -> Option<String> {
        let receipt = travelled.receipt.as_ref()?.signature.to_str().ok()?;
        let signer = AnswerSignature::parse(receipt).ok()?.signer();
        let peer = self.snapshot.peer_of(upstream)?;
        let binding = peer.find_in(Role::Signature, &signer)?;
        let now = self.gateway.clock().now();
        let seen = self.snapshot.seen().binding(self.snapshot, binding, now);
        Some(format!("[{seen}]"))
    }
}

impl Gateway {
    /// Records that an errand took, and stands at `at` now, what an exchange with the correlation id `cause` had brought.
    ///
    /// # Errors
    /// `EVD-…` where the record is required and is not there: take it again.
    pub async fn record_taken(
        &self,
        snapshot: &Snapshot,
        step: Step<'_>,
        at: &str,
        cause: &str,
    ) -> Result<(), Refusal> {
        match Outward::begin(self, snapshot, step)? {
            Some(outward) => outward.taken(at, cause).await,
            None => Ok(()),
        }
    }
}
