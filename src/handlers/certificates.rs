//! Handler `certificates`: a partner replaces its own certificates. Its current TLS key is on the connection and its current
//! signature key signs every request (envelope `jose`, and no other); that it holds the new key, it proves (envelope::possession).
//!
//! ```text
//! GET  …/current       its own certificates: role, fingerprint, validity, whether usable
//! POST …/challenge     {role, certificate, algorithm?}: the certificate is checked; something to prove possession with
//! POST …/replacement   {challenge, certificate, proof, validFrom?}: checked again, and bound beside the old one
//! ```

mod ask;
mod told;

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use self::ask::{Ask, ChallengeAsk, ReplacementAsk};
use crate::{
    clock::Moment,
    config::{HandlerKind, Role},
    envelope::{
        jose,
        possession::{self, Challenge, Nonce, PossessionProblem, SEALED},
    },
    exchange::{
        Content, Gateway, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail, json_only,
        plain_refusal, replacements, replay, rfc3339,
    },
    keys::{ContentWrapKey, KeyKind},
    partners::Partner,
    refusal::{Code, Refusal},
    trust::{Candidate, Certificate, Replacement, Unfit, Unusable},
};

const DAY_MS: i64 = 86_400_000;
/// How far back `validFrom` may be: a clock that is a little off.
const PAST_MS: i64 = 60_000;

/// Lets partners replace their own certificates.
#[derive(Debug)]
pub struct Certificates;

impl Handler for Certificates {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let (content, handling) = permitted.begin(trail);
            let Content::Whole(body) = content else {
                return Err(Refusal::new(Code::Fault, "a body that is not whole"));
            };
            if *handling.method() == Method::POST {
                json_only(handling.headers())?;
            }
            let now = trail.gateway().clock().now();
            let answer = match ask::read(handling.method(), handling.near().path(), &body)? {
                Ask::Current => {
                    told::current(handling.snapshot(), handling.caller().partner(), now)
                }
                Ask::Challenge(ask) => challenge(ask, &handling, trail, now)?,
                Ask::Replacement(ask) => replace(ask, &handling, trail, now).await?,
            };
            let json = HeaderValue::from_static("application/json");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
            Ok(handling.answer(StatusCode::OK, headers, Bytes::from(answer.to_string())))
        })
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

fn challenge(
    ask: ChallengeAsk,
    handling: &Handling,
    trail: &Trail,
    now: Moment,
) -> Result<Value, Refusal> {
    let ChallengeAsk {
        role,
        algorithm,
        certificates,
    } = ask;
    let fitting = fit(handling, certificates, role, algorithm, now, now)?;
    let leaf = (fitting.leaf()).ok_or_else(|| Refusal::from(Code::Fault))?;
    let nonce = possession::random().map_err(fault)?;
    let hidden = role == Role::Encryption;
    let challenge = Challenge {
        audience: handling.snapshot().own().id().to_owned(),
        partner: partner(handling).id().as_str().to_owned(),
        role,
        algorithm: fitting.algorithm,
        certificate: leaf.fingerprint(),
        connection: connection(trail)?,
        issued: now,
        nonce: if hidden {
            Nonce::hide(&nonce).map_err(fault)?
        } else {
            Nonce::Signed(nonce.clone())
        },
    };
    let signer = (handling.snapshot().own().signer(now))
        .ok_or_else(|| Refusal::new(Code::NoSigner, "no usable signature certificate of ours"))?;
    let text = challenge.sign(signer).map_err(fault)?;
    let sealed = if hidden {
        let key = ContentWrapKey::new(leaf.key())
            .map_err(|e| Refusal::new(Code::ReplacementKey, e.to_string()))?;
        let sealed = jose::seal(&challenge.to_seal(&nonce), SEALED, leaf.fingerprint(), &key);
        Some(sealed.map_err(|e| Refusal::new(Code::ReplacementKey, e.to_string()))?)
    } else {
        None
    };
    let back_ms = i64::try_from(handling.snapshot().window().back_ms).unwrap_or(i64::MAX);
    let until = now.plus_ms(back_ms);
    Ok(told::challenge(
        &challenge,
        &text,
        (nonce, sealed),
        leaf,
        until,
    ))
}

