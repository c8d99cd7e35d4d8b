//! kill -9 of either gateway at every step of a birth, and a new start: the registration is confirmed, once, and nothing is
//! parked.
//!
//! `TRISEAL_KILLS` says how many kills there are; `cargo test -- --ignored two_hundred_kills` makes 200.

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use super::setup::{Crvs, Point, REGISTER, Record};
use crate::harness::within;

/// Where the birth is when a gateway dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The registration has been sent; its answer may not come.
    Registering,
    /// In the midst of createPacket.
    Packet,
    /// A moment after it.
    PacketMade,
    /// In the midst of workflowinstance.
    Workflow,
    /// A moment after it.
    WorkflowStarted,
    /// The hub is delivering; its answer may not come.
    Delivering,
    /// In the midst of the confirmation.
    Confirming,
    /// A moment after it.
    ConfirmAnswered,
}

const STEPS: [Step; 8] = [
    Step::Registering,
    Step::Packet,
    Step::PacketMade,
    Step::Workflow,
    Step::WorkflowStarted,
    Step::Delivering,
    Step::Confirming,
    Step::ConfirmAnswered,
];

#[derive(Clone, Copy, Debug)]
enum Victim {
    Crvs,
    Misp,
}

fn points(crvs: &Crvs) -> Receiver<Point> {
    let (told, tell) = channel();
    let told = Mutex::new(told);
    *crvs.watch.lock().unwrap() = Some(Box::new(move |point| {
        let _ = told.lock().unwrap().send(point);
        // The answer is late, so that a kill comes in the midst of the call.
        thread::sleep(Duration::from_millis(120));
    }));
    tell
}

/// Waits until something happens.
fn wait(points: &Receiver<Point>, wanted: Point) {
    while let Ok(point) = points.recv_timeout(Duration::from_secs(90)) {
        if point == wanted {
            return;
        }
    }
    panic!("{wanted:?} never came");
}

fn kill(crvs: &mut Crvs, victim: Victim) {
    match victim {
        Victim::Crvs => {
            crvs.site.crvs().process().signal("KILL");
            crvs.start_crvs();
        }
        Victim::Misp => {
            crvs.site.misp().process().signal("KILL");
            crvs.site.start_misp();
        }
    }
}

/// One birth during which a gateway dies.
fn birth(crvs: &mut Crvs, step: Step, victim: Victim) {
    let record = Record::birth();
    let points = points(crvs);
    let vid = "2707925500";
    let register = |crvs: &Crvs| {
        let token = record.token(crvs);
        within(Duration::from_secs(60), || {
            // Whoever got no answer asks again, as country configuration does.
            let answer = crvs.post(REGISTER, Some(&token), &record.body())?;
            (answer.status == 202).then_some(())
        })
        .unwrap_or_else(|| panic!("never taken: {step:?} {victim:?}"));
    };
    if step == Step::Registering {
        let (token, body, port) = (record.token(crvs), record.body(), crvs.site.service_face());
        let asking = thread::spawn(move || send(port, &token, &body));
        thread::sleep(Duration::from_millis(u64::from(
            record.number.as_bytes()[9] % 5,
        )));
        kill(crvs, victim);
        let _ = asking.join();
    }
    register(crvs);
    match step {
        Step::Packet => {
            wait(&points, Point::PacketAsked);
            kill(crvs, victim);
        }
        Step::PacketMade => {
            wait(&points, Point::PacketAsked);
            thread::sleep(Duration::from_millis(125));
            kill(crvs, victim);
        }
        Step::Workflow => {
            wait(&points, Point::WorkflowAsked);
            kill(crvs, victim);
        }
        Step::WorkflowStarted => {
            wait(&points, Point::WorkflowAsked);
            thread::sleep(Duration::from_millis(125));
            kill(crvs, victim);
        }
        _ => {}
    }
    let id = crvs.at_mosip(&record.number);
    let event = format!("event-of-{}", record.number);
    if step == Step::Delivering {
        thread::scope(|scope| {
            let shared: &Crvs = crvs;
            let delivering = scope.spawn(|| shared.deliver(&event, &id, &record.subject(vid)));
            thread::sleep(Duration::from_millis(3));
            match victim {
                Victim::Crvs => shared.site.crvs().process().signal("KILL"),
                Victim::Misp => shared.site.misp().process().signal("KILL"),
            }
            let _ = delivering.join();
        });
        kill(crvs, victim);
    }
    // The hub delivers until it has a yes.
    within(Duration::from_secs(30), || {
        (crvs.deliver(&event, &id, &record.subject(vid)) == Some(202)).then_some(())
    })
    .unwrap_or_else(|| panic!("the delivery is never taken: {step:?} {victim:?}"));
    if step == Step::Confirming {
        wait(&points, Point::ConfirmAsked);
        kill(crvs, victim);
    }
    if step == Step::ConfirmAnswered {
        wait(&points, Point::ConfirmAsked);
        thread::sleep(Duration::from_millis(125));
        kill(crvs, victim);
    }
    let done = crvs.standing(&record.key(), "done");
    assert_eq!(done["step"], "confirmed", "{step:?} {victim:?}");
    // Once: one packet, one workflow, and however often core was asked, it was one and the same confirmation.
    assert_eq!(
        crvs.transactions(&record.number),
        [id],
        "{step:?} {victim:?}"
    );
    let confirmations = crvs.confirmations(&record.action);
    assert!(!confirmations.is_empty());
    assert!(
        confirmations
            .iter()
            .all(|c| c.body == confirmations[0].body),
        "{step:?} {victim:?}"
    );
    let input = &confirmations[0].json()["0"]["json"];
    assert_eq!(input["declaration"], json!({"child.nid": vid}));
}

/// Sends a registration and does not care for the answer.
fn send(port: u16, token: &str, body: &[u8]) {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    let head = format!(
        "POST {REGISTER} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut [0; 64]);
}

fn kills(name: &str, times: usize) {
    let mut crvs = Crvs::started(name, "");
    for n in 0..times {
        let step = STEPS[n % STEPS.len()];
        let victim = if (n / STEPS.len()).is_multiple_of(2) {
            Victim::Crvs
        } else {
            Victim::Misp
        };
        birth(&mut crvs, step, victim);
    }
    let parked = crvs.command(&["list", "--standing", "parked", "--json"]);
    assert_eq!(
        (parked.code, parked.out.as_str()),
        (0, ""),
        "nothing is parked"
    );
    let open = crvs.command(&["list", "--standing", "open", "--json"]);
    assert_eq!((open.code, open.out.as_str()), (0, ""), "nothing is left");
    let config = crvs.site.path("crvs/gateway.toml").display().to_string();
    let args = [
        "deliveries",
        "--config",
        &config,
        "list",
        "--standing",
        "parked",
    ];
    assert_eq!(crate::harness::triseal(args).out, "");
}

fn times(usual: usize) -> usize {
    std::env::var("TRISEAL_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usual)
}

#[test]
fn a_birth_is_confirmed_once_whichever_gateway_is_killed_at_whichever_step() {
    kills("opencrvs-kills", times(16));
}

#[test]
#[ignore = "takes many minutes"]
fn two_hundred_kills() {
    kills("opencrvs-200-kills", times(200));
}
