//! Stops and starts that nobody behind a balancer notices.

use std::{
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use crate::harness::{Site, get, h2, until, within};

const PLAIN: &[u8] = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn misp_with(name: &str, limits: &str) -> Site {
    let mut site = Site::new(name);
    site.limits(limits);
    site.start_misp();
    site
}

#[test]
fn a_stop_is_announced_before_anything_else_changes() {
    let site = misp_with("stop-announced", "stop_delay_ms = 3000\nfarewell_ms = 100");
    let mut client = site.connect();
    assert!(client.ask(&site.auth().wire().http1()).says_yes());
    let began = Instant::now();
    site.misp().process().signal("TERM");
    until("it says that it is not ready", || {
        (site.misp().readyz().status == 503).then_some(())
    });
    assert!(began.elapsed() < Duration::from_secs(2));
    // Alive all the same, and serving old and new connections as before.
    assert_eq!(site.misp().healthz().status, 200);
    for answer in [
        client.ask(&site.auth().wire().http1()),
        site.connect().ask(&site.auth().wire().http1()),
    ] {
        assert!(answer.says_yes());
        assert_eq!(answer.header("connection"), None);
    }
    assert!(client.ends_within(Duration::from_secs(8)));
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert!(site.misp().process().stop_within(Duration::from_secs(8)));
}

#[test]
fn clients_are_asked_to_reconnect_before_a_connection_is_closed() {
    let site = misp_with("stop-farewell", "farewell_ms = 6000");
    let mut client = site.connect();
    assert_eq!(client.ask(PLAIN).header("connection"), None);
    let mut second = site.client().http2().connect(site.partner_face()).unwrap();
    h2::open(&mut second);
    site.misp().process().signal("TERM");
    assert!(site.misp().says("stopping"));
    // HTTP/2 says so at once, HTTP/1.1 with the next answer.
    let goaway = within(Duration::from_secs(5), || {
        (h2::read(&mut second)?.kind == h2::GOAWAY).then_some(())
    });
    assert!(goaway.is_some());
    let last = client.ask(PLAIN);
    assert_eq!(last.header("connection"), Some("close"));
    assert!(client.ends_within(Duration::from_secs(2)));
    // A new connection is served too, once.
    let mut late = site.connect();
    assert_eq!(late.ask(PLAIN).header("connection"), Some("close"));
    assert!(late.ends_within(Duration::from_secs(2)));
}

#[test]
fn what_does_not_end_in_time_is_cut_off_at_the_deadline() {
    let site = misp_with("stop-deadline", "farewell_ms = 0\nstop_timeout_ms = 700");
    let mut client = site.connect();
    let bytes = site.auth().wire().http1();
    client.send(&bytes[..bytes.len() - 10]);
    until("the exchange is under way", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 0.0).then_some(())
    });
    let began = Instant::now();
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert!(site.misp().says("cut off"));
    assert!(client.answer().is_none());
}

#[test]
fn an_idle_connection_does_not_hold_a_stop_up() {
    let site = misp_with("stop-idle", "farewell_ms = 100\nstop_timeout_ms = 60000");
    let mut used = site.connect();
    used.ask(PLAIN);
    let _unused = site.connect();
    assert!(site.misp().process().stop_within(Duration::from_secs(5)));
}

#[test]
fn an_http2_client_that_does_not_hear_its_goaway_does_not_hold_a_stop_up() {
    let site = misp_with("stop-deaf", "farewell_ms = 100\nstop_timeout_ms = 60000");
    let mut deaf = site.client().http2().connect(site.partner_face()).unwrap();
    h2::open(&mut deaf);
    let ask = site.auth();
    deaf.send(&h2::request(&ask.wire(), 1));
    assert!(h2::answer_body(&mut deaf, 1).is_some());
    site.misp().process().signal("TERM");
    // Its pings are not answered, and it opens one stream after the other.
    let mut stream = 3;
    let gone = within(Duration::from_secs(8), || {
        deaf.send(&h2::request(&ask.again().wire(), stream));
        stream += 2;
        std::thread::sleep(Duration::from_millis(50));
        (!site.misp().process().runs()).then_some(())
    });
    assert!(gone.is_some());
}

#[test]
fn a_gateway_that_says_it_is_ready_takes_connections_on_every_face() {
    let mut site = Site::new("ready-means-listening");
    for _ in 0..5 {
        let (admin, face) = {
            let gateway = site.start_misp();
            (gateway.admin(), site.partner_face())
        };
        site.kill_misp();
        let process = site.launch_misp("again");
        until("it is ready", || {
            (get(admin, "/readyz")?.status == 200).then_some(())
        });
        // At the first try.
        TcpStream::connect((Ipv4Addr::LOCALHOST, face)).unwrap();
        assert!(site.connect().ask(PLAIN).status == 404);
        drop(process);
    }
}
