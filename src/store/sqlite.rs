//! SQLite: one writer thread, what waits is committed as a group.

mod checkpoint;
mod file;
mod queries;
mod schema;

use queries::Queries;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    StoreError, Watch,
    engine::{Ailing, Job, Ran},
    vault::Vault,
};

/// Work that may wait for the writer.
const WAITING_MAX: usize = 4_096;
/// Jobs in one commit.
const GROUP_MAX: usize = 256;
/// How long a command and the gateway wait for each other.
const BUSY: Duration = Duration::from_secs(5);
/// Where SQLite itself folds the log back, should our own thread for it be gone: 128 MiB of pages.
const CHECKPOINT_PAGES: u32 = 32_768;

/// The engine: the way to its writer.
#[derive(Debug)]
pub(super) struct Engine {
    jobs: SyncSender<Box<dyn Job>>,
    ailing: Arc<Mutex<Option<Ailing>>>,
}

impl Engine {
    /// Opens the file for a gateway.
    pub(super) fn open(
        path: &Path,
        vault: &Arc<Vault>,
        watch: Option<Watch>,
    ) -> Result<Self, StoreError> {
        let lock = file::Lock::beside(path)?;
        lock.take(path)?;
        file::prepare(path)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(failed)?;
        if mode != "wal" {
            return Err(StoreError::File(format!(
                "{} cannot have a write-ahead log; put it on a local disk",
                path.display()
            )));
        }
        schema::migrate(&mut connection, vault)?;
        {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            let db = Queries::inside(&transaction, None);
            schema::demand_keys(&db, vault)?;
            db.register_key(vault.newest())?;
            // What was under way when the last gateway ended is free again.
            db.end_leases()?;
            transaction.commit().map_err(failed)?;
        }
        let stop = checkpoint::start(path)?;
        Self::start(connection, lock, watch, Some(stop))
    }

    /// Opens the file beside a gateway that may be running.
    pub(super) fn open_beside(path: &Path, vault: &Arc<Vault>) -> Result<Self, StoreError> {
        if !path.is_file() {
            let path = path.display();
            return Err(StoreError::File(format!(
                "{path} is not there. Start the gateway once: it makes it"
            )));
        }
        let lock = file::Lock::beside(path)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::demand_form(&connection)?;
        {
            let transaction = connection.transaction().map_err(failed)?;
            schema::demand_keys(&Queries::inside(&transaction, None), vault)?;
        }
        Self::start(connection, lock, None, None)
    }

    fn start(
        connection: Connection,
        lock: file::Lock,
        watch: Option<Watch>,
        stop: Option<checkpoint::Stop>,
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let ailing = Arc::default();
        let writer = Writer {
            connection,
            ailing: Arc::clone(&ailing),
            watch,
            _stop: stop,
            // Held for as long as something may still be written.
            lock,
        };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|e| StoreError::Engine(e.to_string()))?;
        Ok(Self { jobs, ailing })
    }
}

impl super::engine::Engine for Engine {
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => StoreError::Engine("too much waits to be written".to_owned()),
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    fn ailing(&self) -> Option<Ailing> {
        (self.ailing.lock().unwrap_or_else(PoisonError::into_inner)).clone()
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    fn shared(&self) -> bool {
        false
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
        ))
        .map_err(failed)?;
    Ok(connection)
}

struct Writer {
    connection: Connection,
    ailing: Arc<Mutex<Option<Ailing>>>,
    watch: Option<Watch>,
    _stop: Option<checkpoint::Stop>,
    lock: file::Lock,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = waiting.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(job) = waiting.try_recv()
            {
                group.push(job);
            }
            let began = Instant::now();
            let committed = commit(&mut self.connection, &self.lock, &mut group);
            self.tell(&committed, began.elapsed());
            for job in group {
                job.done(committed.clone());
            }
        }
    }

    fn tell(&self, committed: &Result<(), StoreError>, took: Duration) {
        if let Some(watch) = &self.watch {
            watch.commit_seconds.observe(took.as_secs_f64());
            if committed.is_err() {
                watch.failures.inc();
            }
        }
        let mut ailing = self.ailing.lock().unwrap_or_else(PoisonError::into_inner);
        match committed {
            Err(error) => {
                tracing::error!(%error, "the store could not commit; what waited for it is refused");
                *ailing = Some(Ailing {
                    why: error.to_string(),
                    since: ailing.as_ref().map_or_else(Instant::now, |a| a.since),
                });
            }
            Ok(()) if ailing.is_some() => {
                tracing::info!("the store commits again");
                *ailing = None;
            }
            Ok(()) => {}
        }
    }
}

/// Runs a group in one transaction. A job that fails or panics takes back its own work alone.
fn commit(
    connection: &mut Connection,
    lock: &file::Lock,
    group: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let say = |text: &str| -> Result<(), StoreError> {
        transaction
            .prepare_cached(text)
            .and_then(|mut s| s.execute([]))
            .map(drop)
            .map_err(failed)
    };
    for job in group {
        say("SAVEPOINT job")?;
        let mut db = Queries::inside(&transaction, Some(lock));
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(&mut db))).unwrap_or_else(|_| {
            tracing::error!("a job of the store panicked; what it did is taken back");
            Ran::Undo
        });
        if transaction.is_autocommit() {
            // SQLite has given up the whole transaction: no room, or a broken disk.
            return Err(StoreError::Full(
                "SQLite took the whole group back: no room, or the disk fails".to_owned(),
            ));
        }
        // One writer alone: nobody is ever in the way.
        if ran != Ran::Keep {
            say("ROLLBACK TO job")?;
        }
        say("RELEASE job")?;
    }
    transaction.commit().map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        _ => StoreError::Engine(error.to_string()),
    }
}
