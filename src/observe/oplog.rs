//! The operator's log: start, stop, reload, what went wrong inside. On standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    Layer, filter::LevelFilter, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts it; does nothing when a log is already there. `json` for machines, text for people.
pub fn start(json: bool) {
    // The libraries below us speak of themselves only when something is wrong.
    let whose = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("triseal", LevelFilter::INFO);
    let base = fmt::layer().with_writer(stderr).with_target(false);
    let started = if json {
        let layer = base.json().with_filter(whose);
        tracing_subscriber::registry().with(layer).try_init()
    } else {
        let layer = base.with_ansi(stderr().is_terminal()).with_filter(whose);
        tracing_subscriber::registry().with(layer).try_init()
    };
    // A second start finds a log in place; that is fine.
    drop(started);
}
