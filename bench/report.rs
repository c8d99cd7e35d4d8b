//! What came out: `target/bench/report.json` for machines, a table for people.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

/// A bound a figure is held against.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound:.2}"),
            Self::AtMost(bound) => format!("≤ {bound:.2}"),
        }
    }
}

/// A key of the report: what must hold now, and the goal of the design.
struct Held {
    key: &'static str,
    question: &'static str,
    now: Bound,
    goal: Bound,
}

const HELD: [Held; 21] = [
    held(
        "sealed_share_of_bare_crypto",
        "sealed exchange, share of its bare cryptography",
        Bound::AtLeast(0.80),
        Bound::AtLeast(0.90),
    ),
    held(
        "sealed_jose_share_of_bare_crypto",
        "… in the envelope jose, RSA-2048",
        Bound::AtLeast(0.80),
        Bound::AtLeast(0.90),
    ),
    held(
        "sealed_p256_share_of_bare_crypto",
        "… in the envelope jose, P-256",
        Bound::AtLeast(0.50),
        Bound::AtLeast(0.60),
    ),
    held(
        "evidence_required_vs_off",
        "sealed exchange with evidence required, exchanges per second against without",
        Bound::AtLeast(0.90),
        Bound::AtLeast(0.90),
    ),
    held(
        "evidence_bytes_per_record",
        "growth of the evidence log, bytes a record, index and tree included",
        Bound::AtMost(6_000.0),
        Bound::AtMost(4_500.0),
    ),
    held(
        "relay_vs_nginx",
        "mutual-TLS relay, requests per CPU second, against nginx",
        Bound::AtLeast(0.90),
        Bound::AtLeast(1.0),
    ),
    held(
        "relay_vs_haproxy",
        "… against HAProxy",
        Bound::AtLeast(1.0),
        Bound::AtLeast(1.0),
    ),
    held(
        "relay_p99_vs_nginx",
        "p99 at half of nginx's highest rate, against nginx",
        Bound::AtMost(1.0),
        Bound::AtMost(1.0),
    ),
    held(
        "connections_vs_nginx",
        "new mutual-TLS connections per CPU second, against nginx",
        Bound::AtLeast(1.0),
        Bound::AtLeast(1.5),
    ),
    held(
        "connections_vs_haproxy",
        "… against HAProxy",
        Bound::AtLeast(1.0),
        Bound::AtLeast(1.5),
    ),
    held(
        "websub_intake_per_s",
        "WebSub deliveries stored durably and answered, a second",
        Bound::AtLeast(2_000.0),
        Bound::AtLeast(2_000.0),
    ),
    held(
        "verify_per_cpu_s",
        "/verify through the handler opencrvs, per CPU second of the partner's gateway",
        Bound::AtLeast(500.0),
        Bound::AtLeast(500.0),
    ),
    held(
        "verify_vs_node",
        "… against a Node service that does what OpenCRVS' middleware does",
        Bound::AtLeast(5.0),
        Bound::AtLeast(5.0),
    ),
    held(
        "verify_vs_node_keys_once",
        "… that reads its keys once, which the middleware does not",
        Bound::AtLeast(1.0),
        Bound::AtLeast(1.0),
    ),
    held(
        "replicas_two_vs_one",
        "two replicas with generator and Redis on two cores, exchanges a second against one",
        Bound::AtLeast(1.0),
        Bound::AtLeast(1.0),
    ),
    held(
        "replicas_two_vs_one_per_cpu",
        "… exchanges per CPU second against one",
        Bound::AtLeast(0.80),
        Bound::AtLeast(0.90),
    ),
    held(
        "policy_decision_us_10",
        "one decision of ten rules, microseconds",
        Bound::AtMost(100.0),
        Bound::AtMost(50.0),
    ),
    held(
        "policy_decision_us_100",
        "one decision of a hundred rules, microseconds",
        Bound::AtMost(500.0),
        Bound::AtMost(100.0),
    ),
    held(
        "ready_s",
        "start to /readyz, seconds",
        Bound::AtMost(1.0),
        Bound::AtMost(1.0),
    ),
    held(
        "idle_1000_mib",
        "resident at 1,000 idle partner connections, MiB",
        Bound::AtMost(64.0),
        Bound::AtMost(64.0),
    ),
    held(
        "rss_after_mib",
        "resident after the bench, MiB",
        Bound::AtMost(64.0),
        Bound::AtMost(64.0),
    ),
];

const fn held(key: &'static str, question: &'static str, now: Bound, goal: Bound) -> Held {
    Held {
        key,
        question,
        now,
        goal,
    }
}

/// Figures and where they come from.
#[derive(Debug, Default)]
pub struct Report {
    figures: Map<String, Value>,
    detail: Map<String, Value>,
}

impl Report {
    pub fn figure(&mut self, key: &str, value: f64) {
        assert!(HELD.iter().any(|h| h.key == key), "{key} is not a key");
        self.figures.insert(key.to_owned(), json!(rounded(value)));
    }

    pub fn detail(&mut self, key: &str, value: Value) {
        self.detail.insert(key.to_owned(), value);
    }

    pub fn write(&self, file: &Path) {
        let mut report = self.figures.clone();
        report.insert("detail".to_owned(), Value::Object(self.detail.clone()));
        let text = serde_json::to_string_pretty(&report).unwrap();
        fs::write(file, text + "\n").unwrap();
    }

    pub fn print(&self) {
        println!(
            "\n{:>9}  {:>7}  {:>7}  {:18} question",
            "figure", "now", "goal", "verdict"
        );
        for held in &HELD {
            let Some(figure) = self.figures.get(held.key).and_then(Value::as_f64) else {
                continue;
            };
            let verdict = match (held.goal.holds(figure), held.now.holds(figure)) {
                (true, _) => "✓ goal",
                (false, true) => "~ now, not the goal",
                (false, false) => "✗ falls short",
            };
            let (now, goal) = (held.now.text(), held.goal.text());
            println!(
                "{figure:>9.3}  {now:>7}  {goal:>7}  {verdict:18} {} ({})",
                held.question, held.key
            );
        }
    }
}

/// Four digits say all that such a measurement can.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        f64::midpoint(values[half - 1], values[half])
    }
}
