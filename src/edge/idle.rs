//! When an HTTP/2 connection has been idle for too long.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::service::Service;
use tokio::time::Instant;

/// How long an answer may take to be written before its connection counts as quiet.
const WRITTEN_MS: i64 = 10;

/// Counts the exchanges of a connection and knows when the last one ended.
#[derive(Clone, Debug)]
pub(super) struct Idle(Arc<State>);

#[derive(Debug)]
struct State {
    limit: Duration,
    born: Instant,
    running: AtomicUsize,
    last_ms: AtomicI64,
}

impl Idle {
    pub(super) fn new(limit: Duration) -> Self {
        Self(Arc::new(State {
            limit,
            born: Instant::now(),
            running: AtomicUsize::new(0),
            last_ms: AtomicI64::new(0),
        }))
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Resolves when nothing has run for the limit.
    pub(super) async fn over(&self) {
        loop {
            let quiet = self
                .now_ms()
                .saturating_sub(self.0.last_ms.load(Ordering::Relaxed));
            let quiet = Duration::from_millis(u64::try_from(quiet).unwrap_or(0));
            if self.0.running.load(Ordering::Relaxed) == 0 && quiet >= self.0.limit {
                return;
            }
            let wait = self
                .0
                .limit
                .saturating_sub(quiet)
                .max(Duration::from_millis(50));
            tokio::time::sleep(wait).await;
        }
    }

    /// Resolves as soon as nothing runs and what was answered has had a moment to be written.
    pub(super) async fn quiet(&self) {
        let quiet = || {
            let since = self
                .now_ms()
                .saturating_sub(self.0.last_ms.load(Ordering::Relaxed));
            self.0.running.load(Ordering::Relaxed) == 0 && since >= WRITTEN_MS
        };
        while !quiet() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The same service, counted.
    pub(super) fn watch<S>(&self, service: S) -> Watched<S> {
        Watched {
            idle: self.clone(),
            service,
        }
    }
}

/// A service whose exchanges are counted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    idle: Idle,
    service: S,
}

struct Running(Idle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.0.last_ms.store(self.0.now_ms(), Ordering::Relaxed);
    }
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, request: R) -> Self::Future {
        self.idle.0.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.idle.clone());
        let future = self.service.call(request);
        Box::pin(async move {
            let outcome = future.await;
            drop(running);
            outcome
        })
    }
}
