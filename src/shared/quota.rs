//! A quota and one step of counting against it: a rate by GCRA (a bucket that empties evenly), and a number for each day.
//!
//! The whole state is three numbers, so that it is the same in this process and in a script at the shared server
//! (`scripts.rs`). A request that is refused costs nothing of either.

use crate::config;

/// The day of a quota, in microseconds.
pub(super) const DAY_US: i64 = 86_400_000_000;
const MINUTE_US: i64 = 60_000_000;
/// The highest rate: beyond it the spaces between requests are too small to be counted in microseconds.
pub const PER_MINUTE_MAX: u32 = 6_000_000;

/// How much of a route a partner may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Space between two requests, in microseconds; 0 where there is no rate.
    pub(super) interval_us: i64,
    pub(super) burst: i64,
    /// 0 where there is no bound for a day.
    pub(super) per_day: i64,
}

/// What was used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// When everything that was counted will have flowed off (the theoretical arrival time of GCRA).
    pub(super) tat_us: i64,
    pub(super) day: i64,
    pub(super) count: i64,
}

/// Which bound a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// None: it was counted.
    Passed,
    /// The rate.
    TooFast,
    /// The day's number.
    DayUsed,
}

/// What came of a request, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What came of it.
    pub verdict: Verdict,
    /// The rate, where there is one.
    pub rate: Option<Left>,
    /// The day, where it has a bound.
    pub day: Option<Left>,
    /// After how many seconds another try makes sense; 0 when it passed.
    pub retry_after_s: u64,
}

/// What is left of one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests in the window.
    pub quota: u64,
    /// The window, in seconds.
    pub window_s: u64,
    /// Requests that are left.
    pub remaining: u64,
    /// Seconds until all of them are there again.
    pub reset_s: u64,
}

impl Quota {
    /// From what is written; mistakes go to the report, which stands at it.
    pub fn build(raw: &config::Quota, report: &mut config::Report<'_>) -> Option<Self> {
        let mut fits = true;
        let mut wrong = |at: &str, what: &str, remedy: &str| {
            report.error(at, what, remedy);
            fits = false;
        };
        if raw.per_minute.is_none() && raw.per_day.is_none() {
            let remedy = "Give per_minute, per_day or both; or remove the quota.";
            wrong("", "a quota without a number bounds nothing", remedy);
        }
        if raw.per_minute == Some(0) || raw.per_day == Some(0) || raw.burst == Some(0) {
            let remedy = "Take the route out of the partner's list instead.";
            wrong("", "0 would let nothing through", remedy);
        }
        if raw.per_minute.is_some_and(|n| n > PER_MINUTE_MAX) {
            let remedy = "Give at most 6000000.";
            wrong(
                "per_minute",
                "is more than can be counted in microseconds",
                remedy,
            );
        }
        if raw.burst.is_some() && raw.per_minute.is_none() {
            wrong("burst", "belongs to a rate", "Give per_minute as well.");
        }
        if raw.per_day.is_some_and(|n| n > 1_000_000_000_000) {
            wrong("per_day", "is out of all proportion", "Leave it out.");
        }
        fits.then(|| {
            let per_minute = raw.per_minute.unwrap_or(0);
            Self {
                interval_us: MINUTE_US.checked_div(i64::from(per_minute)).unwrap_or(0),
                burst: i64::from(raw.burst.unwrap_or_else(|| (per_minute / 6).max(1))),
                per_day: raw
                    .per_day
                    .map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX)),
            }
        })
    }

    /// Whether it has a number for a day.
    pub const fn is_daily(&self) -> bool {
        self.per_day > 0
    }

    /// For how long what was used matters, in milliseconds.
    pub(super) const fn memory_ms(&self) -> i64 {
        if self.is_daily() {
            return (DAY_US / 1000).saturating_mul(2);
        }
        (self.window_us() / 1000).saturating_add(60_000)
    }

    const fn window_us(&self) -> i64 {
        self.interval_us.saturating_mul(self.burst)
    }

    /// One request at `now_us`: whether both bounds let it through, and what is used then. That is to be kept if it passed.
    pub(super) fn step(&self, used: &mut Used, now_us: i64) -> (Verdict, Used) {
        // A clock that was set back must neither close the route for long nor give a day back.
        let latest = now_us.saturating_add(self.window_us());
        used.tat_us = used.tat_us.min(latest);
        let tat = used.tat_us.max(now_us);
        let today = now_us.div_euclid(DAY_US);
        let (day, count) = if today > used.day {
            (today, 0)
        } else {
            (used.day, used.count)
        };
        let next = tat.saturating_add(self.interval_us);
        let verdict = if self.interval_us > 0 && next > latest {
            Verdict::TooFast
        } else if self.is_daily() && count >= self.per_day {
            Verdict::DayUsed
        } else {
            Verdict::Passed
        };
        let passed = verdict == Verdict::Passed;
        let after = Used {
            tat_us: if passed { next } else { tat },
            day,
            count: if passed {
                count.saturating_add(1)
            } else {
                count
            },
        };
        (verdict, after)
    }

    /// The numbers after a step.
    pub(super) fn tell(&self, used: &Used, verdict: Verdict, now_us: i64) -> Counted {
        let waiting = used.tat_us.saturating_sub(now_us).max(0);
        let free = self.window_us().saturating_sub(waiting);
        let rate = (self.interval_us > 0).then(|| Left {
            quota: whole(self.burst),
            window_s: seconds(self.window_us()),
            remaining: whole(free.checked_div(self.interval_us).unwrap_or(0)),
            reset_s: seconds(waiting),
        });
        let midnight = used.day.saturating_add(1).saturating_mul(DAY_US);
        let day = self.is_daily().then(|| Left {
            quota: whole(self.per_day),
            window_s: whole(DAY_US / 1_000_000),
            remaining: whole(self.per_day.saturating_sub(used.count)),
            reset_s: seconds(midnight.saturating_sub(now_us)),
        });
        let retry_after_s = match verdict {
            Verdict::Passed => 0,
            Verdict::TooFast => seconds(self.interval_us.saturating_sub(free)).max(1),
            Verdict::DayUsed => day.map_or(1, |day| day.reset_s).max(1),
        };
        Counted {
            verdict,
            rate,
            day,
            retry_after_s,
        }
    }
}

