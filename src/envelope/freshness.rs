//! How old and how new a message may be. That it comes only once is [`ReplayGuard`](super::ReplayGuard)'s.

use crate::{
    clock::Moment,
    refusal::{Code, Refusal},
};

/// The time in which a message is fresh, around our own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How far back a message's time may be, in milliseconds.
    pub back_ms: u64,
    /// How far ahead a message's time may be, in milliseconds.
    pub forward_ms: u64,
}

impl Window {
    /// Whether a message of time `t` is fresh at `now`; both ends belong to the window.
    ///
    /// # Errors
    /// `FRS-002` when it is older, `FRS-003` when it is from the future; the cause says by how much the clocks differ.
    pub fn check(&self, t: Moment, now: Moment) -> Result<(), Refusal> {
        if t < self.earliest(now) {
            let cause = format!(
                "the message is {} s old, or the sender's clock is behind; {} s are allowed",
                now.since_ms(t).div_euclid(1000),
                self.back_ms.div_euclid(1000)
            );
            return Err(Refusal::new(Code::Stale, cause));
        }
        if t > self.latest(now) {
            let cause = format!(
                "the sender's clock is {} s ahead; {} s are allowed",
                t.since_ms(now).div_euclid(1000),
                self.forward_ms.div_euclid(1000)
            );
            return Err(Refusal::new(Code::FromTheFuture, cause));
        }
        Ok(())
    }

    /// The oldest time that is fresh at `now`.
    pub fn earliest(&self, now: Moment) -> Moment {
        now.plus_ms(signed(self.back_ms).saturating_neg())
    }

    /// The newest time that is fresh at `now`.
    pub fn latest(&self, now: Moment) -> Moment {
        now.plus_ms(signed(self.forward_ms))
    }

    /// The first moment at which nothing of time `t` can be fresh any more, with the forward margin on top for a clock
    /// that is set back.
    pub(crate) fn forgettable_after(&self, t: Moment) -> Moment {
        t.plus_ms(signed(self.back_ms))
            .plus_ms(signed(self.forward_ms))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        back_ms: 60_000,
        forward_ms: 30_000,
    };
    const NOW: Moment = Moment::from_s(1_000_000);

    fn verdict(offset_ms: i64) -> Option<Code> {
        WINDOW
            .check(NOW.plus_ms(offset_ms), NOW)
            .err()
            .map(|refusal| refusal.code())
    }

    #[test]
    fn the_window_ends_exactly_sixty_seconds_back() {
        assert_eq!(verdict(-59_999), None);
        assert_eq!(verdict(-60_000), None);
        assert_eq!(verdict(-60_001), Some(Code::Stale));
    }

    #[test]
    fn the_window_ends_exactly_thirty_seconds_ahead() {
        assert_eq!(verdict(29_999), None);
        assert_eq!(verdict(30_000), None);
        assert_eq!(verdict(30_001), Some(Code::FromTheFuture));
    }

    #[test]
    fn the_cause_says_how_far_the_clocks_are_apart() {
        let stale = WINDOW.check(NOW.plus_ms(-75_000), NOW).unwrap_err();
        assert!(stale.cause().contains("75 s"), "{stale}");
        let early = WINDOW.check(NOW.plus_ms(45_000), NOW).unwrap_err();
        assert!(early.cause().contains("45 s ahead"), "{early}");
    }

    #[test]
    fn extreme_times_and_windows_do_not_overflow() {
        assert!(WINDOW.check(Moment::from_ms(i64::MIN), NOW).is_err());
        assert!(WINDOW.check(Moment::from_ms(i64::MAX), NOW).is_err());
        let wide = Window {
            back_ms: u64::MAX,
            forward_ms: u64::MAX,
        };
        assert!(wide.check(NOW, NOW).is_ok());
    }
}
