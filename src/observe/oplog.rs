//! The operator's log: start, stop, reload, what went wrong inside. On standard error, as text or JSON.

use tracing_subscriber::{filter::LevelFilter, fmt};

/// Starts it; does nothing when a log is already there. `json` for machines, text for people.
pub fn start(json: bool) {
    let base = fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(LevelFilter::INFO);
    let started = if json {
        base.json().try_init()
    } else {
        base.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init()
    };
    drop(started);
}