impl Counted {
    /// The header `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> String {
        self.list(|left| format!("q={};w={}", left.quota, left.window_s))
    }

    /// The header `RateLimit`.
    pub fn state(&self) -> String {
        self.list(|left| format!("r={};t={}", left.remaining, left.reset_s))
    }

    fn list(&self, of: impl Fn(&Left) -> String) -> String {
        let mut text = String::new();
        for (name, left) in [("burst", &self.rate), ("day", &self.day)] {
            let Some(left) = left else { continue };
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&format!("\"{name}\";{}", of(left)));
        }
        text
    }
}

/// Seconds, rounded up.
fn seconds(us: i64) -> u64 {
    whole(us.saturating_add(999_999).div_euclid(1_000_000))
}

fn whole(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(per_minute: u32, burst: i64, per_day: i64) -> Quota {
        Quota {
            interval_us: MINUTE_US.checked_div(i64::from(per_minute)).unwrap(),
            burst,
            per_day,
        }
    }

    /// A step whose outcome is kept as it should be.
    fn step(quota: &Quota, used: &mut Used, now_us: i64) -> Verdict {
        let (verdict, after) = quota.step(used, now_us);
        if verdict == Verdict::Passed {
            *used = after;
        }
        verdict
    }

    const NOON: i64 = 20_000 * DAY_US + DAY_US / 2;

    #[test]
    fn a_burst_passes_and_the_next_one_after_its_space() {
        let (quota, mut used) = (quota(60, 3, 0), Used::default());
        for _ in 0..3 {
            assert_eq!(step(&quota, &mut used, NOON), Verdict::Passed);
        }
        let verdict = step(&quota, &mut used, NOON);
        let told = quota.tell(&used, verdict, NOON);
        assert_eq!((verdict, told.retry_after_s), (Verdict::TooFast, 1));
        assert_eq!(told.state(), "\"burst\";r=0;t=3");
        assert_eq!(told.policy(), "\"burst\";q=3;w=3");
        // The near miss, and the moment itself.
        assert_eq!(step(&quota, &mut used, NOON + 999_999), Verdict::TooFast);
        assert_eq!(step(&quota, &mut used, NOON + 1_000_000), Verdict::Passed);
    }

    #[test]
    fn a_day_ends_at_midnight_and_what_was_refused_costs_nothing() {
        let (quota, mut used) = (quota(6_000, 100, 2), Used::default());
        assert_eq!(step(&quota, &mut used, NOON), Verdict::Passed);
        assert_eq!(step(&quota, &mut used, NOON), Verdict::Passed);
        let before = used;
        assert_eq!(step(&quota, &mut used, NOON), Verdict::DayUsed);
        assert_eq!(used, before);
        let told = quota.tell(&used, Verdict::DayUsed, NOON);
        assert_eq!(told.retry_after_s, 43_200);
        assert!(told.state().ends_with("\"day\";r=0;t=43200"));
        let midnight = 20_001 * DAY_US;
        assert_eq!(step(&quota, &mut used, midnight - 1), Verdict::DayUsed);
        assert_eq!(step(&quota, &mut used, midnight), Verdict::Passed);
        assert_eq!(used.count, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_day_back_and_does_not_close_for_long() {
        let (quota, mut used) = (quota(60, 1, 2), Used::default());
        assert_eq!(step(&quota, &mut used, NOON), Verdict::Passed);
        let yesterday = NOON - DAY_US;
        assert_eq!(step(&quota, &mut used, yesterday), Verdict::TooFast);
        assert_eq!(
            step(&quota, &mut used, yesterday + 1_000_000),
            Verdict::Passed
        );
        assert_eq!(
            step(&quota, &mut used, yesterday + 9_000_000),
            Verdict::DayUsed
        );
    }
}
