//! Attacks that cost the attacker next to nothing.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::harness::{Site, until};

#[test]
fn connections_that_say_nothing_do_not_keep_partners_out() {
    let mut site = Site::new("silent-strangers");
    site.limits("handshakes_max = 8\nhandshake_timeout_ms = 15000");
    site.start_misp();
    let silent: Vec<TcpStream> = (0..24)
        .map(|_| TcpStream::connect(("127.0.0.1", site.partner_face())).unwrap())
        .collect();
    // Half a hello is no better.
    for mut stream in &silent[12..] {
        std::io::Write::write_all(&mut stream, &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
    }
    let displaced = || {
        site.misp()
            .metric("triseal_handshakes_total", &["displaced"])
    };
    until("the strangers have taken every place", || {
        (displaced() >= 16.0).then_some(())
    });
    let began = Instant::now();
    for _ in 0..3 {
        assert!(site.ask(&site.auth()).says_yes());
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(
        displaced() >= 17.0,
        "a newcomer takes the place of the oldest"
    );
}
