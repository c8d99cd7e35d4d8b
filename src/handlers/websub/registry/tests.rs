use super::*;

fn change(at_ms: i64, state: State, policy: Option<&str>) -> Change {
    Change {
        at_ms,
        source: "event".to_owned(),
        fact: Fact::ApiKey {
            partner: policy.map(|_| "partner-1".to_owned()),
            hash: "h".to_owned(),
            policy: policy.map(str::to_owned),
            term: Term {
                state,
                ..Term::default()
            },
        },
    }
}

#[test]
fn a_newer_event_replaces_and_keeps_what_it_does_not_say() {
    let known = change(5, State::Active, Some("policy-1"));
    let merged = newer(Some(&known), change(6, State::Inactive, None)).unwrap();
    assert_eq!(merged, change_with(6, State::Inactive));
}

fn change_with(at_ms: i64, state: State) -> Change {
    change(at_ms, state, Some("policy-1"))
}

#[test]
fn an_older_event_and_the_same_one_change_nothing() {
    let known = change(5, State::Inactive, Some("policy-1"));
    for at_ms in [4, 5] {
        assert_eq!(
            newer(Some(&known), change(at_ms, State::Active, None)),
            None
        );
    }
}

#[test]
fn of_two_equally_old_events_the_one_that_takes_away_holds() {
    let active = change(5, State::Active, Some("policy-1"));
    assert!(newer(Some(&active), change(5, State::Inactive, None)).is_some());
    let inactive = change(5, State::Inactive, Some("policy-1"));
    assert!(newer(Some(&inactive), change(5, State::Active, None)).is_none());
}
