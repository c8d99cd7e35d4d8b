//! Whether something is registered now: a state and two dates, the same for partners, policies, API keys and licences.
//!
//! The order of the questions is MOSIP's (IDA reference 2.2): deleted, switched off, not commenced, expired. Which code
//! each answer becomes differs from thing to thing and stands with the thing.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clock::Moment,
    config::{Report, State},
};

/// A state with its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    state: State,
    valid_from: Option<Moment>,
    valid_until: Option<Moment>,
}

/// What a registration is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// In use.
    Active,
    /// Gone.
    Deleted,
    /// Switched off.
    Inactive,
    /// Its first moment has not come.
    NotCommenced,
    /// Its last moment is over.
    Expired,
}

impl Registered {
    /// The word for logs and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Inactive => "inactive",
            Self::NotCommenced => "not commenced",
            Self::Expired => "expired",
        }
    }
}

impl Registration {
    /// A registration without dates, or with dates that are already moments.
    pub const fn new(
        state: State,
        valid_from: Option<Moment>,
        valid_until: Option<Moment>,
    ) -> Self {
        Self {
            state,
            valid_from,
            valid_until,
        }
    }

    /// Checks what is written. The report stands at the table with `state`, `valid_from` and `valid_until`.
    pub fn build(
        state: State,
        valid_from: Option<&str>,
        valid_until: Option<&str>,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        let this = Self {
            state,
            valid_from: moment(valid_from, "valid_from", report),
            valid_until: moment(valid_until, "valid_until", report),
        };
        if let (Some(from), Some(until)) = (this.valid_from, this.valid_until)
            && from > until
        {
            report.error(
                "valid_until",
                "the last moment lies before the first",
                "Swap or correct the dates.",
            );
        } else if this.at(now) == Registered::Expired {
            report.warning(
                "valid_until",
                format!("expired on {}", valid_until.unwrap_or_default()),
                "Renew it, or set state = \"deleted\" to say that it is meant.",
            );
        }
        this
    }

    /// The state as it is written, whatever the dates say.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What it is at `now`. Both dates belong to the time in which it holds, as in MOSIP and in certificates.
    pub fn at(&self, now: Moment) -> Registered {
        match self.state {
            State::Deleted => Registered::Deleted,
            State::Inactive => Registered::Inactive,
            State::Active if self.valid_from.is_some_and(|from| now < from) => {
                Registered::NotCommenced
            }
            State::Active if self.valid_until.is_some_and(|until| now > until) => {
                Registered::Expired
            }
            State::Active => Registered::Active,
        }
    }

    /// The moments after `now` at which the answer changes by itself; `None` when it never does.
    pub fn next_change(&self, now: Moment) -> Option<Moment> {
        let after_end = self.valid_until.map(|until| until.plus_ms(1));
        [self.valid_from, after_end]
            .into_iter()
            .flatten()
            .filter(|change| *change > now && self.state == State::Active)
            .min()
    }
}

fn moment(text: Option<&str>, field: &str, report: &mut Report<'_>) -> Option<Moment> {
    let text = text?;
    let parsed = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|t| i64::try_from(t.unix_timestamp_nanos().div_euclid(1_000_000)).ok());
    if parsed.is_none() {
        report.error(
            field,
            format!("`{text}` is not a moment"),
            "Write it as RFC 3339 with a zone, such as \"2026-01-31T00:00:00Z\".",
        );
    }
    parsed.map(Moment::from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes};
    use std::path::Path;

    fn at_s(s: i64) -> Moment {
        Moment::from_s(s)
    }

    #[test]
    fn it_holds_from_its_first_moment_to_its_last_and_not_a_millisecond_more() {
        let r = Registration::new(State::Active, Some(at_s(100)), Some(at_s(200)));
        assert_eq!(r.at(at_s(100).plus_ms(-1)), Registered::NotCommenced);
        assert_eq!(r.at(at_s(100)), Registered::Active);
        assert_eq!(r.at(at_s(100).plus_ms(1)), Registered::Active);
        assert_eq!(r.at(at_s(200).plus_ms(-1)), Registered::Active);
        assert_eq!(r.at(at_s(200)), Registered::Active);
        assert_eq!(r.at(at_s(200).plus_ms(1)), Registered::Expired);
    }

    #[test]
    fn the_state_comes_before_the_dates() {
        let past = Some(at_s(1));
        for (state, answer) in [
            (State::Deleted, Registered::Deleted),
            (State::Inactive, Registered::Inactive),
            (State::Active, Registered::Expired),
        ] {
            assert_eq!(Registration::new(state, None, past).at(at_s(5)), answer);
        }
    }

    #[test]
    fn the_next_change_is_the_nearest_date_that_is_still_to_come() {
        let r = Registration::new(State::Active, Some(at_s(100)), Some(at_s(200)));
        assert_eq!(r.next_change(at_s(50)), Some(at_s(100)));
        assert_eq!(r.next_change(at_s(100)), Some(at_s(200).plus_ms(1)));
        assert_eq!(r.next_change(at_s(201)), None);
        let off = Registration::new(State::Inactive, Some(at_s(100)), None);
        assert_eq!(off.next_change(at_s(50)), None);
    }

    fn built(from: Option<&str>, until: Option<&str>) -> Mistakes {
        let mut mistakes = Mistakes::default();
        let document = Document::from_text(Path::new("p.toml"), String::new());
        let mut report = Report::new(&document, &mut mistakes);
        let now = at_s(1_700_000_000);
        Registration::build(State::Active, from, until, &mut report, now);
        mistakes
    }

    #[test]
    fn dates_without_a_zone_or_in_the_wrong_order_are_refused() {
        assert!(built(Some("2026-01-01T00:00:00"), None).refuse());
        assert!(built(Some("2026-01-01"), None).refuse());
        assert!(built(Some("2031-01-01T00:00:00Z"), Some("2030-01-01T00:00:00Z")).refuse());
        assert!(
            built(
                Some("2020-01-01T00:00:00+05:30"),
                Some("2030-01-01T00:00:00Z")
            )
            .0
            .is_empty()
        );
    }

    #[test]
    fn what_has_expired_is_pointed_out_and_not_refused() {
        let mistakes = built(None, Some("2020-01-01T00:00:00Z"));
        assert_eq!((mistakes.0.len(), mistakes.errors()), (1, 0));
    }
}
