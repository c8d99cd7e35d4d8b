//! PostgreSQL as the store's engine: who is let in, what two stores on one database do to each other, and what happens while
//! it is gone.

use std::{fs, path::Path, sync::Arc, time::Duration};

use triseal::{
    keys::Secret,
    store::{Put, Settlement, Store, StoreError},
};

use crate::{
    harness::{
        postgres::{Database, Postgres, give},
        until, within,
    },
    store_engines::{Place, at, errand, private, read, settings, take},
};

const LEASE: Duration = Duration::from_secs(30);

fn keys() -> Vec<Secret> {
    vec![Secret::new(vec![7; 32])]
}

fn mistake(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    read(folder.path(), settings, &keys()).expect_err("a mistake")
}

#[test]
fn mistakes_in_the_settings_are_refused_and_no_password_is_repeated() {
    let remote = "url = \"postgres://triseal@db.example/errands?sslmode=disable\"\n";
    let verified = "url = \"postgres://triseal@db.example/errands\"\n";
    let local = "url = \"postgres://triseal@127.0.0.1/errands?sslmode=disable\"\n";
    for (settings, said) in [
        (
            "url = \"postgres://triseal:hush@db.example/errands\"\n".to_owned(),
            "password stands in the URL",
        ),
        (
            "url = \"mysql://triseal:hush@db.example/errands\"\n".to_owned(),
            "names no store",
        ),
        (remote.to_owned(), "in the clear"),
        (verified.to_owned(), "cannot be verified without an anchor"),
        (
            format!("{verified}anchors = [\"nowhere.pem\"]\n"),
            "cannot be read",
        ),
        (
            format!("{verified}anchors = [\"key-0\"]\n"),
            "no certificate",
        ),
        (
            format!("{verified}insecure_plaintext = true\n"),
            "nothing to allow",
        ),
        (
            format!("{local}insecure_plaintext = true\n"),
            "nothing to allow",
        ),
        (format!("{local}anchors = [\"key-0\"]\n"), "without TLS"),
        (
            format!("{local}certificate = \"a\"\n"),
            "comes with its private key",
        ),
        (format!("{local}connections = 0\n"), "1 to 32"),
        (format!("{local}connections = 33\n"), "1 to 32"),
        (
            format!("{local}statement_timeout_ms = 99\n"),
            "100 to 60000",
        ),
        (format!("{local}lease_seconds = 1\n"), "2 to 3600"),
        (
            format!("{local}password = {{ file = \"nowhere\" }}\n"),
            "nowhere",
        ),
        (
            "url = \"sqlite:a.db\"\npassword = { file = \"password\" }\n".to_owned(),
            "this is for PostgreSQL",
        ),
    ] {
        let all = mistake(&settings);
        assert!(all.contains(said), "{settings}: {all}");
        assert!(!all.contains("hush"), "{all}");
    }
    let folder = tempfile::tempdir().unwrap();
    let allowed = format!("{remote}insecure_plaintext = true\n");
    assert!(read(folder.path(), &allowed, &keys()).is_ok());
}

#[test]
fn a_wrong_password_is_refused_at_the_start_and_not_repeated() {
    let place = Place::postgres();
    let folder = tempfile::tempdir().unwrap();
    let location = read(folder.path(), &settings(place.database()), &keys()).unwrap();
    drop(Store::open(&location).unwrap());
    private(&folder.path().join("wrong"), "another password");
    let wrong = settings(place.database()).replace("\"password\"", "\"wrong\"");
    let location = read(folder.path(), &wrong, &keys()).unwrap();
    let refused = Store::open(&location).unwrap_err().to_string();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    assert!(!refused.contains("another password"), "{refused}");
}

#[test]
fn a_unix_socket_is_used_without_tls() {
    // Short: such a path has at most 107 bytes.
    let socket = tempfile::tempdir().unwrap();
    give(socket.path());
    let setting = format!("unix_socket_directories={}", socket.path().display());
    let server = Postgres::start("postgres-socket", &[&setting], |_| {});
    let database = server.database();
    let folder = tempfile::tempdir().unwrap();
    let url = format!(
        "url = \"postgres://triseal@/{}?host={}&port={}\"\npassword = {{ file = \"password\" }}\n",
        database.name,
        socket.path().display(),
        database.port
    );
    let store = Store::open(&read(folder.path(), &url, &keys()).unwrap()).unwrap();
    block_on(async move {
        assert_eq!(store.put(errand("a"), at(1)).await.unwrap(), Put::Stored);
    });
}

