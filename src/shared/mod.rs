//! What several gateways share for a short while: which messages were taken, what is left of quotas, who fetches a token. One seam
//! with two engines: in this process, or at a Redis or Valkey server.
//!
//! In this process nothing is waited for. At a server each decision is one round trip; when the server is away, what needs it
//! is refused, or decided by each gateway alone until a deadline (`[shared] when_gone`).

mod counters;
mod link;
mod quota;
mod redis;
mod scripts;
mod settings;
mod tokens;

pub use quota::{Counted, Left, PER_MINUTE_MAX, Quota, Verdict};
pub use redis::{Gone, Known, Redis, Taken};
pub use settings::{Address, Place, Settings};
pub use tokens::{Found, Tokens, Turn};

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
};

use crate::{
    clock::{Clock, Moment},
    refusal::{Code, Refusal},
};
use counters::Counters;

/// The shared state of a gateway.
#[derive(Debug)]
pub struct Shared {
    counters: Counters,
    redis: Option<Arc<Redis>>,
    tokens: Option<Arc<Tokens>>,
}

impl Shared {
    /// Opens it. At a server, waits for the first try to connect, whatever comes of it.
    ///
    /// # Errors
    /// When the state folder cannot be used, or no thread can be had.
    pub fn open(settings: &Settings, state: &Path, clock: &Clock) -> io::Result<Self> {
        let counters = Counters::open(state)?;
        let Place::Server(address) = &settings.place else {
            return Ok(Self {
                counters,
                redis: None,
                tokens: None,
            });
        };
        let redis = Arc::new(Redis::new(settings.clone(), address.clone(), clock.clone()));
        let tokens = Tokens::new(&settings.keys, &redis)?.map(Arc::new);
        begin(&redis, settings)?;
        Ok(Self {
            counters,
            redis: Some(redis),
            tokens,
        })
    }

    /// The engine at a server, where there is one.
    pub const fn redis(&self) -> Option<&Arc<Redis>> {
        self.redis.as_ref()
    }

    /// Tokens fetched once for all gateways, where there is a server and a key.
    pub const fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// Counts one request of a partner on a route.
    ///
    /// # Errors
    /// `SHR-001` when the server is away and this gateway must not go on alone; `GW-002` when the day's count cannot be written.
    pub async fn count(
        &self,
        partner: &str,
        route: &str,
        quota: &Quota,
        now: Moment,
    ) -> Result<Counted, Refusal> {
        if let Some(redis) = &self.redis {
            match redis.count(partner, route, quota).await {
                Ok(counted) => return Ok(counted),
                Err(gone) => gone.may_go_on()?,
            }
        }
        (self.counters.count(partner, route, quota, now)).map_err(|e| {
            let cause = format!("the day's count cannot be written: {e}");
            Refusal::new(Code::Fault, cause)
        })
    }

    /// The last act.
    ///
    /// # Errors
    /// When the day's counts cannot be written.
    pub fn close(&self) -> io::Result<()> {
        if let Some(redis) = &self.redis {
            redis.stop();
        }
        self.counters.close()
    }

    /// What is wrong, and the seconds for which it can last; `None` when all is well.
    pub fn finding(&self, now: Moment) -> Option<(String, i64)> {
        let redis = self.redis.as_ref()?;
        if let Some((since, why)) = redis.gone() {
            let left_s = redis.alone_ms(now).unwrap_or(0) / 1000;
            let for_s = now.since_ms(since).max(0) / 1000;
            let what = match redis.alone_ms(now) {
                Some(ms) if ms > 0 => {
                    "this gateway goes on alone: a message can be taken once by each gateway"
                }
                _ => "what needs it is refused",
            };
            return Some((
                format!("the shared state is gone for {for_s} s ({why}); {what}"),
                left_s,
            ));
        }
        let closed = redis.closed_for_ms(now);
        (closed > 0).then(|| {
            let what = "the shared server has lost what it knew or is new: messages that may have been taken before are refused";
            let left = i64::try_from(closed.div_ceil(1000)).unwrap_or(i64::MAX);
            (what.to_owned(), left)
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(redis) = &self.redis {
            redis.stop();
        }
    }
}

impl Gone {
    /// Whether this gateway may decide alone.
    ///
    /// # Errors
    /// `SHR-001` when it must not, or not any more.
    pub fn may_go_on(&self) -> Result<(), Refusal> {
        match self.alone_ms {
            Some(ms) if ms > 0 => Ok(()),
            Some(_) => {
                let cause = format!("{}, and the time to go on alone is over", self.why);
                Err(Refusal::new(Code::SharedGone, cause))
            }
            None => Err(Refusal::new(Code::SharedGone, self.why.clone())),
        }
    }
}

/// The thread that keeps the connection.
fn begin(redis: &Arc<Redis>, settings: &Settings) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (told, first) = mpsc::channel();
    let redis = Arc::clone(redis);
    std::thread::Builder::new()
        .name("shared".to_owned())
        .spawn(move || runtime.block_on(redis.stay_linked(told)))?;
    // Whatever came of it, and no longer than a try may take.
    let _ = first.recv_timeout(settings.connect_timeout.saturating_mul(2));
    Ok(())
}