async fn replace(
    ask: ReplacementAsk,
    handling: &Handling,
    trail: &Trail,
    now: Moment,
) -> Result<Value, Refusal> {
    let gateway = trail.gateway();
    let valid_from = begin(handling, ask.valid_from, now)?;
    let challenge = own_challenge(&ask, handling, trail, now)?;
    // Before anything is tried: a challenge is good for one answer, right or wrong.
    once(gateway, &ask.challenge, &challenge, now).await?;
    let fitting = fit(
        handling,
        ask.certificates,
        challenge.role,
        challenge.algorithm,
        valid_from,
        now,
    )?;
    let leaf = (fitting.leaf()).ok_or_else(|| Refusal::from(Code::Fault))?;
    (challenge.answered(leaf.key(), &ask.proof)).map_err(|problem| {
        let code = match problem {
            PossessionProblem::Form(_) => Code::ProofForm,
            PossessionProblem::Wrong(_) => Code::ProofWrong,
            PossessionProblem::Fault => Code::Fault,
        };
        Refusal::new(code, problem.to_string())
    })?;
    let told = told::replacement(&fitting, partner(handling), now);
    let whose = partner(handling).id().as_str();
    replacements::keep(gateway, whose, &fitting).await?;
    let role = fitting.role.as_str();
    (gateway.metrics().replacements.with_label_values(&[role])).inc();
    tracing::info!(
        partner = whose,
        role,
        certificate = %challenge.certificate,
        replaces = fitting.replaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        overlap_until = rfc3339(fitting.overlap_until),
        connection = challenge.connection,
        signed_by = trail.signed_by().map(|signer| signer.to_string()),
        correlation_id = trail.correlation_id(),
        "a partner replaced its certificate"
    );
    Ok(told)
}

/// Reads the challenge and holds it against everything that it was made for.
fn own_challenge(
    ask: &ReplacementAsk,
    handling: &Handling,
    trail: &Trail,
    now: Moment,
) -> Result<Challenge, Refusal> {
    let foreign = |cause: &str| Refusal::new(Code::ChallengeForeign, cause);
    let own = handling.snapshot().own();
    let challenge = Challenge::read(&ask.challenge, |signer| {
        let binding = own.certificates().find_in(Role::Signature, signer)?;
        handling.snapshot().judge(binding, now).ok()?;
        binding.verifying_key()
    })
    .map_err(|problem| foreign(&problem.to_string()))?;
    let leaf = (ask.certificates.first()).map(Certificate::fingerprint);
    if challenge.audience != own.id() {
        return Err(foreign("made by another party"));
    }
    if challenge.partner != partner(handling).id().as_str() {
        return Err(foreign("made for another partner"));
    }
    if leaf != Some(challenge.certificate) {
        return Err(foreign("made for another certificate"));
    }
    if challenge.connection != connection(trail)? {
        return Err(foreign("made for a connection with another certificate"));
    }
    (handling.snapshot().window().check(challenge.issued, now))
        .map_err(|why| Refusal::new(Code::ChallengeStale, why.cause().to_owned()))?;
    Ok(challenge)
}

/// Takes a challenge once, among all gateways.
async fn once(
    gateway: &Gateway,
    text: &str,
    challenge: &Challenge,
    now: Moment,
) -> Result<(), Refusal> {
    let whose = format!("key challenge of {}", challenge.partner);
    let digest = possession::digest(text);
    let taken = replay::take_once(gateway, &whose, &digest, challenge.issued, now).await;
    taken.map_err(|refusal| match refusal.code() {
        Code::Replayed => Refusal::new(Code::ChallengeUsed, refusal.cause().to_owned()),
        Code::Stale | Code::FromTheFuture => {
            Refusal::new(Code::ChallengeStale, refusal.cause().to_owned())
        }
        _ => refusal,
    })
}

