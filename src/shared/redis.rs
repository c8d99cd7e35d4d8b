//! The engine at a server: Redis or Valkey, over one connection that a thread of its own keeps.
//!
//! Callers never wait for a connection: there is one, or what needs it is decided by what is configured for that case.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use redis::{RedisError, Script};
use tokio::sync::Notify;

use super::{
    link::{Link, LinkError},
    quota::{Counted, Quota, Used, Verdict},
    scripts,
    settings::{Address, Settings},
};
use crate::clock::{Clock, Moment};

/// Between two looks at a connection that holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// Messages taken alone that are told to the server when it is back. With more, a new epoch is begun.
const TOLD_LATER_MAX: usize = 200_000;

/// What a message is known by.
pub type Known = [u8; 16];

/// Whether a message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// For the first time.
    First,
    /// It was taken before.
    Before,
    /// That cannot be known: its time is at or before this one.
    Closed(Moment),
}

/// The server cannot be asked.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Why, for the operator.
    pub why: String,
    /// For how long this gateway may go on alone, in milliseconds; `None` when it must not.
    pub alone_ms: Option<i64>,
}

/// The engine at a server.
pub struct Redis {
    settings: Settings,
    address: Address,
    clock: Clock,
    link: ArcSwapOption<Link>,
    standing: Mutex<Standing>,
    /// Rung when a connection was given up.
    bell: Notify,
    stopping: AtomicBool,
    take: Script,
    count: Script,
    release: Script,
    /// Tests move the time of quotas by hand.
    #[cfg(test)]
    pub(super) by_our_clock: bool,
}

struct Standing {
    /// Since when, and why.
    gone: Option<(Moment, String)>,
    told_later: Vec<(Known, Moment)>,
    /// More than that.
    too_many: bool,
}

impl Redis {
    pub(super) fn new(settings: Settings, address: Address, clock: Clock) -> Self {
        let since = clock.now();
        Self {
            settings,
            address,
            clock,
            link: ArcSwapOption::empty(),
            standing: Mutex::new(Standing {
                gone: Some((since, "not connected yet".to_owned())),
                told_later: Vec::new(),
                too_many: false,
            }),
            bell: Notify::new(),
            stopping: AtomicBool::new(false),
            take: Script::new(scripts::TAKE),
            count: Script::new(scripts::COUNT),
            release: Script::new(scripts::RELEASE),
            #[cfg(test)]
            by_our_clock: false,
        }
    }

    /// Takes a message once among all gateways. It is known until no gateway can find it fresh, which is `keep_ms` from now by our
    /// clock.
    ///
    /// # Errors
    /// When the server cannot be asked. Then it may have taken the message all the same.
    pub async fn take(&self, known: &Known, t: Moment, keep_ms: i64) -> Result<Taken, Gone> {
        let link = self.link()?;
        if t <= link.floor {
            return Ok(Taken::Closed(link.floor));
        }
        let mut call = self.take.key(self.name("epoch"));
        call.key(self.message(known)).arg(&link.epoch);
        call.arg(self.keep(keep_ms));
        match call.invoke_async(&mut link.connection()).await {
            Ok(1) => Ok(Taken::First),
            Ok(0) => Ok(Taken::Before),
            Ok(_) => Err(self.lost(&link, "the server has lost what it knew")),
            Err(error) => Err(self.failed(&link, error)),
        }
    }

    /// Notes a message that this gateway took alone, so that the others hear of it.
    pub fn took_alone(&self, known: Known, t: Moment) {
        let mut standing = self.standing();
        if standing.told_later.len() >= TOLD_LATER_MAX {
            standing.too_many = true;
            standing.told_later = Vec::new();
        } else if !standing.too_many {
            standing.told_later.push((known, t));
        }
    }

