//! Exchanges whose client goes away, or is sent away, while they are under way: each is recorded with all that came of it.

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use triseal::evidence::reader::{Log, Query};

use crate::{
    harness::{Site, TlsClient, h2, until},
    jose::{service::Service, site as jose_site},
};

/// An upstream that tells when it is asked and answers so much later.
fn slow(after: Duration) -> (Service, Receiver<()>) {
    let (told, asked) = channel();
    let service = Service::start(move |_| {
        let _ = told.send(());
        thread::sleep(after);
        (200, Vec::new(), b"late".to_vec())
    });
    (service, asked)
}

fn before(name: &str, port: u16) -> Site {
    let mut site = jose_site::before(name, port);
    site.edit("misp/gateway.toml", |text| {
        let (before, echo) = text.split_once("name = \"echo\"\npath").unwrap();
        let echo = echo.replace("envelope = \"jose\"", "envelope = \"insecure_plain\"");
        format!("{before}name = \"echo\"\npath{echo}")
    });
    // A stop that waits does so for what is under way, not for a farewell.
    site.limits("farewell_ms = 0");
    site.start_misp();
    site
}

#[track_caller]
fn asked(asked: &Receiver<()>) {
    asked.recv_timeout(Duration::from_secs(20)).unwrap();
}

/// The only record there is.
#[track_caller]
fn record(site: &Site) -> Value {
    let leaf = until("the exchange has its record", || {
        let log = Log::open(&site.path("misp/state/evidence")).ok()?;
        let index = *log.find(&Query::default(), 2).ok()?.first()?;
        log.record(index).ok()
    });
    serde_json::from_slice(&leaf).unwrap()
}

/// Asks on HTTP/2, and comes back when the upstream has been asked.
fn ask(site: &Site, upstream: &Receiver<()>) -> TlsClient {
    let mut client = site.client().http2().connect(site.partner_face()).unwrap();
    h2::open(&mut client);
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/echo/a"),
    ];
    let flags = h2::END_HEADERS | h2::END_STREAM;
    client.send(&h2::frame(h2::HEADERS, flags, 1, &h2::block(&fields)));
    asked(upstream);
    client
}

#[test]
fn an_http2_stream_that_its_client_resets_leaves_a_record_with_the_upstreams_answer() {
    const CANCEL: u32 = 8;
    let (service, upstream) = slow(Duration::from_millis(700));
    let site = before("abandoned-stream", service.port);
    let mut client = ask(&site, &upstream);
    client.send(&h2::frame(h2::RST_STREAM, 0, 1, &CANCEL.to_be_bytes()));
    let record = record(&site);
    assert_eq!(record["verdict"], "answered", "{record}");
    assert_eq!(record["upstream"]["status"], 200, "{record}");
}

#[test]
fn an_http2_connection_that_breaks_leaves_a_record_too_and_a_stop_waits_for_it() {
    let (service, upstream) = slow(Duration::from_millis(2500));
    let site = before("abandoned-connection", service.port);
    drop(ask(&site, &upstream));
    site.misp().process().signal("TERM");
    assert!(site.misp().process().stop_within(Duration::from_secs(20)));
    let record = record(&site);
    assert_eq!(record["upstream"]["status"], 200, "{record}");
}

#[test]
fn a_connection_that_is_cut_off_in_an_exchange_ends_and_its_exchange_is_recorded() {
    let (service, upstream) = slow(Duration::from_secs(9));
    let site = before("abandoned-cut", service.port);
    let mut client = site.connect();
    client.send(b"GET /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    asked(&upstream);
    site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    assert!(client.ends_within(Duration::from_secs(8)), "it stays open");
    assert!(site.misp().says("cut off"));
    assert_eq!(site.misp().metric("triseal_exchanges_in_flight", &[]), 1.0);
    let record = record(&site);
    assert_eq!(record["upstream"]["status"], 200, "{record}");
}
