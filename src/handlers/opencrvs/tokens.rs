//! The keys of OpenCRVS' auth service, fetched ahead, and the check of its tokens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::{
    clock::Moment,
    config::Envelope,
    envelope::bearer::{self, Claims, Demands, TokenKeys},
    exchange::{Gateway, outward::Call, registrations::Registrations},
    refusal::{Code, Refusal},
};

/// After a failure, and after a signature by an unknown key, the keys are fetched again, but not more often than that.
const AGAIN: Duration = Duration::from_secs(10);

/// Who makes the tokens: the keys as last fetched.
#[derive(Debug, Default)]
pub(super) struct Issuer {
    keys: ArcSwapOption<TokenKeys>,
    /// A token was signed by a key that is not known: the issuer may have a new one.
    wanted: AtomicBool,
    next_ms: AtomicI64,
    /// When they were last asked for, whatever came of it.
    asked_ms: AtomicI64,
}

impl Issuer {
    /// Checks a token. Nothing is fetched on the way: what a stranger sends costs no call.
    pub(super) fn check(
        &self,
        registrations: &Registrations,
        token: &str,
        scopes: &[String],
        now: Moment,
    ) -> Result<Claims, Refusal> {
        let settings = &registrations.settings().token;
        let fetched = self.keys.load();
        let keys = (registrations.keys().or(fetched.as_deref()))
            .ok_or_else(|| Refusal::new(Code::BearerKeys, "no key was fetched yet"))?;
        let demands = Demands {
            issuer: &settings.issuer,
            audiences: &settings.audiences,
            scopes,
        };
        bearer::verify(token, keys, demands, now).inspect_err(|refusal| {
            if refusal.code() == Code::BearerSignature {
                self.wanted.store(true, Ordering::Relaxed);
            }
        })
    }

    /// Fetches the keys when it is time. Called about once a second.
    pub(super) async fn refresh(&self, gateway: &Gateway) {
        let snapshot = gateway.snapshot();
        let Some(registrations) = snapshot.registrations() else {
            return;
        };
        let token = &registrations.settings().token;
        let Some(upstream) = &token.upstream else {
            return;
        };
        let now = gateway.clock().now();
        let again_ms = i64::try_from(AGAIN.as_millis()).unwrap_or(i64::MAX);
        let last = self.asked_ms.load(Ordering::Relaxed);
        let wanted =
            self.wanted.load(Ordering::Relaxed) && now.ms().saturating_sub(last) >= again_ms;
        if now.ms() < self.next_ms.load(Ordering::Relaxed) && !wanted {
            return;
        }
        self.asked_ms.store(now.ms(), Ordering::Relaxed);
        let call = Call {
            method: Method::GET,
            path_and_query: token.path.clone(),
            headers: HeaderMap::new(),
            media_type: None,
            body: Bytes::new(),
        };
        let answer = gateway
            .call(
                &snapshot,
                upstream,
                Envelope::InsecurePlain,
                call,
                "token-keys",
            )
            .await;
        let keys = match answer {
            Ok(answer) if answer.status == StatusCode::OK => {
                TokenKeys::parse(&answer.body, registrations.pins()).map_err(|why| why.to_string())
            }
            Ok(answer) => Err(format!("HTTP {}", answer.status.as_u16())),
            Err(refusal) => Err(refusal.to_string()),
        };
        let usual_ms = i64::try_from(token.refresh_s)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let after = match keys {
            Ok(keys) => {
                self.take(keys);
                usual_ms
            }
            Err(why) => {
                let kept = self.keys.load().is_some();
                tracing::warn!(
                    why,
                    kept,
                    "the key of OpenCRVS' auth service could not be fetched"
                );
                again_ms.min(usual_ms)
            }
        };
        self.next_ms
            .store(now.ms().saturating_add(after), Ordering::Relaxed);
    }

    fn take(&self, keys: TokenKeys) {
        let known = self.keys.load();
        if known.as_ref().is_none_or(|known| !known.same(&keys)) {
            if known.is_some() {
                tracing::warn!("OpenCRVS' auth service has another key than before");
            }
            self.keys.store(Some(Arc::new(keys)));
        }
        self.wanted.store(false, Ordering::Relaxed);
    }
}
