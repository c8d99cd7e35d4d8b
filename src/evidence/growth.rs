//! How fast the log grows, and so how long the room on its disk lasts.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What counts as the present growth.
const WINDOW: Duration = Duration::from_secs(300);

/// Steps in which the window moves.
const STEP: Duration = Duration::from_secs(5);

/// Bytes written in the last minutes.
#[derive(Debug)]
pub(super) struct Growth {
    began: Instant,
    steps: VecDeque<(Instant, u64)>,
}

impl Growth {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            began: now,
            steps: VecDeque::new(),
        }
    }

    /// Notes bytes that were written now.
    pub(super) fn grew(&mut self, bytes: u64) {
        self.grew_at(bytes, Instant::now());
    }

    fn grew_at(&mut self, bytes: u64, now: Instant) {
        match self.steps.back_mut() {
            Some((at, sum)) if now.duration_since(*at) < STEP => *sum = sum.saturating_add(bytes),
            _ => self.steps.push_back((now, bytes)),
        }
    }

    /// Seconds until `room` is used up; `None` where nothing was written lately.
    pub(super) fn seconds_left(&mut self, room: u64) -> Option<u64> {
        self.seconds_left_at(room, Instant::now())
    }

    fn seconds_left_at(&mut self, room: u64, now: Instant) -> Option<u64> {
        while (self.steps.front()).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.steps.pop_front();
        }
        let written = self
            .steps
            .iter()
            .fold(0_u64, |sum, (_, b)| sum.saturating_add(*b));
        if written == 0 {
            return None;
        }
        let over = now
            .duration_since(self.began)
            .min(WINDOW)
            .as_millis()
            .max(1000);
        let left = u128::from(room)
            .saturating_mul(over)
            .checked_div(u128::from(written))?;
        u64::try_from(left / 1000).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_the_room_by_the_growth_of_the_last_minutes() {
        let began = Instant::now();
        let mut growth = Growth::new(began);
        assert_eq!(growth.seconds_left_at(1_000_000, began), None);
        for s in 1..=100 {
            growth.grew_at(1000, began + Duration::from_secs(s));
        }
        let now = began + Duration::from_secs(100);
        assert_eq!(growth.seconds_left_at(1_000_000, now), Some(1000));
        assert_eq!(growth.seconds_left_at(0, now), Some(0));
        let later = now + Duration::from_secs(400);
        assert_eq!(growth.seconds_left_at(1_000_000, later), None);
    }
}
