//! One connection's thread: connects, again and again with growing pauses, and commits what waits.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    time::{Duration, Instant},
};

use super::{
    For,
    connect::{self, Refused, Server, lost, told},
    pool::{Pool, Waited},
    queries::{Queries, Session},
    schema,
};
use crate::store::{
    StoreError,
    engine::{Job, Ran},
    vault::Vault,
};

/// How often an idle connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long its answer may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Transactions in which a job that was in others' way is tried.
const TRIES_MAX: u32 = 8;

/// One connection.
pub(super) struct Worker {
    pub(super) number: u32,
    pub(super) server: Arc<Server>,
    pub(super) vault: Arc<Vault>,
    pub(super) pool: Arc<Pool>,
    pub(super) who: For,
    /// How long a statement may take.
    pub(super) limit: Duration,
    /// Whom to tell how the first attempt went.
    pub(super) first: Option<SyncSender<Result<(), Refused>>>,
}

/// A job, and in how many transactions it was tried.
struct Tried {
    job: Box<dyn Job>,
    tries: u32,
}

/// What a group has come to.
struct Group {
    committed: Result<(), StoreError>,
    /// Jobs that are to be tried in another transaction.
    again: Vec<Tried>,
    /// Whether the connection is of no use any more.
    lost: Option<String>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn spawn(self) -> Result<(), StoreError> {
        std::thread::Builder::new()
            .name(format!("store-{}", self.number))
            .spawn(move || self.run())
            .map(drop)
            .map_err(|e| StoreError::Engine(e.to_string()))
    }

