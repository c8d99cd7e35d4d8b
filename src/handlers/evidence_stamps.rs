//! Time stamps on tree heads, fetched from a declared authority again and again. No exchange waits for one.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::{
    config::{Envelope, TimeStamping},
    evidence::{
        assemble,
        reader::Log,
        timestamp::{REPLY_TYPE, REQUEST_TYPE, Request, Stamp},
        verify::Head,
    },
    exchange::{Gateway, errands::Doer, outward::Call},
    store::{Errand, Settlement},
};

/// Under which name the health page shows what is wrong.
const WHO: &str = "evidence-stamps";
/// The pause after a stamp that was not had, unless they are asked for more often, in milliseconds.
const AGAIN_MS: i64 = 60_000;

/// Has no errands; what it does, it does again and again.
#[derive(Debug)]
pub(super) struct StampHeads {
    /// When the next one is asked for, in milliseconds.
    next: AtomicI64,
    /// Since when the authority has given none, in milliseconds; 0 while it gives them.
    failing_since: AtomicI64,
}

impl StampHeads {
    /// Asks for the first one at once.
    pub(super) const fn new() -> Self {
        Self {
            next: AtomicI64::new(i64::MIN),
            failing_since: AtomicI64::new(0),
        }
    }
}

impl Doer for StampHeads {
    fn kind(&self) -> &'static str {
        WHO
    }

    fn attempt<'a>(
        &'a self,
        _: &'a Arc<Gateway>,
        _: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        let reason = "there are no errands of this kind".to_owned();
        Box::pin(std::future::ready(Settlement::Park { reason }))
    }

    fn tend<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let snapshot = gateway.snapshot();
            let settings = snapshot.config().evidence.as_ref();
            let settings = settings.and_then(|e| e.time_stamping.as_ref());
            let (Some(settings), Some(evidence)) = (settings, gateway.evidence()) else {
                return;
            };
            let now = gateway.clock().now().ms();
            if now < self.next.load(Ordering::Relaxed) {
                return;
            }
            let every_ms = i64::try_from(settings.every_s)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000);
            let pause_ms = match stamp(gateway, settings, evidence.folder()).await {
                Ok(true) => {
                    gateway.metrics().evidence.stamps.inc();
                    self.well(gateway);
                    every_ms
                }
                // Nothing new to stamp: look again soon.
                Ok(false) => every_ms.min(1000),
                Err(why) => {
                    gateway.metrics().evidence.stamp_failures.inc();
                    self.failed(gateway, &why, now);
                    every_ms.min(AGAIN_MS)
                }
            };
            self.next
                .store(now.saturating_add(pause_ms), Ordering::Relaxed);
        })
    }
}

impl StampHeads {
    fn well(&self, gateway: &Gateway) {
        if self.failing_since.swap(0, Ordering::Relaxed) != 0 {
            tracing::info!("evidence: the authority stamps tree heads again");
            gateway.report(WHO, Vec::new());
        }
    }

    /// Said each time, and on the health page until it stamps again.
    fn failed(&self, gateway: &Gateway, why: &str, now_ms: i64) {
        let since = match self.failing_since.load(Ordering::Relaxed) {
            0 => {
                self.failing_since.store(now_ms, Ordering::Relaxed);
                now_ms
            }
            since => since,
        };
        let for_s = now_ms.saturating_sub(since) / 1000;
        tracing::warn!(
            why,
            for_s,
            "evidence: the tree head was not time-stamped; records are written all the same, and the next stamp covers them"
        );
        let what = format!("evidence: tree heads are not time-stamped: {why}");
        gateway.report(WHO, vec![json!({"what": what, "forSeconds": for_s})]);
    }
}

/// Stamps the newest head, when it has none yet.
async fn stamp(gateway: &Gateway, settings: &TimeStamping, folder: &Path) -> Result<bool, String> {
    let log = Log::open(folder).map_err(|e| e.to_string())?;
    let Some(text) = log.last_head().map_err(|e| e.to_string())? else {
        return Ok(false);
    };
    let head = Head::read(&text)?;
    if assemble::last_stamp(folder).is_some_and(|size| size >= head.size) {
        return Ok(false);
    }
    let imprint = digest(&SHA256, text.as_bytes()).as_ref().try_into();
    let imprint = imprint.map_err(|_| "a digest of another length")?;
    let request = Request::new(imprint).ok_or("the system has no randomness")?;
    let accept = HeaderValue::from_static(REPLY_TYPE);
    let call = Call {
        method: Method::POST,
        path_and_query: settings.path.clone(),
        headers: HeaderMap::from_iter([(header::ACCEPT, accept)]),
        media_type: Some(HeaderValue::from_static(REQUEST_TYPE)),
        body: Bytes::from(request.to_der()),
    };
    let snapshot = gateway.snapshot();
    let plain = Envelope::InsecurePlain;
    let answer = gateway
        .call(&snapshot, &settings.upstream, plain, call, "time-stamp")
        .await
        .map_err(|refusal| refusal.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!(
            "the authority answered HTTP {}",
            answer.status.as_u16()
        ));
    }
    let stamp: Stamp = request
        .read_reply(&answer.body)
        .map_err(|e| e.to_string())?;
    let mut why = "no anchor of the authority is configured".to_owned();
    for anchor in settings
        .anchors
        .iter()
        .filter_map(|name| snapshot.anchors().get(name))
    {
        match stamp.chain(anchor) {
            Ok(_) => {
                assemble::keep_stamp(folder, head.size, &text, stamp.token())
                    .map_err(|e| e.to_string())?;
                let size = i64::try_from(head.size).unwrap_or(i64::MAX);
                gateway.metrics().evidence.stamped.set(size);
                tracing::info!(
                    records = head.size,
                    "evidence: the tree head was time-stamped"
                );
                return Ok(true);
            }
            Err(problem) => why = problem.to_string(),
        }
    }
    Err(why)
}
