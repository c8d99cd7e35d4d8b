//! Step 8, first half: the exchange gets its place in the evidence log before its answer is signed, and the answer leaves when the
//! record is on disk, where the policy wants that.

mod check;
mod outward;
mod seen;

pub(super) use check::check;
pub use outward::Step;
pub(super) use outward::{Outward, Travelled};
pub(super) use seen::Seen;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::StatusCode;

use super::{Connection, Gateway, Handlers, Sealed, Snapshot, Trail, identify, seal};
use crate::{
    clock::{Clock, Moment},
    config::{EvidenceBodies, EvidenceLevel, PartnerKind, Role},
    envelope::sha256,
    evidence::{
        Bodies, BodySeen, CallerSeen, Draft, Evidence, HeadSigner, Keep, LogError, Noted, Settings,
        UpstreamSeen, assemble,
    },
    observe::EvidenceMetrics,
    partners::Caller,
    policy::Route,
    refusal::{Code, Refusal},
};

/// An answer whose record is on disk, or is not required. Only [`commit`] makes one.
#[derive(Debug)]
pub struct Committed(Sealed);

impl Committed {
    pub(super) fn into_sealed(self) -> Sealed {
        self.0
    }
}

/// Refuses before anything goes upstream where the exchange must be recorded and cannot be.
pub(super) fn ready(gateway: &Gateway, trail: &Trail) -> Result<(), Refusal> {
    if wanted(trail).0 != EvidenceLevel::Required {
        return Ok(());
    }
    gateway
        .evidence()
        .map_or_else(|| Err(not_open()), Evidence::ready)
}

/// A reload asks for evidence of a process that was started without.
fn not_open() -> Refusal {
    let cause = "[evidence] was added while the gateway runs, and its log opens at a start: restart the gateway";
    Refusal::new(Code::EvidenceDown, cause)
}

/// Takes note of a request's whole body.
pub(super) fn body_read(trail: &mut Trail, body: &Bytes) {
    if trail.gateway().evidence().is_none() {
        return;
    }
    let (level, bodies) = wanted(trail);
    if level == EvidenceLevel::Off {
        return;
    }
    trail.request_digest = Some(sha256(body));
    if bodies.request() {
        trail.kept_request = Some(body.clone());
    }
}

