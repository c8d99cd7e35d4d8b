//! Folds the write-ahead log back into the file, beside the writer so that no commit waits for it.

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, connect};

const EVERY: Duration = Duration::from_millis(500);
/// From this size on, what can be folded back is.
const PASSIVE_BYTES: u64 = 4 << 20;
/// From this size on, the writer waits a moment, so that the log can start anew: under a steady writer a passive
/// checkpoint never empties it.
const TRUNCATE_BYTES: u64 = 64 << 20;

/// Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Stop {
    _until: SyncSender<()>,
}

/// Starts the thread.
pub(super) fn start(path: &Path) -> Result<Stop, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let (until, ended) = sync_channel(0);
    std::thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let size = std::fs::metadata(&log).map_or(0, |about| about.len());
                if size >= TRUNCATE_BYTES {
                    fold(&connection, "TRUNCATE");
                } else if size >= PASSIVE_BYTES {
                    fold(&connection, "PASSIVE");
                }
            }
        })
        .map_err(|e| StoreError::Engine(e.to_string()))?;
    Ok(Stop { _until: until })
}

fn fold(connection: &Connection, how: &str) {
    let folded = connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()));
    if let Err(error) = folded {
        tracing::warn!(%error, how, "the store's log could not be folded back; it is tried again");
    }
}
