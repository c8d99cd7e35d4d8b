//! Both engines against one simple model, and the server's own ways to go wrong.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "tests: an overflow is a failed test"
)]

use std::time::Duration;

use proptest::prelude::*;

use super::{
    counters::Counters,
    quota::{DAY_US, Quota, Verdict},
    testing::Server,
    *,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn quota(per_minute: Option<u32>, burst: u32, per_day: Option<u64>) -> Quota {
    Quota {
        interval_us: per_minute.map_or(0, |n| 60_000_000 / i64::from(n)),
        burst: i64::from(burst),
        per_day: per_day.map_or(0, |n| i64::try_from(n).unwrap()),
    }
}

/// A bucket of time: what is asked costs one space, and time fills it up to the burst. A day is a number.
#[derive(Default)]
struct Model {
    begun: bool,
    credit_us: i64,
    at_us: i64,
    day: i64,
    count: i64,
}

impl Model {
    fn ask(&mut self, quota: &Quota, now_us: i64) -> Verdict {
        let full = quota.interval_us * quota.burst;
        if self.begun && self.credit_us + (now_us - self.at_us) < 0 {
            // The clock was set back: what was owed is forgiven but for one whole bucket.
            (self.credit_us, self.at_us) = (0, now_us);
        }
        let credit = if self.begun {
            (self.credit_us + (now_us - self.at_us)).clamp(0, full)
        } else {
            full
        };
        let today = now_us / DAY_US;
        let (day, count) = if today > self.day {
            (today, 0)
        } else {
            (self.day, self.count)
        };
        if quota.interval_us > 0 && credit < quota.interval_us {
            return Verdict::TooFast;
        }
        if quota.per_day > 0 && count >= quota.per_day {
            return Verdict::DayUsed;
        }
        *self = Self {
            begun: true,
            credit_us: credit - quota.interval_us,
            at_us: now_us,
            day,
            count: count + 1,
        };
        Verdict::Passed
    }
}

fn steps() -> impl Strategy<Value = Vec<(i64, bool)>> {
    let pause = prop_oneof![
        6 => 0..1_500_i64,
        2 => 1_500..30_000_i64,
        1 => -5_000..0_i64,
        1 => 3_600_000..50_000_000_i64,
    ];
    proptest::collection::vec((pause, any::<bool>()), 1..60)
}

fn quotas() -> impl Strategy<Value = Quota> {
    (
        proptest::option::of(1..2_000_u32),
        1..6_u32,
        proptest::option::of(1..20_u64),
    )
        .prop_map(|(per_minute, burst, per_day)| match (per_minute, per_day) {
            (None, None) => quota(Some(60), burst, None),
            _ => quota(per_minute, burst, per_day),
        })
}

const NOON: Moment = Moment::from_ms(20_000 * 86_400_000 + 43_200_000);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quotas_in_this_process_are_those_of_the_model(quota in quotas(), steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::open(folder.path()).unwrap();
        let (mut model, mut now) = (Model::default(), NOON);
        for (pause, _) in steps {
            now = now.plus_ms(pause);
            let counted = counters.count("p", "r", &quota, now).unwrap();
            prop_assert_eq!(counted.verdict, model.ask(&quota, now.ms() * 1000));
        }
    }
}

