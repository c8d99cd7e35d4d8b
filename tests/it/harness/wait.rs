//! Waiting with a deadline, instead of sleeping and hoping.

use std::time::{Duration, Instant};

/// The longest that anything here is waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer, and gives up after 20 seconds.
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(LONGEST, ask).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// Asks again and again until there is an answer or the time is over.
pub fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if began.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
