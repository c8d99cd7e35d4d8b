//! What the connections have in common: the work that waits, and how each of them is.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::AtomicBool,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::super::{
    StoreError, Watch,
    engine::{Ailing, Job},
};

/// Jobs in one commit.
const GROUP_MAX: usize = 256;

/// The connections of one gateway.
pub(super) struct Pool {
    /// How long whoever asked waits.
    pub(super) patience: Duration,
    /// Set when the store is dropped.
    pub(super) closed: AtomicBool,
    waiting: Mutex<Receiver<Box<dyn Job>>>,
    lines: Mutex<Vec<Line>>,
    failing: Mutex<Option<Ailing>>,
    watch: Option<Watch>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool(..)")
    }
}

/// How a connection is.
#[derive(Clone, Debug)]
enum Line {
    /// Not there.
    Down(Ailing),
    /// There, with nothing to do.
    Idle,
    /// At work since then.
    Busy(Instant),
}

/// What came of waiting for work.
pub(super) enum Waited {
    Work(Vec<Box<dyn Job>>),
    Nothing,
    Closed,
}

impl Pool {
    pub(super) fn new(
        connections: u32,
        patience: Duration,
        waiting: Receiver<Box<dyn Job>>,
        watch: Option<Watch>,
    ) -> Self {
        let beginning = Line::Down(Ailing {
            why: "not connected yet".to_owned(),
            since: Instant::now(),
        });
        Self {
            patience,
            closed: AtomicBool::new(false),
            waiting: Mutex::new(waiting),
            lines: Mutex::new((0..connections).map(|_| beginning.clone()).collect()),
            failing: Mutex::default(),
            watch,
        }
    }

    /// Why no connection can be used, when none can: all are down, or hang for longer than anybody waits.
    pub(super) fn gone(&self) -> Option<Ailing> {
        let mut gone: Option<Ailing> = None;
        for line in locked(&self.lines).iter() {
            let ailing = match line {
                Line::Idle => return None,
                Line::Busy(since) if since.elapsed() < self.patience => return None,
                Line::Busy(since) => Ailing {
                    why: "it does not answer".to_owned(),
                    since: *since,
                },
                Line::Down(ailing) => ailing.clone(),
            };
            // It is gone since the last connection was.
            if gone.as_ref().is_none_or(|other| other.since < ailing.since) {
                gone = Some(ailing);
            }
        }
        gone
    }

    /// Why groups are not committed although there is a connection, when it is so.
    pub(super) fn failing(&self) -> Option<Ailing> {
        locked(&self.failing).clone()
    }

    /// Waits for work, at most so long.
    pub(super) fn wait(&self, limit: Duration) -> Waited {
        let waiting = locked(&self.waiting);
        match waiting.recv_timeout(limit) {
            Ok(first) => {
                let more = waiting.try_iter().take(GROUP_MAX.saturating_sub(1));
                Waited::Work(std::iter::once(first).chain(more).collect())
            }
            Err(RecvTimeoutError::Timeout) => Waited::Nothing,
            Err(RecvTimeoutError::Disconnected) => Waited::Closed,
        }
    }

    pub(super) fn idle(&self, number: u32) {
        self.set(number, Line::Idle);
    }

    pub(super) fn busy(&self, number: u32) {
        self.set(number, Line::Busy(Instant::now()));
    }

    /// The connection is lost, or was not made. When it was the last, what waits is refused.
    pub(super) fn down(&self, number: u32, why: &str) {
        let before = {
            let lines = locked(&self.lines);
            lines.get(index(number)).cloned()
        };
        let (since, new) = match before {
            Some(Line::Down(ailing)) => (ailing.since, false),
            Some(Line::Busy(since)) => (since, true),
            Some(Line::Idle) | None => (Instant::now(), true),
        };
        if new {
            tracing::error!(
                connection = number,
                why,
                "a connection to the store's database is lost"
            );
        }
        let why = why.to_owned();
        self.set(number, Line::Down(Ailing { why, since }));
        if let Some(gone) = self.gone() {
            // Nobody holds this for long then: who waits for work has a connection.
            if let Ok(waiting) = self.waiting.try_lock() {
                for job in waiting.try_iter() {
                    job.done(Err(StoreError::Unreachable(gone.why.clone())));
                }
            }
        }
    }

    /// Tells of a commit.
    pub(super) fn tell(&self, committed: &Result<(), StoreError>, took: Duration) {
        if let Some(watch) = &self.watch {
            watch.commit_seconds.observe(took.as_secs_f64());
            if committed.is_err() {
                watch.failures.inc();
            }
        }
        let mut failing = locked(&self.failing);
        match committed {
            Err(error) => {
                tracing::error!(%error, "the store could not commit; what waited for it is refused");
                *failing = Some(Ailing {
                    why: error.to_string(),
                    since: failing.as_ref().map_or_else(Instant::now, |a| a.since),
                });
            }
            Ok(()) if failing.is_some() => {
                tracing::info!("the store commits again");
                *failing = None;
            }
            Ok(()) => {}
        }
    }

    fn set(&self, number: u32, line: Line) {
        if let Some(place) = locked(&self.lines).get_mut(index(number)) {
            *place = line;
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
