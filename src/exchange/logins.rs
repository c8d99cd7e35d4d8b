//! Our logins at MOSIP's authmanager: one token for each, fetched once for all who wait, renewed before it ends.
//!
//! The token lives as long as the JWT itself says (`exp`), whatever the cookie's Max-Age (packet reference 2.1). A wrong secret and
//! a service that is down are told apart, and neither is asked again and again. The token goes to the upstreams that name
//! the login, in place of whatever cookies and authorization the caller sent, and never back.

mod among_all;
mod authmanager;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{Snapshot, Trail};
use crate::{
    clock::{Clock, Moment},
    config,
    keys::Secret,
    observe::Metrics,
    refusal::{Code, Refusal},
    shared::Tokens,
    upstream::{Answer, AnswerBody, Outgoing, RequestBody, Upstream},
};

/// A token this close to its end is renewed, and used meanwhile; less for tokens that live shortly.
const RENEW_BEFORE_MS: i64 = 60_000;
/// A token this close to its end is not used any more.
const UNUSED_BEFORE_MS: i64 = 5_000;

/// After so long without a 401, the next one is the first again.
const DISLIKE_FORGOTTEN_MS: i64 = 600_000;

/// One login, with its token.
pub struct Login {
    spec: config::Login,
    secret: Secret,
    upstream: Arc<Upstream>,
    clock: Clock,
    /// Held while a token is fetched: whoever else needs one waits, or uses the old one.
    fetching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Where tokens are shared with other gateways.
    shared: OnceLock<Arc<Tokens>>,
}

#[derive(Clone, Default)]
struct State {
    token: Option<Token>,
    /// Why there is none, or no newer one.
    failed: Option<Failed>,
    /// Fresh tokens that a service refused, one after the other.
    disliked: u32,
    /// The token that a service refused last: it is not taken from another gateway again.
    unwanted: Option<HeaderValue>,
    /// Until when another fresh token would be refused as well.
    disliked_until: Option<Moment>,
}

#[derive(Clone)]
struct Failed {
    refusal: Refusal,
    tries: u32,
    again_at: Moment,
}

/// A token, as the cookie in which it travels.
#[derive(Clone)]
pub struct Token {
    cookie: HeaderValue,
    fetched: Moment,
    expires: Moment,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    fn life_ms(&self) -> i64 {
        self.expires.since_ms(self.fetched).max(0)
    }

    /// Whether it may be used.
    fn holds(&self, now: Moment) -> bool {
        let before = UNUSED_BEFORE_MS.min(self.life_ms() / 8);
        now < self.expires.plus_ms(before.saturating_neg())
    }

    /// Whether it is time to fetch the next.
    fn ages(&self, now: Moment) -> bool {
        let before = RENEW_BEFORE_MS.min(self.life_ms() / 4);
        now >= self.expires.plus_ms(before.saturating_neg())
    }

    /// Puts it into a request, in place of the caller's own cookies: MOSIP takes the first cookie whose name contains
    /// `Authorization` (packet reference 2.2).
    fn put_into(&self, headers: &mut HeaderMap) {
        headers.remove(header::AUTHORIZATION);
        headers.insert(header::COOKIE, self.cookie.clone());
    }
}

