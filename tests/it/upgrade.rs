//! A new process goes on in the place of the old one, and no client can tell.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use triseal::{clock::Clock, edge::handover, exchange::Gateway};

use crate::harness::{Ask, Process, Site, TlsClient, h2, run, until, within};

/// Waits until the new process has taken over and the old one is gone; gives for how long nobody accepted.
#[track_caller]
fn complete(site: &mut Site, new: Process) -> u64 {
    let waited = until("the new process takes over or ends", || {
        let said = new.err();
        assert!(new.runs(), "{said}\n{}", site.misp().process().err());
        let (_, rest) = said.split_once("new connections waited ")?;
        rest.split(' ').next()?.parse().ok()
    });
    let old = site.succeed_misp(new);
    until("the old process is gone", || (!old.runs()).then_some(()));
    assert!(old.err().contains("handed over"), "{}", old.err());
    waited
}

#[test]
fn three_upgrades_under_load_fail_no_exchange() {
    let mut site = Site::new("upgrade-load");
    site.limits("farewell_ms = 500");
    site.start_misp();
    let (over, exchanges) = (AtomicBool::new(false), AtomicU32::new(0));
    let failures = Mutex::new(Vec::new());
    let waits = thread::scope(|scope| {
        let (tls, _) = site.client().config();
        let (tls2, _) = site.client().http2().config();
        let (ask, port) = (site.auth(), site.partner_face());
        for client in 0..6 {
            let (over, exchanges, failures) = (&over, &exchanges, &failures);
            let (ask, tls, tls2) = (ask.again(), tls.clone(), tls2.clone());
            scope.spawn(move || {
                let load = Load {
                    tls: &tls,
                    tls2: &tls2,
                    port,
                    over,
                    exchanges,
                };
                // Two of each: kept alive, a new connection each time, HTTP/2.
                let outcome = match client % 3 {
                    0 => load.kept_alive(&ask),
                    1 => load.each_anew(&ask),
                    _ => load.http2(&ask),
                };
                if let Err(why) = outcome {
                    failures.lock().unwrap().push(format!("{client}: {why}"));
                }
            });
        }
        let site = &mut site;
        let upgrades = thread::Builder::new().spawn_scoped(scope, || {
            let mut waits = Vec::new();
            for round in 0..3 {
                let before = exchanges.load(Ordering::Relaxed);
                until("exchanges go on", || {
                    (exchanges.load(Ordering::Relaxed) > before + 12).then_some(())
                });
                let new = site.launch_upgrade(&format!("misp-{round}"));
                waits.push(complete(site, new));
            }
            let before = exchanges.load(Ordering::Relaxed);
            until("exchanges go on", || {
                (exchanges.load(Ordering::Relaxed) > before + 12).then_some(())
            });
            waits
        });
        let waits = upgrades.unwrap().join();
        over.store(true, Ordering::Relaxed);
        waits
    });
    assert_eq!(*failures.lock().unwrap(), [""; 0]);
    println!(
        "{} exchanges; new connections waited {:?} ms",
        exchanges.load(Ordering::Relaxed),
        waits.unwrap()
    );
}

/// Clients that reconnect when they are told to, and only then.
struct Load<'t> {
    tls: &'t Arc<rustls::ClientConfig>,
    tls2: &'t Arc<rustls::ClientConfig>,
    port: u16,
    over: &'t AtomicBool,
    exchanges: &'t AtomicU32,
}

