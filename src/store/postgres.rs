//! PostgreSQL: a store that several gateways share. A few connections, each on a thread of its own; what waits is committed as
//! a group by whichever is free.

mod address;
mod connect;
mod pool;
mod presence;
mod queries;
mod schema;
mod worker;

pub(super) use address::Address;
pub(super) use connect::{Identity, Server};

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use super::{
    StoreError, Watch,
    engine::{Ailing, Job},
    vault::Vault,
};
use connect::Refused;
use pool::Pool;
use worker::Worker;

/// Work that may wait for a connection.
const WAITING_MAX: usize = 4_096;

/// The engine: the way to its connections.
#[derive(Debug)]
pub(super) struct Engine {
    jobs: SyncSender<Box<dyn Job>>,
    pool: Arc<Pool>,
}

/// On whose behalf a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// A gateway: makes and migrates tables, and is seen by others.
    Gateway,
    /// A command beside gateways.
    Command,
}

impl Engine {
    /// Opens the store for a gateway. One that cannot be reached is waited for, beside everything else.
    pub(super) fn open(
        server: &Arc<Server>,
        vault: &Arc<Vault>,
        watch: Option<Watch>,
    ) -> Result<Self, StoreError> {
        Self::start(server, vault, watch, For::Gateway)
    }

    /// Opens the store for a command, over one connection.
    pub(super) fn open_beside(
        server: &Arc<Server>,
        vault: &Arc<Vault>,
    ) -> Result<Self, StoreError> {
        Self::start(server, vault, None, For::Command)
    }

    fn start(
        server: &Arc<Server>,
        vault: &Arc<Vault>,
        watch: Option<Watch>,
        who: For,
    ) -> Result<Self, StoreError> {
        let connections = match who {
            For::Gateway => server.connections,
            For::Command => 1,
        };
        let patience = server
            .statement_timeout
            .saturating_add(Duration::from_secs(1));
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let pool = Arc::new(Pool::new(connections, patience, waiting, watch));
        let engine = Self {
            jobs,
            pool: Arc::clone(&pool),
        };
        let worker = |number: u32, first| Worker {
            number,
            server: Arc::clone(server),
            vault: Arc::clone(vault),
            pool: Arc::clone(&pool),
            who,
            first,
        };
        let (first, outcome) = sync_channel(1);
        worker(0, Some(first)).spawn()?;
        // Longer than one attempt, so that what it says is heard.
        let limit = server.connect_timeout.saturating_add(patience);
        match (outcome.recv_timeout(limit), who) {
            (Ok(Ok(())), _) => {}
            (Ok(Err(Refused::Now(why))), For::Gateway) => {
                tracing::error!(
                    database = %server.address, why,
                    "the store's database cannot be reached; what needs it is refused until it can"
                );
            }
            (Err(RecvTimeoutError::Timeout), For::Gateway) => {
                tracing::error!(
                    database = %server.address,
                    "the store's database does not answer; what needs it is refused until it does"
                );
            }
            (Ok(Err(refused)), _) => return Err(refused.into()),
            (Err(_), _) => {
                return Err(StoreError::Unreachable("no answer in time".to_owned()));
            }
        }
        for number in 1..connections {
            worker(number, None).spawn()?;
        }
        Ok(engine)
    }
}

impl super::engine::Engine for Engine {
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        if let Some(gone) = self.pool.gone() {
            return Err(StoreError::Unreachable(gone.why));
        }
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => StoreError::Engine("too much waits to be written".to_owned()),
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    fn ailing(&self) -> Option<Ailing> {
        self.pool.gone().or_else(|| self.pool.failing())
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.pool.patience)
    }

    fn shared(&self) -> bool {
        true
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.pool.closed.store(true, Ordering::Relaxed);
    }
}