/// From when it is to hold.
fn begin(handling: &Handling, asked: Option<Moment>, now: Moment) -> Result<Moment, Refusal> {
    let Some(asked) = asked else { return Ok(now) };
    let days = i64::from(settings(handling).ahead_days);
    if asked < now.plus_ms(-PAST_MS) || asked > now.plus_ms(days.saturating_mul(DAY_MS)) {
        let cause = format!("validFrom is not within the next {days} days");
        return Err(Refusal::new(Code::ReplacementBegin, cause));
    }
    Ok(asked.max(now))
}

/// Everything that a certificate from a file must be, and that its key is nobody's yet.
fn fit(
    handling: &Handling,
    certificates: Vec<Certificate>,
    role: Role,
    algorithm: Option<crate::config::Algorithm>,
    valid_from: Moment,
    now: Moment,
) -> Result<Replacement, Refusal> {
    let settings = settings(handling);
    let snapshot = handling.snapshot();
    let candidate = Candidate {
        certificates,
        role,
        algorithm,
        valid_from,
        overlap_ms: i64::from(settings.overlap_days).saturating_mul(DAY_MS),
        live_max: settings.live_max,
        same_key: settings.same_key,
    };
    let own = partner(handling).certificates();
    let fitting = own
        .fit(candidate, snapshot.anchors(), now)
        .map_err(|why| unfit(&why))?;
    let leaf = (fitting.leaf()).ok_or_else(|| Refusal::from(Code::Fault))?;
    if role == Role::Encryption && leaf.key().kind() != KeyKind::Rsa && speaks_ida(handling) {
        let cause =
            "MOSIP's own formats are sealed to RSA keys alone, and the partner uses IDA routes";
        return Err(Refusal::new(Code::ReplacementKey, cause));
    }
    let mine = |key| {
        let mut bound = own.bindings().iter();
        bound.any(|b| b.certificate().key().same_key(key))
    };
    if !mine(leaf.key()) && snapshot.knows_key(leaf.key()) {
        // The partner is told no more than that it is in use: whose it is, is not its business.
        let cause = "the key is bound to another party";
        return Err(Refusal::new(Code::ReplacementBound, cause));
    }
    Ok(fitting)
}

/// Whether the partner may use a route that seals to it in MOSIP's own format.
fn speaks_ida(handling: &Handling) -> bool {
    let routes = handling.snapshot().routes().iter();
    routes
        .filter(|route| route.handler() == HandlerKind::Ida)
        .any(|route| partner(handling).may_use(route.name()).is_ok())
}

fn unfit(why: &Unfit) -> Refusal {
    let code = match why {
        Unfit::Chain(_) => Code::ReplacementUnreadable,
        Unfit::Nothing => Code::ReplacementNothing,
        Unfit::TooMany(_) => Code::ReplacementTooMany,
        Unfit::Known(_) | Unfit::Key(_) => Code::ReplacementBound,
        Unfit::Algorithm => Code::ReplacementKey,
        Unfit::Ended => Code::ReplacementTime,
        Unfit::Unusable(why) => match why {
            Unusable::NotYet(_) | Unusable::Expired(_) => Code::ReplacementTime,
            Unusable::Revoked { .. }
            | Unusable::RevocationUnknown { .. }
            | Unusable::RevocationStale { .. } => Code::ReplacementRevoked,
            Unusable::UnknownIssuer(_) | Unusable::NoPath(_) => Code::ReplacementPath,
            Unusable::Usage(_) => Code::ReplacementUsage,
            Unusable::KeySize(_) => Code::ReplacementKey,
            Unusable::Organisation { .. } => Code::ReplacementOrganisation,
            Unusable::SharedKey { .. } | Unusable::Issuer => Code::ReplacementBound,
        },
    };
    Refusal::new(code, why.to_string())
}

fn settings(handling: &Handling) -> crate::config::Certificates {
    let config = handling.snapshot().config();
    config.certificates.clone().unwrap_or_default()
}

fn partner(handling: &Handling) -> &Partner {
    handling.caller().partner()
}

fn connection(trail: &Trail) -> Result<String, Refusal> {
    (trail.leaf_fingerprint())
        .map(str::to_owned)
        .ok_or_else(|| Refusal::new(Code::Fault, "a partner without a certificate"))
}

fn fault(problem: PossessionProblem) -> Refusal {
    Refusal::new(Code::Fault, problem.to_string())
}
