//! The access log: one JSON object a line, written by a thread of its own so that no exchange waits for a disk.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde::Serialize;

/// Lines held back while the writer is busy; beyond that, lines are counted as lost.
const BUFFER_MAX_BYTES: usize = 8 << 20;
/// The longest a line waits before it is written.
const LINGER: Duration = Duration::from_millis(50);

/// What is written about one exchange. This struct is the allow-list: no path, query, header or body has a place in it.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When it arrived, RFC 3339 with milliseconds, UTC.
    pub time: &'a str,
    /// The gateway's name.
    pub gateway: &'a str,
    /// Ties the lines of all gateways on the way together.
    pub correlation_id: &'a str,
    /// The face.
    pub face: &'a str,
    /// The address it came from.
    pub from: &'a str,
    /// `1.1` or `2`.
    pub http: &'a str,
    /// The method.
    pub method: &'a str,
    /// The route's name, when one was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// The partner, when identified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner: Option<&'a str>,
    /// The fingerprint of the TLS certificate shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<&'a str>,
    /// The fingerprint of the certificate that signed the request, when it verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<&'a str>,
    /// `answered` or `refused`.
    pub outcome: &'a str,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// The HTTP status answered.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body, where known.
    pub bytes_out: u64,
    /// Microseconds for the whole exchange.
    pub took_us: u64,
    /// Microseconds of it spent waiting for the upstream.
    pub upstream_us: u64,
    /// The upstream's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
}

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    buffer: Mutex<Vec<u8>>,
    wake: mpsc::SyncSender<Order>,
    lost: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Order {
    Write,
    Stop,
}

impl AccessLog {
    /// Starts the writer. Without a file, lines go to standard output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn start(file: Option<&Path>) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match file {
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        let (wake, orders) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            buffer: Mutex::new(Vec::with_capacity(64 << 10)),
            wake,
            lost: AtomicU64::new(0),
            writer: Mutex::new(None),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_on(&theirs, &orders, out))?;
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Hands a line over; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        let mut buffer = self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() > BUFFER_MAX_BYTES {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = buffer.is_empty();
        if serde_json::to_writer(&mut *buffer, line).is_ok() {
            buffer.push(b'\n');
        }
        drop(buffer);
        if first {
            // A full channel means that the writer is already called.
            let _ = self.0.wake.try_send(Order::Write);
        }
    }

    /// Lines that were lost because the writer could not keep up.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Writes what is left and stops the writer.
    pub fn stop(&self) {
        let thread = self
            .0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = self.0.wake.send(Order::Stop);
            let _ = thread.join();
        }
    }
}

fn write_on(shared: &Shared, orders: &mpsc::Receiver<Order>, mut out: Box<dyn Write + Send>) {
    let mut batch = Vec::new();
    loop {
        let stop = match orders.recv_timeout(Duration::from_secs(1)) {
            Ok(Order::Write) => {
                // Let a batch gather: one write for many lines.
                matches!(orders.recv_timeout(LINGER), Ok(Order::Stop))
            }
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        std::mem::swap(
            &mut batch,
            &mut *shared.buffer.lock().unwrap_or_else(PoisonError::into_inner),
        );
        if !batch.is_empty() && (out.write_all(&batch).is_err() || out.flush().is_err()) {
            let lines = batch.iter().filter(|b| **b == b'\n').count();
            shared
                .lost
                .fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        batch.clear();
        if stop {
            return;
        }
    }
}
