//! Seen from outside: health, readiness, metrics.

use crate::harness::Site;

#[test]
fn a_sealed_exchange_is_answered_and_counted() {
    let site = Site::misp_running("health-count");
    let answer = site.ask(&site.auth());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    let count = site
        .misp()
        .metric("triseal_exchanges_total", &["crvs", "answered"]);
    assert!(
        (count - 1.0).abs() < f64::EPSILON,
        "{}",
        site.misp().metrics()
    );
}
