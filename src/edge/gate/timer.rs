//! One timer for a connection that is armed for every request and hardly ever fires.
//!
//! A deadline is a number; the runtime's timer is touched only when it would fire too late, or fires too early.

use super::Stage;
use std::{pin::Pin, task::Context, time::Duration};
use tokio::time::{Instant, Sleep, sleep_until};

/// The runtime's timer, made when it is first needed.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the deadline is over; if not, the task is woken by then.
    fn over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
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

/// A wait and when it has lasted too long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wait(Option<(Stage, Instant)>);

impl Wait {
    /// Whether waiting in this stage has lasted too long. The wait begins with the first question, and anew with another
    /// stage.
    pub(super) fn expired(
        &mut self,
        stage: Stage,
        limit: Duration,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> bool {
        let deadline = match self.0 {
            Some((same, deadline)) if same == stage => deadline,
            _ => {
                let now = Instant::now();
                let far = Duration::from_secs(86_400 * 365);
                let deadline = now.checked_add(limit.min(far)).unwrap_or(now);
                self.0 = Some((stage, deadline));
                deadline
            }
        };
        timer.over(deadline, cx)
    }
}