#[test]
fn quotas_of_two_gateways_on_one_server_are_those_of_the_model() {
    let server = Server::start();
    let clock = Clock::system();
    let engines = [(); 2].map(|()| {
        // Quotas go by this hand; the connection's clock is looked at rarely and is far off on purpose.
        let hand = Clock::standing_at(clock.now());
        (Server::engine(&server.settings(), &hand), hand)
    });
    let runtime = runtime();
    let case = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let base = clock.now();
    let small = steps().prop_map(|steps| {
        // The server is given up by a gateway whose clock is more than ten minutes off.
        let near = |(pause, which): (i64, bool)| (pause.clamp(-5_000, 9_000), which);
        steps.into_iter().map(near).collect::<Vec<_>>()
    });
    proptest::test_runner::TestRunner::new(config)
        .run(&(quotas(), small), |(quota, steps)| {
            case.set(case.get() + 1);
            let (mut model, mut now) = (Model::default(), base);
            for (pause, which) in steps {
                now = now.plus_ms(pause);
                let (engine, hand) = &engines[usize::from(which)];
                hand.set(now);
                let route = format!("r{}", case.get());
                let counted = runtime.block_on(engine.count("p", &route, &quota));
                let counted = counted.map_err(|gone| TestCaseError::fail(gone.why))?;
                prop_assert_eq!(counted.verdict, model.ask(&quota, now.ms() * 1000));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_lease_is_one_gateways_until_it_is_given_back_and_only_by_its_word() {
    let server = Server::start();
    let engine = Server::engine(&server.settings(), &Clock::system());
    runtime().block_on(async {
        assert!(engine.lease("x", "one", 60_000).await.unwrap());
        assert!(!engine.lease("x", "two", 60_000).await.unwrap());
        engine.release("x", "two").await.unwrap();
        assert!(!engine.lease("x", "two", 60_000).await.unwrap());
        engine.release("x", "one").await.unwrap();
        assert!(engine.lease("x", "two", 60_000).await.unwrap());
    });
}

#[test]
fn a_token_lies_there_encrypted_and_opens_under_the_same_key_alone() {
    let server = Server::start();
    let engine = Server::engine(&server.settings(), &Clock::system());
    let tokens = |byte: u8| {
        let keys = [Arc::new(crate::keys::Secret::new(vec![byte; 32]))];
        Tokens::new(&keys, &engine).unwrap().unwrap()
    };
    runtime().block_on(async {
        let (one, other) = (tokens(1), tokens(2));
        let Ok(Found::Turn(turn)) = one.find("t", |_| true).await else {
            panic!("not our turn");
        };
        one.leave(turn, b"CANARY-token", 60_000).await;
        let lying = engine.get("t").await.unwrap().unwrap();
        assert!(!lying.windows(6).any(|w| w == b"CANARY"));
        let found = one.find("t", |text| text == b"CANARY-token").await;
        assert!(matches!(found, Ok(Found::Token(_))));
        // Another key: as if there were none, and it is our turn again.
        assert!(matches!(
            other.find("t", |_| true).await,
            Ok(Found::Turn(_))
        ));
    });
}

#[test]
fn a_server_that_may_forget_is_not_used() {
    let server = Server::start();
    let clock = Clock::system();
    let engine = Server::engine(&server.settings(), &clock);
    let socket = server.folder().join("redis.sock");
    let set = |name: &str, value: &str| {
        let status = std::process::Command::new("redis-cli")
            .args(["-s"])
            .arg(&socket)
            .args(["config", "set", name, value])
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    assert!(engine.gone().is_none());
    set("maxmemory", "100mb");
    set("maxmemory-policy", "allkeys-lru");
    let second = Server::engine(&server.settings(), &clock);
    let (_, why) = second.gone().unwrap();
    assert!(why.contains("noeviction"), "{why}");
    set("maxmemory-policy", "noeviction");
    assert!(Server::engine(&server.settings(), &clock).gone().is_none());
}

#[test]
fn a_server_whose_clock_is_off_is_not_used() {
    let server = Server::start();
    let ahead = Clock::standing_at(Clock::system().now().plus_ms(700_000));
    let engine = Server::engine(&server.settings(), &ahead);
    let (_, why) = engine.gone().unwrap();
    assert!(why.contains("clock"), "{why}");
}

#[test]
fn what_the_server_forgot_is_refused_by_its_time_and_going_on_alone_ends() {
    let mut server = Server::start();
    let real = Clock::system();
    let hand = Clock::standing_at(real.now());
    let settings = Settings {
        alone_for_ms: Some(60_000),
        ..server.settings()
    };
    let engine = Server::engine(&settings, &hand);
    let runtime = runtime();
    let take = |n: u8, t: Moment| runtime.block_on(engine.take(&[n; 16], t, 60_000));
    let t = real.now().plus_ms(2_000);
    assert_eq!(take(1, t).unwrap(), Taken::First);
    assert_eq!(take(1, t).unwrap(), Taken::Before);
    server.kill();
    let gone = take(2, t).unwrap_err();
    assert_eq!(gone.alone_ms, Some(60_000));
    assert!(gone.may_go_on().is_ok());
    hand.set(hand.now().plus_ms(60_001));
    let gone = take(2, t).unwrap_err();
    assert_eq!(gone.alone_ms, Some(0));
    assert_eq!(gone.may_go_on().unwrap_err().code(), Code::SharedGone);
    // Taken alone meanwhile: told to the server before anybody may use it again.
    let far = real.now().plus_ms(3_600_000);
    engine.took_alone([9; 16], far);
    std::thread::sleep(Duration::from_secs(3));
    server.begin();
    let began = std::time::Instant::now();
    while engine.gone().is_some() {
        assert!(began.elapsed() < Duration::from_secs(20), "not there again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(matches!(take(1, t).unwrap(), Taken::Closed(floor) if floor >= t));
    assert_eq!(take(9, far).unwrap(), Taken::Before);
    assert_eq!(take(3, far).unwrap(), Taken::First);
}