/// A server with a certificate of an authority of this test, that takes nothing but TLS from afar.
#[expect(clippy::too_many_lines, reason = "a list: what is made, in its order")]
fn with_tls(folder: &Path, client_certificates: bool) -> Postgres {
    let make = |args: &[&str]| {
        let made = crate::harness::run("openssl", args, &[], b"");
        assert_eq!(made.code, 0, "{}", made.all());
    };
    let file = |name: &str| folder.join(name).display().to_string();
    for ca in ["ca", "other"] {
        make(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/O=Triseal tests/CN={ca}"),
            "-keyout",
            &file(&format!("{ca}.key")),
            "-out",
            &file(&format!("{ca}.pem")),
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
    }
    for (name, subject, names) in [
        (
            "server",
            "/CN=localhost",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ),
        (
            "elsewhere",
            "/CN=db.example",
            "subjectAltName=DNS:db.example",
        ),
        ("client", "/CN=triseal", "extendedKeyUsage=clientAuth"),
    ] {
        make(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            subject,
            "-CA",
            &file("ca.pem"),
            "-CAkey",
            &file("ca.key"),
            "-keyout",
            &file(&format!("{name}.key")),
            "-out",
            &file(&format!("{name}.pem")),
            "-addext",
            names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
    }
    private(
        &folder.join("client.key"),
        &fs::read_to_string(folder.join("client.key")).unwrap(),
    );
    let files = folder.to_path_buf();
    let mut settings = vec![
        "ssl=on",
        "ssl_cert_file=server.pem",
        "ssl_key_file=server.key",
    ];
    if client_certificates {
        settings.push("ssl_ca_file=ca.pem");
    }
    Postgres::start("postgres-tls", &settings, move |data| {
        for name in [
            "server.pem",
            "server.key",
            "elsewhere.pem",
            "elsewhere.key",
            "ca.pem",
        ] {
            let to = data.join(name);
            let text = fs::read_to_string(files.join(name)).unwrap();
            private(&to, &text);
            give(&to);
        }
        let more = if client_certificates {
            " clientcert=verify-full"
        } else {
            ""
        };
        let rules = format!(
            "hostssl all triseal 127.0.0.1/32 scram-sha-256{more}\nhost all postgres 127.0.0.1/32 scram-sha-256\n"
        );
        let hba = data.join("pg_hba.conf");
        private(&hba, &rules);
        give(&hba);
    })
}

fn over_tls(database: &Database, more: &str) -> String {
    let url = database.url().replace("disable", "verify-full");
    format!("url = \"{url}\"\npassword = {{ file = \"password\" }}\n{more}")
}

#[test]
fn tls_is_verified_and_near_misses_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = with_tls(folder.path(), false);
    let database = server.database();
    let open = |settings: &str| {
        let location = read(folder.path(), settings, &keys()).unwrap();
        Store::open(&location).map(drop)
    };
    let location = read(
        folder.path(),
        &over_tls(&database, "anchors = [\"ca.pem\"]\n"),
        &keys(),
    );
    let store = Store::open(&location.unwrap()).unwrap();
    let how = server.sql(
        "postgres",
        "SELECT DISTINCT s.ssl, s.version FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
         WHERE a.application_name = 'triseal'",
    );
    assert_eq!(how, "t|TLSv1.3");
    drop(store);
    let refused = |settings: &str, said: &str| {
        let why = open(settings).expect_err(settings).to_string();
        assert!(why.to_lowercase().contains(said), "{why}");
    };
    // Another authority; no TLS where the server wants it.
    refused(
        &over_tls(&database, "anchors = [\"other.pem\"]\n"),
        "unknownissuer",
    );
    refused(&settings(&database), "pg_hba.conf");
    // A certificate of the right authority for another name.
    server.sql(
        "postgres",
        "ALTER SYSTEM SET ssl_cert_file = 'elsewhere.pem'",
    );
    server.sql(
        "postgres",
        "ALTER SYSTEM SET ssl_key_file = 'elsewhere.key'",
    );
    server.kill();
    server.settings(&["ssl=on"]);
    server.run();
    refused(
        &over_tls(&database, "anchors = [\"ca.pem\"]\n"),
        "not valid for name",
    );
}

#[test]
fn a_server_without_tls_is_refused_when_tls_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    // Any certificate will do as an anchor: nothing comes so far.
    let made = crate::harness::run(
        "openssl",
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=ca",
            "-keyout",
            &folder.path().join("k").display().to_string(),
            "-out",
            &folder.path().join("ca.pem").display().to_string(),
        ],
        &[],
        b"",
    );
    assert_eq!(made.code, 0, "{}", made.all());
    let database = Postgres::shared().database();
    let location = read(
        folder.path(),
        &over_tls(&database, "anchors = [\"ca.pem\"]\n"),
        &keys(),
    );
    let refused = Store::open(&location.unwrap()).unwrap_err().to_string();
    assert!(refused.contains("TLS"), "{refused}");
}

