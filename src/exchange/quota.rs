//! How much of a route a partner may use, counted before anything is opened.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Admitted, Gateway, Trail};
use crate::{
    partners::Partner,
    policy::Route,
    refusal::{Code, Refusal},
    shared::{Counted, Quota, Verdict},
};

const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What bounds a partner on a route: its own number, else the route's.
pub(super) fn of<'q>(partner: &'q Partner, route: &'q Route) -> Option<&'q Quota> {
    partner.quota(route.name()).or_else(|| route.quota())
}

/// Counts an exchange that is admitted otherwise.
///
/// # Errors
/// `QTA-001` too fast, `QTA-002` the day is used up; as [`crate::shared::Shared::count`] when it cannot be counted.
pub(super) async fn count(
    gateway: &Gateway,
    admitted: &Admitted,
    quota: &Quota,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let (partner, route) = (
        admitted.held.caller.partner().id(),
        admitted.held.route.name(),
    );
    let now = gateway.clock().now();
    let counted = (gateway.shared())
        .count(partner.as_str(), route, quota, now)
        .await?;
    trail.counted = Some(counted);
    let (code, what) = match counted.verdict {
        Verdict::Passed => return Ok(()),
        Verdict::TooFast => (Code::QuotaRate, "rate"),
        Verdict::DayUsed => (Code::QuotaDay, "day"),
    };
    let cause = format!("the {what} of {partner} on {route} is used up");
    Err(Refusal::new(code, cause).after_s(counted.retry_after_s))
}

/// Tells the caller the numbers.
pub(super) fn headers(counted: &Counted, headers: &mut HeaderMap) {
    for (name, text) in [(STATE, counted.state()), (POLICY, counted.policy())] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}
