//! One timer for many deadlines.
//!
//! Nearly every deadline is met, and arming the runtime's timer for each costs a relay more than parsing its heads
//! (bench/README.md). So a deadline is a number, and the runtime's timer is touched only when it would fire too late, or
//! fires too early.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The runtime's timer, made when it is first needed. It wakes the task that asked last.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the deadline is over; if not, the task is woken by then.
    pub fn over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            // It was armed for an earlier deadline.
            sleep.as_mut().reset(deadline);
        }
        false
    }
}

/// A timer for deadlines within each other. All of them must be awaited in one task: the timer knows one waker.
#[derive(Default)]
pub struct Patience(Mutex<Timer>);

impl Patience {
    /// What the future comes to, if it does before the deadline.
    pub async fn until<F: Future>(
        &self,
        deadline: std::time::Instant,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let deadline = Instant::from_std(deadline);
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if timer.over(deadline, cx) {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patience")
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin, time::Duration};

    use super::*;

    fn at(ms: u64) -> std::time::Instant {
        std::time::Instant::now()
            .checked_add(Duration::from_millis(ms))
            .unwrap()
    }

    #[tokio::test]
    async fn what_comes_in_time_is_given() {
        let patience = Patience::default();
        let soon = tokio::time::sleep(Duration::from_millis(1));
        assert!(patience.until(at(60_000), pin!(soon)).await.is_some());
    }

    #[tokio::test]
    async fn what_does_not_come_ends_at_its_deadline_though_the_timer_was_armed_for_others() {
        let patience = Patience::default();
        for (earlier, later) in [(5, 20), (20, 5)] {
            // One left behind, as an exchange that ended well leaves it.
            let left = tokio::time::sleep(Duration::from_millis(1));
            assert!(patience.until(at(earlier), pin!(left)).await.is_some());
            let deadline = at(later);
            assert!(
                patience
                    .until(deadline, pin!(pending::<()>()))
                    .await
                    .is_none()
            );
            assert!(std::time::Instant::now() >= deadline);
        }
    }

    #[tokio::test]
    async fn the_inner_of_two_deadlines_ends_first() {
        let patience = Patience::default();
        let inner = async { patience.until(at(5), pin!(pending::<()>())).await.is_none() };
        assert_eq!(patience.until(at(60_000), pin!(inner)).await, Some(true));
        let inner = async { patience.until(at(60_000), pin!(pending::<()>())).await };
        assert_eq!(patience.until(at(5), pin!(inner)).await, None);
    }
}