#[test]
fn a_client_certificate_is_shown_where_the_server_wants_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_tls(folder.path(), true);
    let database = server.database();
    let open = |settings: &str| {
        let location = read(folder.path(), settings, &keys()).unwrap();
        Store::open(&location).map(drop)
    };
    let anchors = "anchors = [\"ca.pem\"]\n";
    let shown =
        format!("{anchors}certificate = \"client.pem\"\ncertificate_key = \"client.key\"\n");
    open(&over_tls(&database, &shown)).unwrap();
    assert!(open(&over_tls(&database, anchors)).is_err());
}

#[test]
fn two_that_start_at_once_make_the_tables_once() {
    let place = Place::postgres();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let location = place.location(&[7]);
            std::thread::spawn(move || Store::open(&location))
        })
        .collect();
    let stores: Vec<_> = starts
        .into_iter()
        .map(|s| s.join().unwrap().unwrap())
        .collect();
    assert_eq!(stores.len(), 6);
}

#[test]
fn tables_of_a_newer_form_are_refused() {
    let place = Place::postgres();
    drop(place.store());
    Postgres::shared().sql(&place.database().name, "UPDATE triseal_store SET form = 99");
    assert!(matches!(
        place.open(&[7]),
        Err(StoreError::Newer { found: 99, .. })
    ));
    assert!(matches!(
        place.beside(&[7]),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[test]
fn who_cannot_read_what_another_one_would_write_keeps_it_from_starting() {
    let place = Place::postgres();
    let first = place.open(&[7]).unwrap();
    let refused = place.open(&[8, 7]).unwrap_err().to_string();
    assert!(refused.contains("Give it the key first"), "{refused}");
    drop(first);
    // With the new key behind the old one, the others may put it first, one by one.
    let until_gone = within(Duration::from_secs(5), || place.open(&[7, 8]).ok());
    let first = until_gone.unwrap();
    let second = within(Duration::from_secs(5), || place.open(&[8, 7]).ok()).unwrap();
    let early = block_on_value(async { place.beside(&[8, 7]).unwrap().rotate().await });
    assert!(early.unwrap_err().to_string().contains("Restart it"));
    drop(first);
    let rotated = within(Duration::from_secs(5), || {
        block_on_value(async { place.beside(&[8, 7]).unwrap().rotate().await }).ok()
    });
    assert!(rotated.unwrap().still_needed.is_empty());
    drop(second);
}

#[test]
fn an_outcome_is_written_by_who_took_it_last_and_never_by_who_lost_it() {
    let place = Place::postgres();
    let (one, two) = (place.store(), place.store());
    block_on(async move {
        one.put(errand("a"), at(100)).await.unwrap();
        let slow = take(&one, 100).await;
        assert!(take(&two, 100).await.is_empty());
        tokio::time::sleep(Duration::from_millis(600)).await;
        let quick = two.take("test", at(100), LEASE, 9).await.unwrap();
        assert_eq!(quick.len(), 1);
        assert!(!one.renew(&slow[0], at(100), LEASE).await.unwrap());
        one.settle(&slow[0], Settlement::Done, at(100))
            .await
            .unwrap();
        // It is still the other one's, and still leased.
        assert!(
            one.take("test", at(100), LEASE, 9)
                .await
                .unwrap()
                .is_empty()
        );
        let next = Settlement::Next {
            step: "second",
            body: None,
        };
        two.settle(&quick[0], next, at(100)).await.unwrap();
        assert_eq!(
            one.find("test", "a").await.unwrap().unwrap().step(),
            "second"
        );
    });
}

#[test]
fn many_that_take_at_once_take_each_errand_once() {
    let place = Place::postgres();
    let stores = [
        Arc::new(place.store()),
        Arc::new(place.store()),
        Arc::new(place.store()),
    ];
    block_on(async move {
        let all: Vec<_> = (0..200).map(|i| errand(&i.to_string())).collect();
        stores[0].put_many(all, at(100)).await.unwrap();
        let mut takers = tokio::task::JoinSet::new();
        for taker in 0..12 {
            let store = Arc::clone(&stores[taker % 3]);
            takers.spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let some = store.take("test", at(100), LEASE, 7).await.unwrap();
                    if some.is_empty() {
                        return taken;
                    }
                    taken.extend(some.into_iter().map(|e| e.key().to_owned()));
                }
            });
        }
        let mut taken: Vec<String> = takers.join_all().await.concat();
        taken.sort();
        let before = taken.len();
        taken.dedup();
        assert_eq!((before, taken.len()), (200, 200));
    });
}

