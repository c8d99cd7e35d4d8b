//! Deliveries of a WebSub hub: signed, verified, in the store, and only then answered; handed on behind that at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::hmac;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::{
    gateway::{DELIVERY_PATH, HUB_SECRET, TOPIC},
    load::{self, Check, Client, Measured, Next, Pace},
    peers::Server,
    questions::{Bench, describe, progress},
    report::{Report, median},
};

/// Connections of the hub.
const CONNECTIONS: u32 = 64;

/// Bytes of the event's payload: about what an encrypted credential of OpenCRVS has.
const PAYLOAD: usize = 3 << 10;

impl Bench {
    /// Distinct deliveries over keep-alive connections. What a second takes in is the figure: durability costs waiting, not work.
    pub async fn intake(&self, triseal: &Server, report: &mut Report) {
        let client = Client::new(triseal.port, &self.pki);
        let pids = triseal.pids();
        let shape = self.shape(CONNECTIONS, Pace::Closed);
        let number = Arc::new(AtomicU64::new(0));
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            let (next, check) = (deliveries(&client, &number), accepted());
            let seen = load::measure(&client, &pids, self.cores, shape, &next, &check).await;
            progress("websub intake", round, "triseal", &seen);
            rounds.push(seen);
        }
        let per_s = median(rounds.iter().map(Measured::per_wall_s));
        report.figure("websub_intake_per_s", per_s);
        let mut detail = describe(&[triseal], &[rounds]);
        detail["connections"] = json!(CONNECTIONS);
        detail["event_bytes"] = json!(event(0).len());
        detail["store"] = json!("SQLite, WAL, synchronous=FULL, group commit, contents encrypted");
        detail["meanwhile"] = json!("each delivery is claimed, posted to a service and settled");
        report.detail("intake", detail);
    }
}

fn deliveries(client: &Client, number: &Arc<AtomicU64>) -> Next {
    let host = HeaderValue::from_str(&client.host()).unwrap();
    let number = Arc::clone(number);
    let key = hmac::Key::new(hmac::HMAC_SHA256, HUB_SECRET.as_bytes());
    Arc::new(move || {
        let body = event(number.fetch_add(1, Ordering::Relaxed));
        let tag = hmac::sign(&key, body.as_bytes());
        let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let request = Request::post(DELIVERY_PATH)
            .header("host", &host)
            .header("content-type", "application/json")
            .header("x-hub-signature", format!("sha256={hex}"))
            .body(Full::from(body))
            .unwrap();
        Some(request)
    })
}

fn event(number: u64) -> String {
    let payload = "A".repeat(PAYLOAD);
    format!(
        r#"{{"publisher":"BENCH","topic":"{TOPIC}","publishedOn":"2026-01-01T00:00:00.000Z","event":{{"id":"e-{number}","transactionId":"t-{number}","timestamp":"2026-01-01T00:00:00.000Z","data":{{"credential":"{payload}"}}}}}}"#
    )
}

fn accepted() -> Check {
    Arc::new(|head, _| {
        if head.status == StatusCode::ACCEPTED {
            Ok(())
        } else {
            Err(format!("a delivery was answered {}", head.status))
        }
    })
}