    /// Counts a request against a quota, by the server's clock.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn count(&self, partner: &str, route: &str, quota: &Quota) -> Result<Counted, Gone> {
        let link = self.link()?;
        let mut call = self.count.key(self.name(&format!("q:{partner}:{route}")));
        call.arg(quota.interval_us)
            .arg(quota.burst)
            .arg(quota.per_day)
            .arg(quota.memory_ms())
            .arg(self.time_of_quotas());
        let answer: Result<(u8, i64, i64, i64, i64), RedisError> =
            call.invoke_async(&mut link.connection()).await;
        let (verdict, tat_us, day, count, now_us) =
            answer.map_err(|error| self.failed(&link, error))?;
        let verdict = match verdict {
            0 => Verdict::Passed,
            1 => Verdict::TooFast,
            _ => Verdict::DayUsed,
        };
        let used = Used { tat_us, day, count };
        Ok(quota.tell(&used, verdict, now_us))
    }

    /// Takes a lease for a while, under a word by which it is given back; `false` when somebody else has it.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn lease(&self, name: &str, word: &str, for_ms: i64) -> Result<bool, Gone> {
        let link = self.link()?;
        let mut set = redis::cmd("SET");
        set.arg(self.name(&format!("lease:{name}"))).arg(word);
        set.arg("NX").arg("PX").arg(for_ms.max(1));
        let answer: Result<Option<String>, RedisError> = link.ask(&set).await;
        let answer = answer.map_err(|error| self.failed(&link, error))?;
        Ok(answer.is_some())
    }

    /// Gives a lease back, if it is still ours.
    ///
    /// # Errors
    /// When the server cannot be asked; then it ends by itself.
    pub async fn release(&self, name: &str, word: &str) -> Result<(), Gone> {
        let link = self.link()?;
        let mut call = self.release.key(self.name(&format!("lease:{name}")));
        call.arg(word);
        let answer: Result<i64, RedisError> = call.invoke_async(&mut link.connection()).await;
        answer.map(drop).map_err(|error| self.failed(&link, error))
    }

    /// Puts a value there for a while.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn put(&self, name: &str, value: &[u8], for_ms: i64) -> Result<(), Gone> {
        let link = self.link()?;
        let mut set = redis::cmd("SET");
        set.arg(self.name(&format!("value:{name}"))).arg(value);
        set.arg("PX").arg(for_ms.max(1));
        let answer: Result<(), RedisError> = link.ask(&set).await;
        answer.map_err(|error| self.failed(&link, error))
    }

    /// The value that was put there.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Gone> {
        let link = self.link()?;
        let mut get = redis::cmd("GET");
        get.arg(self.name(&format!("value:{name}")));
        let answer: Result<Option<Vec<u8>>, RedisError> = link.ask(&get).await;
        answer.map_err(|error| self.failed(&link, error))
    }

    /// Since when the server is gone, and why.
    pub fn gone(&self) -> Option<(Moment, String)> {
        self.standing().gone.clone()
    }

    /// For how long this gateway may go on alone, in milliseconds; `None` when it must not, 0 when the time is over.
    pub fn alone_ms(&self, now: Moment) -> Option<i64> {
        let alone_for = self.settings.alone_for_ms?;
        let since = self.standing().gone.as_ref().map(|(since, _)| *since);
        let gone_for = since.map_or(0, |since| now.since_ms(since).max(0));
        Some(alone_for.saturating_sub(gone_for).max(0))
    }

    /// For how long messages of the present moment are refused, because the server may have lost what it knew.
    pub fn closed_for_ms(&self, now: Moment) -> u64 {
        let floor = self.link.load().as_ref().map(|link| link.floor);
        floor.map_or(0, |floor| {
            u64::try_from(floor.since_ms(now).saturating_add(1)).unwrap_or(0)
        })
    }

    fn link(&self) -> Result<Arc<Link>, Gone> {
        (self.link.load_full()).ok_or_else(|| self.gone_now(self.clock.now()))
    }

    fn gone_now(&self, now: Moment) -> Gone {
        let why = self.gone().map_or_else(String::new, |(_, why)| why);
        Gone {
            why,
            alone_ms: self.alone_ms(now),
        }
    }

    fn failed(&self, link: &Arc<Link>, error: RedisError) -> Gone {
        let why = LinkError::from(error).to_string();
        self.lost(link, &why)
    }

    /// Gives a connection up: it is never used again, and a new one is looked for.
    fn lost(&self, link: &Arc<Link>, why: &str) -> Gone {
        let now = self.clock.now();
        let mut standing = self.standing();
        let held = self.link.load_full();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, link)) {
            self.link.store(None);
            standing.gone = Some((now, why.to_owned()));
            tracing::error!(why, "the shared state is gone");
            self.bell.notify_one();
        }
        drop(standing);
        Gone {
            why: why.to_owned(),
            alone_ms: self.alone_ms(now),
        }
    }

    /// Keeps a connection for as long as the gateway runs. `first` is told when the first try has ended.
    pub(super) async fn stay_linked(self: &Arc<Self>, first: std::sync::mpsc::Sender<()>) {
        let mut rest = RETRY_FIRST;
        while !self.stopping.load(Ordering::Acquire) {
            match self.relink().await {
                Ok(link) => {
                    rest = RETRY_FIRST;
                    let _ = first.send(());
                    self.watch(&link).await;
                }
                Err(error) => {
                    self.explain(&error.to_string());
                    let _ = first.send(());
                    let _ = tokio::time::timeout(rest, self.stopped()).await;
                    rest = rest.saturating_mul(2).min(RETRY_MOST);
                }
            }
        }
    }

    /// A new connection, published when the server knows what was taken alone.
    async fn relink(&self) -> Result<Arc<Link>, LinkError> {
        let anew = self.standing().too_many;
        let link = Arc::new(Link::open(&self.settings, &self.address, &self.clock, anew).await?);
        self.standing().too_many = false;
        self.tell_what_was_taken(&link).await?;
        let gone = self.publish(&link);
        // What came while the last of it was told.
        if let Err(error) = self.tell_what_was_taken(&link).await {
            self.lost(&link, &error.to_string());
            return Err(error);
        }
        let now = self.clock.now();
        let away_ms = gone.map_or(0, |(since, _)| now.since_ms(since));
        let closed_ms = self.closed_for_ms(now);
        tracing::info!(away_ms, closed_ms, "the shared state is there");
        Ok(link)
    }

    /// Lets everybody use a connection; says since when there was none.
    fn publish(&self, link: &Arc<Link>) -> Option<(Moment, String)> {
        let mut standing = self.standing();
        self.link.store(Some(Arc::clone(link)));
        standing.gone.take()
    }

    async fn tell_what_was_taken(&self, link: &Arc<Link>) -> Result<(), LinkError> {
        loop {
            let now = self.clock.now();
            let mut some = {
                let mut standing = self.standing();
                let from = standing.told_later.len().saturating_sub(500);
                standing.told_later.split_off(from)
            };
            if some.is_empty() {
                return Ok(());
            }
            let mut pipe = redis::pipe();
            for (known, until) in &some {
                let keep = self.keep(until.since_ms(now));
                pipe.cmd("SET").arg(self.message(known)).arg("1");
                pipe.arg("NX").arg("PX").arg(keep).ignore();
            }
            let told: Result<(), RedisError> = pipe.query_async(&mut link.connection()).await;
            if let Err(error) = told {
                self.standing().told_later.append(&mut some);
                return Err(error.into());
            }
        }
    }

    /// Looks after a connection until it is given up.
    async fn watch(&self, link: &Arc<Link>) {
        loop {
            let woken = tokio::time::timeout(LOOK_EVERY, self.bell.notified()).await;
            let held = self.link.load_full();
            let ours = held.as_ref().is_some_and(|held| Arc::ptr_eq(held, link));
            if !ours || self.stopping.load(Ordering::Acquire) {
                return;
            }
            if woken.is_err()
                && let Err(error) = self.look_after(link).await
            {
                self.lost(link, &error.to_string());
                return;
            }
        }
    }

    async fn look_after(&self, link: &Arc<Link>) -> Result<(), LinkError> {
        link.check(&self.clock, &self.settings).await?;
        // An exchange that found no connection a moment ago may have ended since.
        self.tell_what_was_taken(link).await
    }

    async fn stopped(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            self.bell.notified().await;
        }
    }

    /// Renews the reason why there is no connection.
    fn explain(&self, why: &str) {
        let now = self.clock.now();
        let mut standing = self.standing();
        match &mut standing.gone {
            Some((_, before)) if before == why => {}
            Some((_, before)) => {
                why.clone_into(before);
                tracing::error!(why, "the shared state cannot be reached");
            }
            none => *none = Some((now, why.to_owned())),
        }
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.settings.prefix)
    }

    fn message(&self, known: &Known) -> String {
        format!(
            "{}m:{:032x}",
            self.settings.prefix,
            u128::from_be_bytes(*known)
        )
    }

    /// A gateway whose clock is behind finds a message fresh for longer.
    fn keep(&self, ms: i64) -> i64 {
        let margin = self.settings.skew_ms.saturating_mul(2);
        ms.max(0).saturating_add(margin).max(1)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "as in tests")]
    const fn time_of_quotas(&self) -> &'static str {
        ""
    }

    #[cfg(test)]
    fn time_of_quotas(&self) -> String {
        if !self.by_our_clock {
            return String::new();
        }
        self.clock.now().ms().saturating_mul(1000).to_string()
    }

    /// A holder that panicked left a whole state.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}