#[test]
fn groups_that_want_the_same_in_another_order_are_both_done() {
    let place = Place::postgres();
    let stores = [Arc::new(place.store()), Arc::new(place.store())];
    block_on(async move {
        let mut all = tokio::task::JoinSet::new();
        for round in 0..40 {
            for (which, store) in stores.iter().enumerate() {
                let mut keys: Vec<_> = (0..8).map(|i| format!("{round}-{i}")).collect();
                if which == 1 {
                    keys.reverse();
                }
                let store = Arc::clone(store);
                all.spawn(async move {
                    let many = keys.iter().map(|key| errand(key)).collect();
                    store.put_many(many, at(100)).await
                });
            }
        }
        let mut stored = 0;
        for puts in all.join_all().await {
            stored += puts
                .unwrap()
                .iter()
                .filter(|put| **put == Put::Stored)
                .count();
        }
        assert_eq!(stored, 320);
    });
}

#[test]
fn while_the_database_is_gone_it_is_said_at_once_and_afterwards_all_goes_on() {
    let mut server = Postgres::start("postgres-gone", &[], |_| {});
    let place = Place::on(&server);
    let store = place.store();
    let put = |key: &str| block_on_value(store.put(errand(key), at(100)));
    assert_eq!(put("before").unwrap(), Put::Stored);
    server.kill();
    until("the loss is noticed", || put("lost").is_err().then_some(()));
    let ailing = until("it is said", || store.ailing());
    assert!(!ailing.why.is_empty());
    let began = std::time::Instant::now();
    assert!(matches!(put("lost"), Err(StoreError::Unreachable(_))));
    assert!(began.elapsed() < Duration::from_secs(1));
    // A gateway starts without it all the same; a command says why it cannot.
    let started = place.open(&[7]).unwrap();
    assert!(started.ailing().is_some());
    assert!(matches!(
        place.beside(&[7]),
        Err(StoreError::Unreachable(_))
    ));
    server.run();
    until("it goes on", || put("after").ok());
    until("the other goes on", || {
        started.ailing().is_none().then_some(())
    });
    assert!(store.ailing().is_none());
    let before = block_on_value(started.find("test", "before")).unwrap();
    assert_eq!(before.unwrap().body(), b"content");
}

#[test]
fn nobody_waits_for_a_database_that_hangs_longer_than_the_limit() {
    let server = Postgres::start("postgres-hangs", &[], |_| {});
    let database = server.database();
    let folder = tempfile::tempdir().unwrap();
    let quick = format!(
        "{}statement_timeout_ms = 500\nconnections = 1\n",
        settings(&database)
    );
    let store = Store::open(&read(folder.path(), &quick, &keys()).unwrap()).unwrap();
    let put = |key: &str| block_on_value(store.put(errand(key), at(100)));
    assert_eq!(put("before").unwrap(), Put::Stored);
    let backend = server.sql(
        "postgres",
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'triseal'",
    );
    let stop = |signal: &str| {
        let sent = crate::harness::run("kill", [format!("-{signal}"), backend.clone()], &[], b"");
        assert_eq!(sent.code, 0, "{}", sent.all());
    };
    stop("STOP");
    let began = std::time::Instant::now();
    let unknown = put("unknown").unwrap_err();
    assert!(
        matches!(unknown, StoreError::Unknown(_) | StoreError::Unreachable(_)),
        "{unknown}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    // From then on it is known to hang.
    until("it is said", || store.ailing());
    let began = std::time::Instant::now();
    assert!(matches!(put("refused"), Err(StoreError::Unreachable(_))));
    assert!(began.elapsed() < Duration::from_millis(500));
    stop("CONT");
    until("it goes on", || put("after").ok());
}

fn block_on(work: impl Future<Output = ()>) {
    block_on_value(work);
}

fn block_on_value<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
