//! What a decision of the rules costs, with 10 and with 100 policies about the route: the part that each exchange pays twice.
//!
//! In this process: no socket, no cryptography. Partners, upstreams and routes are those of the gateway under test.

use std::{fmt::Write as _, fs, hint::black_box, net::IpAddr, path::Path, time::Instant};

use serde_json::json;
use triseal::{
    clock::Clock,
    config::Mistakes,
    exchange::Snapshot,
    ida::Factor,
    policy::{
        Facts, Rules,
        rules::{Asked, Hook},
    },
};

use crate::{
    questions::Bench,
    report::{Report, median, rounded},
};

/// Decisions of one round.
const DECISIONS: u32 = 20_000;

impl Bench {
    /// Microseconds of a decision over the content that is allowed, so that every policy is asked.
    pub fn policy(&self, configuration: &Path, report: &mut Report) {
        let clock = Clock::system();
        let (snapshot, mistakes) = Snapshot::build(configuration, &clock, None);
        let snapshot = snapshot.unwrap_or_else(|| panic!("{mistakes}"));
        let folder = configuration.parent().unwrap().join("rules");
        for policies in [10, 100] {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("rules.cedar"), rules(policies)).unwrap();
            let mut mistakes = Mistakes::default();
            let world = snapshot.world(clock.now());
            let rules = Rules::read(&folder, &world, &mut mistakes);
            let rules = rules.unwrap_or_else(|| panic!("{mistakes}"));
            let rounds: Vec<f64> = (0..self.rounds).map(|_| round(&rules, &clock)).collect();
            let us = median(rounds.iter().copied());
            println!("  policy: {policies} policies, {us:.1} us a decision");
            report.figure(&format!("policy_decision_us_{policies}"), us);
            let rounds: Vec<f64> = rounds.into_iter().map(rounded).collect();
            report.detail(
                &format!("policy_{policies}"),
                json!({"decisions": DECISIONS, "hook": "permit", "rounds_us": rounds}),
            );
        }
    }
}

fn round(rules: &Rules, clock: &Clock) -> f64 {
    let asked = Asked {
        partner: "bench",
        route: "ida-kyc",
        method: "POST",
    };
    let source = IpAddr::from([10, 1, 2, 3]);
    let mut facts = Facts::begin(clock.now(), source, "partners", "certificate");
    facts.tls = Some("1.3".to_owned());
    "mosip-ida".clone_into(&mut facts.envelope);
    "off".clone_into(&mut facts.evidence);
    facts.content = true;
    facts.saw_factors(&[Factor::Demo, Factor::Otp]);
    facts.saw_attributes(["fullName", "dateOfBirth", "photo"]);
    let began = Instant::now();
    for _ in 0..DECISIONS {
        let decision = rules
            .decide(Hook::Permit, asked, black_box(&facts))
            .unwrap();
        assert!(decision.allowed, "the bench's rules permit");
        black_box(decision);
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
}

/// One permit, and forbids of the usual kinds that do not hold: who, from where, with what.
fn rules(policies: u32) -> String {
    let mut text = "@id(\"permit\")\npermit (principal is Partner, action in Action::\"handler ida\", resource);\n".to_owned();
    for n in 1..policies {
        let condition = match n % 4 {
            0 => format!(
                "context has factors && context.factors.contains(\"bio-FACE\") && context.hour == {}",
                n % 24
            ),
            1 => format!("context.source.isInRange(ip(\"192.168.{}.0/24\"))", n % 250),
            2 => format!("principal.organisation == \"Organisation {n}\""),
            _ => format!("context has attributes && context.attributes.contains(\"attribute{n}\")"),
        };
        writeln!(
            text,
            "@id(\"forbid-{n}\")\nforbid (principal, action in Action::\"ida-kyc\", resource)\nwhen {{ {condition} }};"
        )
        .unwrap();
    }
    text
}
