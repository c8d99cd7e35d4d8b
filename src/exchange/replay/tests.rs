//! Both engines against one rule: whatever comes to whichever gateway, and however the clock goes, nothing is taken twice; and what is
//! fresh and new is taken.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "tests: an overflow is a failed test"
)]

use std::{collections::HashSet, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    clock::Clock,
    envelope::{Window, sha256},
    shared::testing::Server,
};

const WINDOW: Window = Window {
    back_ms: 60_000,
    forward_ms: 30_000,
};

struct Gateways {
    guards: Vec<(ReplayGuard, tempfile::TempDir)>,
    engines: Vec<Arc<Redis>>,
    runtime: tokio::runtime::Runtime,
}

impl Gateways {
    fn new(engines: Vec<Arc<Redis>>) -> Self {
        let guard = |_| {
            let folder = tempfile::tempdir().unwrap();
            let guard = ReplayGuard::fresh(folder.path(), WINDOW, 10_000).unwrap();
            (guard, folder)
        };
        Self {
            guards: (0..engines.len().max(1)).map(guard).collect(),
            engines,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    fn take(&self, which: usize, digest: &[u8; 32], t: Moment, now: Moment) -> Result<(), Code> {
        let which = which % self.guards.len();
        let guard = &self.guards[which].0;
        let taken = match self.engines.get(which) {
            None => guard.admit("p", digest, t, now),
            Some(redis) => {
                let taking = among_all(guard, redis, "p", digest, t, now);
                WINDOW
                    .check(t, now)
                    .and_then(|()| self.runtime.block_on(taking))
            }
        };
        taken.map_err(|refusal| refusal.code())
    }
}

/// What comes: to which gateway, which of the messages so far (or a new one), how far its clock is from ours, and how far time went.
type Step = (bool, Option<prop::sample::Index>, i64, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moves = prop_oneof![8 => 0..3_000_i64, 1 => 3_000..20_000_i64, 1 => -4_000..0_i64];
    let step = (
        any::<bool>(),
        proptest::option::of(any::<prop::sample::Index>()),
        -59_000..29_000_i64,
        moves,
    );
    proptest::collection::vec(step, 1..40)
}

fn check(
    gateways: &Gateways,
    base: Moment,
    salt: u64,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let (mut now, mut latest) = (base, base);
    let mut messages: Vec<([u8; 32], Moment)> = Vec::new();
    let (mut taken, mut asked) = (HashSet::new(), HashSet::new());
    for (n, (which, old, apart, moved)) in steps.into_iter().enumerate() {
        now = now.plus_ms(moved);
        latest = latest.max(now);
        let (digest, t) = match old {
            Some(index) if !messages.is_empty() => *index.get(&messages),
            _ => {
                let t = now.plus_ms(apart);
                let digest = sha256(format!("{salt} {n} {}", t.ms()).as_bytes());
                messages.push((digest, t));
                (digest, t)
            }
        };
        let verdict = gateways.take(usize::from(which), &digest, t, now);
        let new = !taken.contains(&digest);
        match verdict {
            Ok(()) => {
                prop_assert!(new, "taken twice");
                prop_assert!(WINDOW.check(t, now).is_ok());
                taken.insert(digest);
            }
            Err(Code::Stale | Code::FromTheFuture) => {
                prop_assert!(
                    WINDOW.check(t, now).is_err(),
                    "fresh, and refused for its time"
                );
            }
            // A server remembers what the gateway then refused for its clock.
            Err(Code::Replayed) => {
                prop_assert!(!new || asked.contains(&digest), "new, and refused as seen");
            }
            // Only a clock that was set back can ask for what is forgotten.
            Err(Code::ReplayClosed) => prop_assert!(now < latest, "closed without a reason"),
            Err(other) => prop_assert!(false, "{other}"),
        }
        asked.insert(digest);
    }
    Ok(())
}

fn run(gateways: &Gateways, base: Moment, cases: u32) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let salt = std::cell::Cell::new(0);
    proptest::test_runner::TestRunner::new(config)
        .run(&steps(), |steps| {
            salt.set(salt.get() + 1);
            check(gateways, base, salt.get(), steps)
        })
        .unwrap();
}

#[test]
fn in_this_process_nothing_is_taken_twice_and_what_is_new_is_taken() {
    for salt in 0..64 {
        let gateways = Gateways::new(Vec::new());
        run(&gateways, Moment::from_s(1_700_000_000 + salt * 100_000), 1);
    }
}

#[test]
fn over_two_gateways_on_one_server_nothing_is_taken_twice_and_what_is_new_is_taken() {
    let server = Server::start();
    let clock = Clock::system();
    // From well beyond what a new server refuses.
    let base = clock.now().plus_ms(100_000);
    for _ in 0..8 {
        let engines = (0..2).map(|_| Server::engine(&server.settings(), &clock));
        let gateways = Gateways::new(engines.collect());
        run(&gateways, base, 1);
    }
}

#[test]
fn a_message_taken_by_one_gateway_is_refused_by_the_other() {
    let server = Server::start();
    let clock = Clock::system();
    let engines = (0..2).map(|_| Server::engine(&server.settings(), &clock));
    let gateways = Gateways::new(engines.collect());
    let now = clock.now().plus_ms(1_000);
    let digest = sha256(b"message");
    assert_eq!(gateways.take(0, &digest, now, now), Ok(()));
    assert_eq!(gateways.take(1, &digest, now, now), Err(Code::Replayed));
    assert_eq!(gateways.take(0, &digest, now, now), Err(Code::Replayed));
}