/// Gives the exchange its place in the log. `body` is the answer's as it will travel; `None` where it is passed on as it comes.
pub(super) fn note(
    gateway: &Gateway,
    trail: &Trail,
    status: StatusCode,
    body: Option<&[u8]>,
) -> Result<Noted, Refusal> {
    let (level, bodies) = wanted(trail);
    if level == EvidenceLevel::Off {
        return Ok(Noted::nothing());
    }
    let Some(evidence) = gateway.evidence() else {
        return match level {
            EvidenceLevel::Required => Err(not_open()),
            EvidenceLevel::BestEffort | EvidenceLevel::Off => Ok(Noted::nothing()),
        };
    };
    let Some(caller) = &trail.caller else {
        evidence.stranger();
        return Ok(Noted::nothing());
    };
    let snapshot = trail.snapshot();
    let partner = caller.partner();
    let revocation = snapshot
        .seen()
        .revocation(snapshot, trail, gateway.clock().now());
    let upstream = trail.route().and_then(|route| route.upstream());
    let (decided, facts) = (trail.decision.as_deref(), trail.facts());
    let (decided, facts) = (decided.map(json), facts.map(json));
    let draft = Draft {
        gateway: gateway.name(),
        correlation_id: trail.correlation_id(),
        face: Some(&trail.connection.face),
        errand: None,
        route: trail.route().map(|route| route.name()),
        method: Some(trail.method.as_str()),
        caller: Some(CallerSeen {
            id: partner.id().as_str(),
            organisation: partner.organisation(),
            kind: kind(partner.kind()),
            how: caller.how().as_str(),
            policy: trail.policy.as_deref(),
        }),
        peer: None,
        tls: trail.connection.leaf_fingerprint(),
        signer: trail.signed_by,
        request_body: trail.request_digest.map(|digest| BodySeen {
            digest: Some(digest),
            bytes: trail.bytes_in,
        }),
        // One that holds has its form already.
        signature: (trail.signature.as_ref().map(http::HeaderValue::as_bytes))
            .filter(|v| trail.signed_by.is_some() || is_detached(v)),
        revocation_json: revocation.as_deref(),
        configuration_json: Some(&snapshot.seen().configuration),
        policy_json: decided.as_deref(),
        facts_json: facts.as_deref(),
        code: trail.refused.as_ref().map(|(code, _)| code.as_str()),
        upstream: upstream
            .filter(|_| trail.upstream_us() > 0)
            .map(|name| UpstreamSeen {
                name,
                status: trail.upstream_status(),
                us: trail.upstream_us(),
                receipt: trail.receipt.as_ref(),
            }),
        status: Some(status.as_u16()),
        answer_body: body.map(whole),
        streamed: body.is_none(),
        us: u64::try_from(trail.started.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    let keep = Keep {
        request: trail.kept_request.as_deref(),
        answer: body.filter(|body| bodies.answer() && !body.is_empty()),
    };
    evidence.company(gateway.under_way());
    evidence.note(&draft, keep, level == EvidenceLevel::Required)
}

/// Records what the HTTP gate refused, where a known partner's certificate is on the connection: gives who it is. The answer is on its way
/// already, so this is best effort, whatever the level. There is at most one for a connection: the gate ends it.
pub(super) fn refused_at_the_gate(
    gateway: &Gateway,
    connection: &Connection,
    code: Code,
    correlation_id: &str,
) -> Option<Caller> {
    let snapshot = gateway.snapshot();
    let caller = identify::behind(&snapshot, connection, gateway.clock().now());
    let general = snapshot.config().evidence.as_ref();
    let (Some(_), Some(evidence)) = (
        general.filter(|general| general.level != EvidenceLevel::Off),
        gateway.evidence(),
    ) else {
        return caller;
    };
    let Some(known) = &caller else {
        evidence.stranger();
        return None;
    };
    let partner = known.partner();
    let draft = Draft {
        gateway: gateway.name(),
        correlation_id,
        face: Some(&connection.face),
        caller: Some(CallerSeen {
            id: partner.id().as_str(),
            organisation: partner.organisation(),
            kind: kind(partner.kind()),
            how: known.how().as_str(),
            policy: None,
        }),
        tls: connection.leaf_fingerprint(),
        configuration_json: Some(&snapshot.seen().configuration),
        code: Some(code.as_str()),
        status: Some(code.status()),
        ..Draft::default()
    };
    // A loss is counted there.
    let _ = evidence.note(&draft, Keep::default(), false);
    caller
}

/// A body with its digest.
fn whole(body: &[u8]) -> BodySeen {
    BodySeen {
        digest: Some(sha256(body)),
        ..sized(body)
    }
}

/// A body without.
fn sized(body: &[u8]) -> BodySeen {
    BodySeen {
        digest: None,
        bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Writing to memory does not fail; if it did, the record would still be JSON.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Waits for the record; an answer that must not leave without it becomes a refusal.
pub(super) async fn commit(
    gateway: &Gateway,
    handlers: &Handlers,
    mut sealed: Sealed,
    trail: &mut Trail,
) -> Committed {
    let noted = std::mem::replace(&mut sealed.noted, Noted::nothing());
    match noted.durable().await {
        Ok(()) => Committed(sealed),
        Err(refusal) => Committed(seal::seal_unrecorded(gateway, handlers, &refusal, trail)),
    }
}

/// Whether that refusal says that the exchange cannot be recorded.
pub(super) const fn is_loss(code: Code) -> bool {
    matches!(
        code,
        Code::EvidenceQueue | Code::EvidenceWrite | Code::EvidenceSlow | Code::EvidenceDown
    )
}

/// Whether a header `signature` is a detached JWS by its form. Anything else may be any text, and a record can never be erased.
fn is_detached(value: &[u8]) -> bool {
    let Some((protected, signature)) = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.split_once(".."))
    else {
        return false;
    };
    let header = URL_SAFE_NO_PAD.decode(protected).unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&header).is_ok()
        && (1..=1024).contains(&signature.len())
}

/// What the route wants, or else the configuration.
fn wanted(trail: &Trail) -> (EvidenceLevel, EvidenceBodies) {
    let Some(general) = &trail.snapshot().config().evidence else {
        return (EvidenceLevel::Off, EvidenceBodies::None);
    };
    let own = trail
        .route()
        .map(|route| route.evidence())
        .unwrap_or_default();
    (
        own.level.unwrap_or(general.level),
        own.bodies.unwrap_or(general.bodies),
    )
}

/// How exchanges of that route are recorded.
pub(super) fn level(snapshot: &Snapshot, route: &Route) -> EvidenceLevel {
    match &snapshot.config().evidence {
        None => EvidenceLevel::Off,
        Some(general) => route.evidence().level.unwrap_or(general.level),
    }
}

const fn kind(kind: PartnerKind) -> &'static str {
    match kind {
        PartnerKind::Auth => "auth",
        PartnerKind::Misp => "misp",
        PartnerKind::Service => "service",
    }
}

/// Opens the log that a configuration asks for.
pub(super) fn start(
    snapshot: &Snapshot,
    metrics: &EvidenceMetrics,
    clock: &Clock,
) -> Result<Option<Evidence>, LogError> {
    let config = snapshot.config();
    let Some(raw) = &config.evidence else {
        return Ok(None);
    };
    let folder = snapshot.evidence_folder();
    let settings = Settings {
        folder: folder.clone(),
        gateway: config.gateway.name.clone(),
        queue_max: raw.queue_max,
        commit_timeout: Duration::from_millis(raw.commit_timeout_ms),
        reserve: raw.reserve_mib.saturating_mul(1 << 20),
    };
    let bodies = snapshot
        .store()
        .and_then(|store| store.vault().ok())
        .map(|vault| Bodies::new(&folder, vault));
    let (evidence, found) = Evidence::start(settings, metrics, clock, bodies)?;
    if found.torn_bytes > 0 {
        tracing::warn!(
            bytes = found.torn_bytes,
            "evidence: a record that was not whole was cut off; it was never answered for. It is kept in the log's folder, in `torn`"
        );
    }
    if found.rebuilt {
        tracing::warn!(
            "evidence: the tree's files did not fit the records and were made anew; the last signed head fits"
        );
    }
    tracing::info!(records = found.records, folder = %folder.display(), "evidence: the log is open");
    use_signer(&evidence, snapshot, clock.now());
    Ok(Some(evidence))
}

/// Lets the newest signature certificate of a snapshot sign heads.
pub(super) fn use_signer(evidence: &Evidence, snapshot: &Snapshot, now: Moment) {
    keep_certificates(evidence, snapshot);
    evidence.set_signer(snapshot.own().signer(now).map(|signer| HeadSigner {
        key: Arc::clone(signer.key()),
        algorithm: signer.algorithm(),
        certificate: signer.fingerprint(),
    }));
}

/// Keeps every signature certificate beside the log, so that what was signed with it can be shown when it is gone from here.
fn keep_certificates(evidence: &Evidence, snapshot: &Snapshot) {
    let partners = snapshot.directory().iter().map(|p| p.certificates());
    let own = std::iter::once(snapshot.own().certificates());
    let all = own.chain(partners).chain(snapshot.peers());
    let bindings = all.flat_map(|party| party.bindings());
    let signing = bindings.filter(|b| b.role() == Role::Signature);
    let kept = assemble::keep_certificates(evidence.folder(), signing.map(|b| &**b.certificate()));
    if let Err(error) = kept {
        tracing::error!(%error, "evidence: signature certificates could not be kept beside the log; bundles need them when they are replaced");
    }
}
