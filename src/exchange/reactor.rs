//! How late the work of one runtime is: the queue time of private-key work, which runs on the reactor itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How often a runtime's timers are looked at.
const EVERY: Duration = Duration::from_millis(100);

/// What the watch over one runtime has seen.
#[derive(Debug)]
pub(super) struct Reactor {
    began: Instant,
    /// When it last looked, in microseconds from the beginning; 0 before the first time.
    looked_us: AtomicU64,
    /// How late it was then.
    late_us: AtomicU64,
}

impl Reactor {
    pub(super) const fn new(began: Instant) -> Self {
        Self {
            began,
            looked_us: AtomicU64::new(0),
            late_us: AtomicU64::new(0),
        }
    }

    /// Looks again and again, and tells how late each look was. Never returns.
    pub(super) async fn watch(&self, tell: impl Fn(Duration)) {
        loop {
            let due = Instant::now().checked_add(EVERY);
            tokio::time::sleep(EVERY).await;
            let now = Instant::now();
            let late = due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
            tell(late);
            self.looked(now, late);
        }
    }

    fn looked(&self, at: Instant, late: Duration) {
        self.late_us.store(micros(late), Ordering::Relaxed);
        let at = micros(at.saturating_duration_since(self.began));
        self.looked_us.store(at, Ordering::Relaxed);
    }

    /// How late it was at the last look, or how long the next look is overdue if that is more: what comes in first after the
    /// processor was taken away may run before the look does.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let looked = self.looked_us.load(Ordering::Relaxed);
        if looked == 0 {
            return Duration::ZERO;
        }
        let now = now.saturating_duration_since(self.began);
        let since = now.saturating_sub(Duration::from_micros(looked));
        let late = Duration::from_micros(self.late_us.load(Ordering::Relaxed));
        late.max(since.saturating_sub(EVERY))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_look_that_is_overdue_counts_before_it_is_made() {
        let began = Instant::now();
        let reactor = Reactor::new(began);
        let delay = |after| reactor.delay(began + ms(after));
        // Nobody watches yet.
        assert_eq!(delay(60_000), ms(0));
        reactor.looked(began + ms(1000), ms(0));
        assert_eq!(delay(1000), ms(0));
        assert_eq!(delay(1100), ms(0), "the next look is due just now");
        assert_eq!(delay(1101), ms(1));
        assert_eq!(delay(7000), ms(5900));
        reactor.looked(began + ms(7000), ms(5900));
        assert_eq!(delay(7000), ms(5900));
        assert_eq!(delay(7100), ms(5900), "until the next look");
        reactor.looked(began + ms(7100), ms(0));
        assert_eq!(delay(7101), ms(0));
        // Asked by somebody who took the time before the look was made.
        assert_eq!(delay(7099), ms(0));
    }
}