    fn run(mut self) {
        let mut pause = PAUSE_MIN;
        // What a lost connection had not begun.
        let mut left = Vec::new();
        while !self.pool.closed.load(Ordering::Relaxed) {
            match self.session() {
                Ok(mut session) => {
                    pause = PAUSE_MIN;
                    self.pool.connected(self.number);
                    self.tell(Ok(()));
                    let Err(why) = self.serve(&mut session, &mut left) else {
                        return;
                    };
                    self.pool.down(self.number, &why);
                }
                Err(refused) => {
                    let why = refused.to_string();
                    self.pool.down(self.number, &why);
                    self.tell(Err(refused));
                    for Tried { job, .. } in left.drain(..) {
                        job.done(Err(StoreError::Unreachable(why.clone())));
                    }
                    self.sleep(pause);
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn session(&self) -> Result<Session, Refused> {
        let mut client = connect::connect(&self.server, self.limit)?;
        schema::prepare(&mut client, &self.vault, self.who).map_err(|error| match error {
            StoreError::Unreachable(why) => Refused::Now(why),
            StoreError::InTheWay => Refused::Now(error.to_string()),
            error => Refused::ByRule(error),
        })?;
        Ok(Session {
            client,
            statements: HashMap::new(),
        })
    }

    fn tell(&mut self, outcome: Result<(), Refused>) {
        if let Some(first) = self.first.take() {
            // Who opened the store may not have waited so long.
            let _ = first.send(outcome);
        }
    }

    fn sleep(&self, pause: Duration) {
        let began = Instant::now();
        while began.elapsed() < pause && !self.pool.closed.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE_MIN);
        }
    }

    /// Commits what waits until the connection is lost; then says why. Ends well when the store is closed.
    fn serve(&self, session: &mut Session, left: &mut Vec<Tried>) -> Result<(), String> {
        loop {
            // One that was in others' way runs alone: then it holds nothing that they wait for.
            let next = match left.first() {
                Some(first) if first.tries > 0 => 1,
                _ => left.iter().take_while(|tried| tried.tries == 0).count(),
            };
            let mut group: Vec<Tried> = left.drain(..next).collect();
            if group.is_empty() {
                match self.pool.wait(LOOK_EVERY) {
                    Waited::Work(jobs) => {
                        group.extend(jobs.into_iter().map(|job| Tried { job, tries: 0 }));
                    }
                    Waited::Nothing => {
                        let looked = session.client.is_valid(LOOK_LIMIT);
                        looked.map_err(|error| told(&error))?;
                        continue;
                    }
                    Waited::Closed => return Ok(()),
                }
            }
            // Whoever asked was told already that the outcome is unknown.
            group.retain(|tried| !tried.job.abandoned());
            if group.is_empty() {
                continue;
            }
            self.pool.busy(self.number);
            let began = Instant::now();
            if let Err(error) = session.client.batch_execute("BEGIN; SAVEPOINT job") {
                if lost(&error) {
                    // Nothing of it was begun: another connection may do it.
                    left.append(&mut group);
                    return Err(told(&error));
                }
                let committed = Err(connect::failed(error));
                self.pool.tell(&committed, began.elapsed());
                self.answer(group, &committed);
                self.rolled_back(session)?;
                continue;
            }
            let ended = commit(session, &mut group);
            self.pool.tell(&ended.committed, began.elapsed());
            self.answer(group, &ended.committed);
            left.extend(ended.again);
            if let Some(why) = ended.lost {
                return Err(why);
            }
            if ended.committed.is_err() {
                self.rolled_back(session)?;
            }
            self.pool.idle(self.number);
        }
    }

    fn answer(&self, group: Vec<Tried>, committed: &Result<(), StoreError>) {
        for Tried { job, .. } in group {
            job.done(committed.clone());
        }
    }

    fn rolled_back(&self, session: &mut Session) -> Result<(), String> {
        let rolled_back = session.client.batch_execute("ROLLBACK");
        self.pool.idle(self.number);
        rolled_back.map_err(|error| told(&error))
    }
}

/// Runs a group in one transaction that has begun. A job that fails or panics takes back its own work alone; one that is in
/// the way of another transaction is taken out, so that what this one holds is free soon.
fn commit(session: &mut Session, group: &mut Vec<Tried>) -> Group {
    let mut again = Vec::new();
    let mut staying = Vec::with_capacity(group.len());
    let mut waiting = std::mem::take(group).into_iter().peekable();
    let mut committed = Ok(());
    let mut gone = None;
    while let Some(mut tried) = waiting.next() {
        let mut db = Queries::inside(session);
        let ran = catch_unwind(AssertUnwindSafe(|| tried.job.run(&mut db))).unwrap_or_else(|_| {
            tracing::error!("a job of the store panicked; what it did is taken back");
            Ran::Undo
        });
        let (broken, is_lost) = (db.broken, db.lost);
        tried.tries = tried.tries.saturating_add(1);
        let back = ran != Ran::Keep || broken;
        if ran == Ran::Again && tried.tries < TRIES_MAX && !is_lost {
            again.push(tried);
        } else {
            staying.push(tried);
        }
        if is_lost {
            // Not committed, for certain.
            let why = "the connection is lost".to_owned();
            committed = Err(StoreError::Unreachable(why.clone()));
            gone = Some(why);
            break;
        }
        // What this transaction holds is in the way too: it ends here, and the rest has the next one.
        let crowded = ran == Ran::Again;
        let last = crowded || waiting.peek().is_none();
        let said = session.client.batch_execute(next(back, last));
        if let Err(error) = said {
            committed = Err(if last && lost(&error) {
                StoreError::Unknown(told(&error))
            } else {
                connect::failed(error)
            });
            gone = session
                .client
                .is_closed()
                .then(|| "the connection is lost".to_owned());
            break;
        }
        if crowded {
            again.extend(waiting.by_ref());
        }
    }
    staying.extend(waiting);
    *group = staying;
    if committed.is_err() {
        // They were taken out of what was not committed: they may run again all the same, but not over a lost connection.
        if gone.is_some() {
            group.append(&mut again);
        }
    }
    Group {
        committed,
        again,
        lost: gone,
    }
}

/// What is said after a job. In one message, so that nothing is committed when a savepoint cannot be left.
const fn next(back: bool, last: bool) -> &'static str {
    match (back, last) {
        (false, false) => "RELEASE job; SAVEPOINT job",
        (false, true) => "RELEASE job; COMMIT",
        (true, false) => "ROLLBACK TO job; RELEASE job; SAVEPOINT job",
        (true, true) => "ROLLBACK TO job; RELEASE job; COMMIT",
    }
}