impl Login {
    pub(super) fn new(
        spec: &config::Login,
        secret: Secret,
        upstream: &Arc<Upstream>,
        clock: &Clock,
        previous: Option<&Self>,
    ) -> Self {
        let same = |p: &&Self| {
            p.spec.client_id == spec.client_id
                && p.spec.app_id == spec.app_id
                && p.spec.path == spec.path
                && p.upstream.spec() == upstream.spec()
                && p.secret == secret
        };
        let state = previous
            .filter(same)
            .map(|p| p.state().clone())
            .unwrap_or_default();
        Self {
            spec: spec.clone(),
            secret,
            upstream: Arc::clone(upstream),
            clock: clock.clone(),
            fetching: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
            shared: OnceLock::new(),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// A token that holds.
    ///
    /// # Errors
    /// `LGN-001` authmanager refuses us, `LGN-002` it is down, `LGN-003` it gave nothing that can be used.
    pub async fn token(&self, metrics: &Metrics) -> Result<Token, Refusal> {
        let now = self.clock.now();
        let held = self.held(now);
        let one = match held {
            Some(token) if !token.ages(now) => return Ok(token),
            Some(token) => {
                // Whoever comes first renews; all others go on with what there is.
                let Ok(one) = self.fetching.try_lock() else {
                    return Ok(token);
                };
                if self.state().rests(now).is_some() {
                    return Ok(token);
                }
                return Ok(self.fetch(metrics, &one).await.unwrap_or(token));
            }
            None => self.fetching.lock().await,
        };
        // Somebody else may have fetched it, or failed to, while we waited.
        let now = self.clock.now();
        if let Some(token) = self.held(now) {
            return Ok(token);
        }
        if let Some(refusal) = self.state().rests(now) {
            return Err(refusal);
        }
        self.fetch(metrics, &one).await
    }

    /// Hears that a service answered 401 to a token. Says whether another try with a fresh token makes sense: not when the last
    /// fresh one was refused as well a moment ago.
    fn disliked(&self, token: &Token) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        if state.disliked_until.is_some_and(|until| now < until) {
            return false;
        }
        if (state.disliked_until).is_some_and(|until| now.since_ms(until) > DISLIKE_FORGOTTEN_MS) {
            state.disliked = 0;
        }
        if (state.token.as_ref()).is_some_and(|held| held.cookie == token.cookie) {
            state.token = None;
            state.unwanted = Some(token.cookie.clone());
        }
        true
    }

    /// Hears what a service answered to a token fetched for the second try.
    fn second_try(&self, refused: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        if refused {
            state.disliked = state.disliked.saturating_add(1);
            let rest = back_off(5_000, 300_000, state.disliked);
            state.disliked_until = Some(now.plus_ms(rest));
        } else {
            state.disliked = 0;
            state.disliked_until = None;
        }
    }

    /// What is wrong with this login, and in how many milliseconds it is tried again.
    pub(super) fn trouble(&self, now: Moment) -> Option<(String, i64)> {
        let state = self.state();
        if let Some(failed) = &state.failed {
            let what = match failed.refusal.code() {
                Code::LoginRefused => "client id, secret or application are refused",
                Code::LoginDown => "authmanager cannot be reached or fails",
                _ => "authmanager gives no token that can be used",
            };
            return Some((what.to_owned(), failed.again_at.since_ms(now).max(0)));
        }
        let until = state.disliked_until.filter(|until| now < *until)?;
        let what = "its tokens are refused by the services behind";
        Some((what.to_owned(), until.since_ms(now)))
    }

    /// Seconds for which the token still holds.
    pub(super) fn seconds_left(&self, now: Moment) -> i64 {
        let state = self.state();
        let left = |token: &Token| token.expires.since_ms(now).max(0) / 1000;
        state.token.as_ref().map_or(0, left)
    }

    fn held(&self, now: Moment) -> Option<Token> {
        self.state().token.clone().filter(|token| token.holds(now))
    }

    /// Lets its tokens be fetched once for all gateways.
    pub(super) fn share(&self, tokens: &Arc<Tokens>) {
        // A login lives as long as its snapshot, and the shared state as long as the process.
        let _ = self.shared.set(Arc::clone(tokens));
    }

    /// Fetches a token, or takes the one that another gateway fetched. Only the holder of the lock does.
    async fn fetch(
        &self,
        metrics: &Metrics,
        _one: &tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<Token, Refusal> {
        match self.shared.get() {
            Some(tokens) => self.fetch_among_all(tokens, metrics).await,
            None => self.fetch_alone(metrics).await,
        }
    }

    async fn fetch_alone(&self, metrics: &Metrics) -> Result<Token, Refusal> {
        let fetched =
            authmanager::log_in(&self.spec, &self.secret, &self.upstream, &self.clock).await;
        let outcome = match &fetched {
            Ok(_) => "fetched",
            Err(refusal) => refusal.code().as_str(),
        };
        metrics
            .logins
            .with_label_values(&[self.name(), outcome])
            .inc();
        let now = self.clock.now();
        let mut state = self.state();
        match fetched {
            Ok(token) => {
                state.failed = None;
                state.token = Some(token.clone());
                Ok(token)
            }
            Err(refusal) => {
                let tries = (state.failed.as_ref()).map_or(1, |f| f.tries.saturating_add(1));
                let rest = match refusal.code() {
                    Code::LoginRefused => back_off(5_000, 300_000, tries),
                    Code::LoginDown => back_off(500, 15_000, tries),
                    _ => back_off(2_000, 60_000, tries),
                };
                state.failed = Some(Failed {
                    refusal: refusal.clone(),
                    tries,
                    again_at: now.plus_ms(rest),
                });
                tracing::error!(login = self.name(), %refusal, "no login at MOSIP; tried again in {rest} ms");
                Err(refusal)
            }
        }
    }

    /// A lock whose holder panicked guards a whole state all the same: every change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The failure after which authmanager is left alone, while it is.
    fn rests(&self, now: Moment) -> Option<Refusal> {
        let failed = self.failed.as_ref().filter(|f| now < f.again_at)?;
        Some(failed.refusal.clone())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("name", &self.spec.name)
            .finish_non_exhaustive()
    }
}

/// Doubles from `first` to `most`.
fn back_off(first: i64, most: i64, tries: u32) -> i64 {
    let doublings = tries.saturating_sub(1).min(20);
    first.saturating_mul(1_i64 << doublings).min(most)
}

/// Calls an upstream, with the token of its login where it names one. A 401 says that nothing was done: then there is one
/// more try with a fresh token.
///
/// # Errors
/// As [`Upstream::call`]; `LGN-001` to `LGN-003` without a token; `LGN-004` when the fresh one is refused as well.
pub async fn call(
    snapshot: &Snapshot,
    upstream: &Upstream,
    mut outgoing: Outgoing,
    body: Bytes,
    metrics: &Metrics,
) -> Result<Answer, Refusal> {
    let Some(login) = snapshot.login_of(upstream) else {
        return upstream.call(outgoing, body).await;
    };
    let first = login.token(metrics).await?;
    first.put_into(&mut outgoing.headers);
    let mut answer = upstream.call(outgoing.clone(), body.clone()).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        if !login.disliked(&first) {
            return Err(disliked(upstream));
        }
        login.token(metrics).await?.put_into(&mut outgoing.headers);
        answer = upstream.call(outgoing, body).await?;
        let refused = answer.status == StatusCode::UNAUTHORIZED;
        login.second_try(refused);
        if refused {
            return Err(disliked(upstream));
        }
    }
    keep_token(&mut answer.headers);
    Ok(answer)
}

/// The same with a body that is streamed both ways. There is a second try only when the request has no body: one that was
/// streamed cannot be sent again.
///
/// # Errors
/// As [`call`].
pub async fn stream(
    snapshot: &Snapshot,
    upstream: &Upstream,
    outgoing: Box<Outgoing>,
    body: RequestBody,
    trail: &Trail,
    began: Instant,
) -> Result<Box<Response<AnswerBody>>, Refusal> {
    match snapshot.login_of(upstream) {
        None => {
            let patience = trail.patience();
            upstream.stream(outgoing, body, &patience, began).await
        }
        // In a box: the room it needs is not the room of a relay without.
        Some(login) => Box::pin(stream_with(login, upstream, outgoing, body, trail)).await,
    }
}

async fn stream_with(
    login: &Login,
    upstream: &Upstream,
    mut outgoing: Box<Outgoing>,
    body: RequestBody,
    trail: &Trail,
) -> Result<Box<Response<AnswerBody>>, Refusal> {
    let patience = trail.patience();
    let metrics = trail.gateway().metrics();
    let first = login.token(metrics).await?;
    first.put_into(&mut outgoing.headers);
    let empty = body.is_empty();
    let mut answer = upstream
        .stream(outgoing.clone(), body, &patience, Instant::now())
        .await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        if !login.disliked(&first) || !empty {
            return Err(disliked(upstream));
        }
        login.token(metrics).await?.put_into(&mut outgoing.headers);
        let none = RequestBody::whole(Bytes::new());
        let again = upstream.stream(outgoing, none, &patience, Instant::now());
        answer = again.await?;
        let refused = answer.status() == StatusCode::UNAUTHORIZED;
        login.second_try(refused);
        if refused {
            return Err(disliked(upstream));
        }
    }
    keep_token(answer.headers_mut());
    Ok(answer)
}

