use super::*;

const DAY: i64 = 86_400_000;

fn narrowed(
    file: (State, Option<&str>, Option<&str>),
    term: Term,
) -> (State, Option<String>, Option<String>) {
    let (mut state, from, until) = file;
    let (mut from, mut until) = (from.map(str::to_owned), until.map(str::to_owned));
    term.narrow(&mut state, &mut from, &mut until);
    (state, from, until)
}

fn term(state: State, from: Option<i64>, until: Option<i64>) -> Term {
    Term {
        state,
        from_ms: from,
        until_ms: until,
    }
}

#[test]
fn of_two_states_the_worse_holds_whoever_says_it() {
    for (file, event, result) in [
        (State::Active, State::Inactive, State::Inactive),
        (State::Inactive, State::Active, State::Inactive),
        (State::Deleted, State::Active, State::Deleted),
        (State::Active, State::Active, State::Active),
    ] {
        assert_eq!(
            narrowed((file, None, None), term(event, None, None)).0,
            result
        );
    }
}

#[test]
fn a_span_is_never_widened() {
    let file = (
        State::Active,
        Some("1970-01-03T00:00:00Z"),
        Some("1970-01-05T00:00:00Z"),
    );
    let wider = term(State::Active, Some(0), Some(9 * DAY));
    let (_, from, until) = narrowed(file, wider);
    assert_eq!(from.as_deref(), file.1);
    assert_eq!(until.as_deref(), file.2);
    let narrower = term(State::Active, Some(3 * DAY), Some(3 * DAY + 1));
    let (_, from, until) = narrowed(file, narrower);
    assert_eq!(from.as_deref(), Some("1970-01-04T00:00:00Z"));
    assert_eq!(until.as_deref(), Some("1970-01-04T00:00:00.001Z"));
}

#[test]
fn spans_with_nothing_in_common_are_over_and_no_mistake() {
    let file = (State::Active, Some("1970-01-03T00:00:00Z"), None);
    let (_, from, until) = narrowed(file, term(State::Active, None, Some(DAY)));
    assert_eq!(from, until);
    assert_eq!(until.as_deref(), Some("1970-01-02T00:00:00Z"));
}

#[test]
fn an_end_beyond_all_years_is_written_as_one_that_can_be_read() {
    let far = text(i64::MAX);
    assert!(moment(Some(&far)).is_some(), "{far}");
}

#[test]
fn a_change_reads_back_as_written_and_only_under_its_own_key() {
    let change = Change {
        at_ms: 7,
        source: "event PARTNER_UPDATED".to_owned(),
        fact: Fact::Partner {
            partner: "partner-1".to_owned(),
            term: term(State::Inactive, None, None),
        },
    };
    let entry = |key: &str| Entry {
        kind: ENTRY_KIND.to_owned(),
        key: key.to_owned(),
        body: change.to_body().unwrap().into(),
        revision: 3,
        updated: Moment::from_ms(9),
    };
    let (changes, unreadable) = Changes::read(&[entry(&change.key())]);
    assert_eq!(changes.get("partner/partner-1"), Some(&change));
    assert!(unreadable.is_empty());
    let (changes, unreadable) = Changes::read(&[entry("partner/partner-2")]);
    assert!(changes.is_empty());
    assert_eq!(unreadable, ["partner/partner-2"]);
}
