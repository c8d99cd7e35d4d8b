//! Time as an input: every rule that depends on time is handed a [`Clock`], so that tests can turn it by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// From milliseconds since the epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From whole seconds since the epoch; saturates.
    pub const fn from_s(s: i64) -> Self {
        Self(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved by a signed number of milliseconds; saturates.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Appends it as RFC 3339 with milliseconds, in UTC. Moments outside the years 0 to 9999 are written as the epoch.
    pub fn push_rfc3339(self, text: &mut Vec<u8>) {
        const DAY_S: i64 = 86_400;
        let within = -62_167_219_200_000..=253_402_300_799_999;
        let ms = if within.contains(&self.0) { self.0 } else { 0 };
        let (s, ms) = (ms.div_euclid(1000), ms.rem_euclid(1000));
        let (year, month, day) = date(s.div_euclid(DAY_S));
        let second = s.rem_euclid(DAY_S);
        for (number, digits, after) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (second.div_euclid(3600), 2, b':'),
            (second.div_euclid(60).rem_euclid(60), 2, b':'),
            (second.rem_euclid(60), 2, b'.'),
            (ms, 3, b'Z'),
        ] {
            push_padded(text, number, digits);
            text.push(after);
        }
    }

    /// The same moment as the TLS verifier wants it.
    pub fn to_pki_time(self) -> rustls_pki_types::UnixTime {
        rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_millis(
            u64::try_from(self.0).unwrap_or(0),
        ))
    }
}

/// Year, month and day of a day counted from 1970-01-01: years that begin in March have their leap day last, and 400 of
/// them are 146,097 days.
const fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let leap = (of_era / 1_460).saturating_sub(of_era / 36_524);
    let leap = leap.saturating_add(of_era / 146_096);
    let year = of_era.saturating_sub(leap) / 365;
    let before = year.saturating_mul(365).saturating_add(year / 4);
    let before = before.saturating_sub(year / 100);
    let of_year = of_era.saturating_sub(before);
    let from_march = of_year.saturating_mul(5).saturating_add(2) / 153;
    let begun = from_march.saturating_mul(153).saturating_add(2) / 5;
    let day = of_year.saturating_sub(begun).saturating_add(1);
    let month = if from_march < 10 {
        from_march.saturating_add(3)
    } else {
        from_march.saturating_sub(9)
    };
    let year = year.saturating_add(era.saturating_mul(400));
    let year = if month <= 2 {
        year.saturating_add(1)
    } else {
        year
    };
    (year, month, day)
}

/// The last digits of a number, with zeros before it.
fn push_padded(text: &mut Vec<u8>, number: i64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number.checked_div(10_i64.saturating_pow(place)))
            .unwrap_or(0)
            .rem_euclid(10);
        text.push(b'0' | u8::try_from(digit).unwrap_or(0));
    }
}

/// Where the time comes from. Clones share one hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Hand(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::set`] moves it; for tests and for `check --at`.
    pub fn standing_at(moment: Moment) -> Self {
        Self(Source::Hand(Arc::new(AtomicI64::new(moment.ms()))))
    }

    /// Moves a standing clock (and its clones); does nothing to the system clock.
    pub fn set(&self, moment: Moment) {
        if let Source::Hand(hand) = &self.0 {
            hand.store(moment.ms(), Ordering::SeqCst);
        }
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::Hand(hand) => Moment(hand.load(Ordering::SeqCst)),
            Source::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::{OffsetDateTime, macros::format_description};

    fn text(at: Moment) -> String {
        let mut text = Vec::new();
        at.push_rfc3339(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn moments_are_written_as_the_time_library_writes_them() {
        let form = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let first = -62_167_219_200_000_i64;
        let last = 253_402_300_799_999_i64;
        // A step that meets every day of the month, hour, minute and leap year.
        for ms in (first..=last).step_by(8_999_999_983).chain([0, -1, last]) {
            let nanoseconds = i128::from(ms) * 1_000_000;
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
            assert_eq!(text(Moment::from_ms(ms)), at.format(form).unwrap());
        }
        for leap in ["2024-02-29T23:59:59.999Z", "2000-02-29T00:00:00.000Z"] {
            let at = crate::envelope::time::parse(leap).unwrap();
            assert_eq!(text(at), leap);
        }
    }

    #[test]
    fn a_moment_without_four_digits_of_a_year_is_written_as_the_epoch() {
        for ms in [i64::MIN, -62_167_219_200_001, 253_402_300_800_000, i64::MAX] {
            assert_eq!(text(Moment::from_ms(ms)), "1970-01-01T00:00:00.000Z");
        }
    }
}
