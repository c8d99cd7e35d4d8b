//! How long a connection may wait in one stage.

use super::Stage;
use crate::patience::Timer;
use std::{task::Context, time::Duration};
use tokio::time::Instant;

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
