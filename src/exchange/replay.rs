//! A message is taken once among all gateways that act as one.
//!
//! In this process alone nothing is waited for. With shared state, the server decides, and this process remembers beside it: when the
//! server is away and the gateway may go on alone, it knows what it took itself.

use super::Gateway;
use crate::{
    clock::Moment,
    envelope::ReplayGuard,
    refusal::{Code, Refusal},
    shared::{Redis, Taken},
};

/// Takes a message once. `t` must be the time inside the very bytes of which `digest` is the SHA-256, and the message must be
/// authenticated and fresh.
///
/// # Errors
/// As [`ReplayGuard::admit`]; `SHR-001` when the shared state is away and this gateway must not go on alone.
pub async fn take_once(
    gateway: &Gateway,
    party: &str,
    digest: &[u8; 32],
    t: Moment,
    now: Moment,
) -> Result<(), Refusal> {
    match gateway.shared().redis() {
        None => gateway.replay().admit(party, digest, t, now),
        Some(redis) => among_all(gateway.replay(), redis, party, digest, t, now).await,
    }
}

/// Takes a name of an issuer's own (a `jti`) once among all gateways, beside [`take_once`]; in this process alone its caller remembers
/// it. `issued` is the time that goes with it, `until` the end of its use.
///
/// # Errors
/// `FRS-004` when it was taken before; as [`take_once`] when that cannot be known.
pub async fn take_name(
    gateway: &Gateway,
    issuer: &str,
    digest: &[u8; 32],
    issued: Moment,
    until: Moment,
    now: Moment,
) -> Result<(), Refusal> {
    let Some(redis) = gateway.shared().redis() else {
        return Ok(());
    };
    // Never that of a message: its digest is of something else, and its party no issuer.
    let known = ReplayGuard::name(&format!("name of {issuer}"), digest);
    match redis.take(&known, issued, until.since_ms(now)).await {
        Ok(Taken::First) => Ok(()),
        Ok(Taken::Before) => Err(Refusal::new(Code::Replayed, "the name was used before")),
        Ok(Taken::Closed(_)) => {
            let cause = "the shared server lost what it knew, or is new";
            Err(Refusal::new(Code::ReplayClosed, cause))
        }
        Err(gone) => {
            gone.may_go_on()?;
            redis.took_alone(known, until);
            Ok(())
        }
    }
}

async fn among_all(
    guard: &ReplayGuard,
    redis: &Redis,
    party: &str,
    digest: &[u8; 32],
    t: Moment,
    now: Moment,
) -> Result<(), Refusal> {
    let known = ReplayGuard::name(party, digest);
    match redis.take(&known, t, guard.known_for_ms(t, now)).await {
        Ok(Taken::First) => guard.remember_too(party, digest, t, now),
        Ok(Taken::Before) => Err(Refusal::new(Code::Replayed, "seen before by one of us")),
        Ok(Taken::Closed(floor)) => {
            let left_ms = floor.since_ms(now).saturating_add(1).max(0);
            let cause = format!(
                "the shared server lost what it knew, or is new: closed for another {left_ms} ms"
            );
            let left_s = u64::try_from(left_ms).unwrap_or(0).div_ceil(1000);
            Err(Refusal::new(Code::ReplayClosed, cause).after_s(left_s.max(1)))
        }
        Err(gone) => {
            gone.may_go_on()?;
            guard.admit(party, digest, t, now)?;
            let until = now.plus_ms(guard.known_for_ms(t, now));
            redis.took_alone(known, until);
            Ok(())
        }
    }
}