impl Load<'_> {
    fn kept_alive(&self, ask: &Ask) -> Result<(), String> {
        while !self.over() {
            let mut client = self.connect(self.tls)?;
            let mut n = 0;
            loop {
                client.send(&ask.again().wire().http1());
                let answer = client
                    .answer()
                    .ok_or_else(|| format!("no answer number {n}"))?;
                n += 1;
                self.counted(answer.says_yes(), &answer.code())?;
                if self.over() || answer.header("connection") == Some("close") {
                    break;
                }
            }
        }
        Ok(())
    }

    fn each_anew(&self, ask: &Ask) -> Result<(), String> {
        while !self.over() {
            let mut client = self.connect(self.tls)?;
            client.send(&ask.again().wire().http1());
            let answer = client.answer().ok_or("no answer on a new connection")?;
            self.counted(answer.says_yes(), &answer.code())?;
        }
        Ok(())
    }

    fn http2(&self, ask: &Ask) -> Result<(), String> {
        while !self.over() {
            let mut client = self.connect(self.tls2)?;
            // Whatever the server says first is heard with the first answer.
            client.send(&h2::preface());
            let mut stream = 1;
            while !self.over() {
                client.send(&h2::request(&ask.again().wire(), stream));
                let (body, told) = h2::answer_or_goaway(&mut client, stream);
                match body {
                    Some(body) => {
                        let text = String::from_utf8_lossy(&body).into_owned();
                        self.counted(text.contains(r#""authStatus":true"#), &text)?;
                    }
                    // Told that this stream was not taken: it may be sent again.
                    None if told.is_some_and(|last| last < stream) => break,
                    None => return Err(format!("stream {stream} ended, told {told:?}")),
                }
                if told.is_some() {
                    break;
                }
                stream += 2;
            }
        }
        Ok(())
    }

    fn connect(&self, tls: &Arc<rustls::ClientConfig>) -> Result<TlsClient, String> {
        TlsClient::connect(tls, "localhost", self.port)
    }

    fn counted(&self, yes: bool, what: &str) -> Result<(), String> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        if yes { Ok(()) } else { Err(what.to_owned()) }
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

#[test]
fn a_message_that_the_old_process_accepted_is_a_replay_at_the_new_one() {
    let mut site = Site::misp_running("upgrade-replay");
    let wire = site.auth().wire().http1();
    assert!(site.connect().ask(&wire).says_yes());
    let new = site.launch_upgrade("misp-new");
    let waited = complete(&mut site, new);
    assert_eq!(site.connect().ask(&wire).code(), "FRS-004");
    // And nothing else is: the memory did not begin closed.
    assert!(site.ask(&site.auth()).says_yes());
    assert_eq!(site.misp().readyz().status, 200);
    // Nothing was under way, so that nobody waited for long; the bound is for a busy machine.
    assert!(waited < 3_000, "{waited} ms");
    println!("new connections waited {waited} ms at an idle upgrade");
    // The new one can be upgraded in turn.
    let newer = site.launch_upgrade("misp-newer");
    complete(&mut site, newer);
    assert_eq!(site.connect().ask(&wire).code(), "FRS-004");
}

#[test]
fn a_new_process_with_a_broken_configuration_leaves_the_old_one_serving() {
    let site = Site::misp_running("upgrade-broken");
    let mut kept = site.connect();
    assert!(kept.ask(&site.auth().wire().http1()).says_yes());
    site.append("misp/gateway.toml", "nonsense = true");
    let new = site.launch_upgrade("misp-new");
    until("it ends", || (!new.runs()).then_some(()));
    assert!(new.err().contains("not started"), "{}", new.err());
    // Not even an open connection has noticed.
    let answer = kept.ask(&site.auth().wire().http1());
    assert!(answer.says_yes());
    assert_eq!(answer.header("connection"), None);
}

#[test]
fn a_new_process_that_wants_an_address_it_cannot_have_leaves_the_old_one_serving() {
    let site = Site::misp_running("upgrade-address");
    let mut kept = site.connect();
    assert!(kept.ask(&site.auth().wire().http1()).says_yes());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.replace(
        "misp/gateway.toml",
        &format!("listen = \"127.0.0.1:{}\"", site.partner_face()),
        &format!("listen = \"{}\"", taken.local_addr().unwrap()),
    );
    let new = site.launch_upgrade("misp-new");
    until("it ends", || (!new.runs()).then_some(()));
    assert!(new.err().contains("cannot listen"), "{}", new.err());
    assert!(kept.ask(&site.auth().wire().http1()).says_yes());
}

#[test]
fn a_new_process_that_dies_with_everything_in_its_hands_leaves_the_old_one_serving() {
    let site = Site::misp_running("upgrade-dies");
    let wire = site.auth().wire().http1();
    assert!(site.connect().ask(&wire).says_yes());
    for round in 0..2 {
        let config = site.path("misp/gateway.toml");
        let (snapshot, _) = Gateway::read(&config, &Clock::system()).unwrap();
        let asked = handover::ask(&snapshot.state_folder(), snapshot.config()).unwrap();
        let (sockets, handed, given) = asked.go(snapshot.config()).unwrap();
        assert!(handed.entries() > round);
        // A connection that comes meanwhile waits.
        let tls = site.client();
        let port = site.partner_face();
        let waiting = thread::spawn(move || tls.connect(port).is_ok());
        thread::sleep(Duration::from_millis(200));
        drop((sockets, handed, given));
        assert!(waiting.join().unwrap());
        assert!(site.misp().says("this process goes on"));
        assert_eq!(site.connect().ask(&wire).code(), "FRS-004");
        assert!(site.ask(&site.auth()).says_yes());
        until("it is ready", || {
            (site.misp().readyz().status == 200).then_some(())
        });
    }
}

#[test]
fn a_new_process_that_asks_and_goes_away_disturbs_nobody() {
    let site = Site::misp_running("upgrade-twice");
    let config = site.path("misp/gateway.toml");
    let (snapshot, _) = Gateway::read(&config, &Clock::system()).unwrap();
    let first = handover::ask(&snapshot.state_folder(), snapshot.config()).unwrap();
    drop(first);
    let second = handover::ask(&snapshot.state_folder(), snapshot.config()).unwrap();
    drop(second);
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn a_stranger_is_not_given_the_sockets() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become another user; the rule itself has a unit test.
        return;
    }
    let site = Site::misp_running("upgrade-stranger");
    let door = site.path("misp/state/upgrade.sock");
    let stranger = || {
        let path = door.display().to_string();
        let args = [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "5",
            "--unix-socket",
            &path,
            "http://localhost/",
        ];
        run("setpriv", args, &[], b"")
    };
    assert_eq!(
        fs::metadata(&door).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let kept_out = stranger();
    assert_ne!(kept_out.code, 0, "{}", kept_out.all());
    assert!(!site.misp().process().err().contains("65534"));
    // Somebody has opened the modes: the process behind the file looks for itself.
    for folder in ["misp", "misp/state"] {
        fs::set_permissions(site.path(folder), fs::Permissions::from_mode(0o711)).unwrap();
    }
    fs::set_permissions(&door, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = stranger();
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(
        site.misp().says("runs as user 65534"),
        "{}",
        site.misp().process().err()
    );
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn nobody_to_take_over_from_is_said() {
    let site = Site::new("upgrade-nobody");
    fs::create_dir_all(site.path("misp/state")).unwrap();
    let new = site.launch_upgrade("misp-new");
    until("it ends", || (!new.runs()).then_some(()));
    assert!(new.err().contains("no gateway answers"), "{}", new.err());
}

#[test]
fn a_signal_starts_the_new_process_and_the_service_manager_hears_of_everything() {
    let mut site = Site::new("upgrade-signal");
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let hear = || {
        let mut word = [0; 64];
        let length = manager.recv(&mut word).expect("a word");
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    let notify = site.path("notify").display().to_string();
    site.set_environment("NOTIFY_SOCKET", &notify);
    site.start_misp();
    assert_eq!(hear(), "READY=1");
    site.misp().reload();
    assert_eq!((hear(), hear()), ("RELOADING=1".into(), "READY=1".into()));
    let wire = site.auth().wire().http1();
    assert!(site.connect().ask(&wire).says_yes());
    site.misp().process().signal("USR2");
    let named = hear();
    let child = Child(named.strip_prefix("MAINPID=").expect(&named).to_owned());
    assert_eq!(hear(), "READY=1");
    until("the old process is gone", || {
        (!site.misp().process().runs()).then_some(())
    });
    assert_eq!(site.connect().ask(&wire).code(), "FRS-004");
    child.signal("TERM");
    assert_eq!(hear(), "STOPPING=1");
    let gone = within(Duration::from_secs(10), || {
        site.client()
            .connect(site.partner_face())
            .is_err()
            .then_some(())
    });
    assert!(gone.is_some());
}

/// A process that the gateway has started; stopped by its id.
struct Child(String);

impl Child {
    fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args([&format!("-{name}"), &self.0])
            .output();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}