/// MOSIP's services hand the token back in their answers; it is ours alone.
fn keep_token(headers: &mut HeaderMap) {
    headers.remove(header::SET_COOKIE);
    headers.remove(header::AUTHORIZATION);
}

fn disliked(upstream: &Upstream) -> Refusal {
    let cause = format!("{} answered 401 to our token", upstream.name());
    Refusal::new(Code::TokenRefused, cause)
}

/// How long to wait for authmanager at most, where its upstream says nothing shorter: callers wait with it.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn token(life_ms: i64) -> Token {
        Token {
            cookie: HeaderValue::from_static("Authorization=x"),
            fetched: Moment::from_ms(0),
            expires: Moment::from_ms(life_ms),
        }
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end_and_not_used_in_its_last_seconds() {
        let token = token(3_600_000);
        assert!(!token.ages(Moment::from_ms(3_539_999)));
        assert!(token.ages(Moment::from_ms(3_540_000)));
        assert!(token.holds(Moment::from_ms(3_594_999)));
        assert!(!token.holds(Moment::from_ms(3_595_000)));
    }

    #[test]
    fn a_token_of_a_few_seconds_is_used_for_most_of_them() {
        let token = token(4_000);
        assert!(!token.ages(Moment::from_ms(2_999)));
        assert!(token.ages(Moment::from_ms(3_000)));
        assert!(token.holds(Moment::from_ms(3_499)));
        assert!(!token.holds(Moment::from_ms(3_500)));
    }

    #[test]
    fn waiting_doubles_up_to_its_bound() {
        assert_eq!(back_off(5_000, 300_000, 1), 5_000);
        assert_eq!(back_off(5_000, 300_000, 2), 10_000);
        assert_eq!(back_off(5_000, 300_000, 7), 300_000);
        assert_eq!(back_off(5_000, 300_000, u32::MAX), 300_000);
    }

    #[test]
    fn nothing_of_a_token_is_shown() {
        assert_eq!(format!("{:?}", token(1)), "Token(..)");
    }
}
