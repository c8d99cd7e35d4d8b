//! The store as a whole: what is durable, once, encrypted, migrated, rotated and forgotten.

use std::os::unix::fs::PermissionsExt;

use super::*;

const URL: &str = "sqlite:state.db";
const LEASE: Duration = Duration::from_secs(10);

fn key(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

fn store(folder: &Path) -> Store {
    Store::open(URL, folder, &[key(7)]).expect("opens")
}

fn errand(key: &str) -> NewErrand {
    NewErrand {
        kind: "test",
        key: key.to_owned(),
        step: "first",
        body: b"content".to_vec(),
        due: at(100),
    }
}

fn at(s: i64) -> Moment {
    Moment::from_s(s)
}

async fn take(store: &Store, now: i64) -> Vec<Errand> {
    store.take("test", at(now), LEASE, 9).await.expect("take")
}

#[tokio::test]
async fn an_errand_is_stored_once_for_each_key() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    assert_eq!(
        store.put(errand("a"), at(100)).await.expect("put"),
        Put::Stored
    );
    let again = store.put(errand("a"), at(100)).await.expect("put");
    assert_eq!(again, Put::Known(Standing::Open));
    let many = store
        .put_many(vec![errand("a"), errand("b")], at(100))
        .await;
    let expected = [Put::Known(Standing::Open), Put::Stored];
    assert_eq!(many.expect("put"), expected);
}

#[tokio::test]
async fn what_one_has_taken_no_other_takes_before_its_lease_ends() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    store.put(errand("a"), at(100)).await.expect("put");
    assert!(take(&store, 99).await.is_empty());
    assert_eq!(take(&store, 100).await.len(), 1);
    assert!(take(&store, 100).await.is_empty());
    assert_eq!(take(&store, 111).await.len(), 1);
}

#[tokio::test]
async fn what_was_under_way_when_the_gateway_ended_is_free_after_the_next_start() {
    let folder = tempfile::tempdir().expect("folder");
    let before = store(folder.path());
    before.put(errand("a"), at(100)).await.expect("put");
    assert_eq!(take(&before, 100).await[0].body(), b"content");
    drop(before);
    let after = store(folder.path());
    assert_eq!(take(&after, 100).await[0].body(), b"content");
}

#[tokio::test]
async fn news_that_came_during_an_attempt_are_not_overwritten() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    let now = at(100);
    store.put(errand("a"), now).await.expect("put");
    let taken = take(&store, 100).await;
    let resumed = store
        .resume(
            "test",
            "a",
            Some("second".to_owned()),
            Some(b"news".to_vec()),
            now,
        )
        .await;
    assert!(resumed.expect("resumed"));
    let wait = Settlement::Wait {
        step: "first",
        body: Some(b"old".to_vec()),
        until: at(900),
    };
    store.settle(&taken[0], wait, now).await.expect("settled");
    let again = take(&store, 100).await;
    assert_eq!((again[0].step(), again[0].body()), ("second", &b"news"[..]));
}

#[tokio::test]
async fn an_alias_finds_its_errand_and_is_never_given_twice() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    let place = async |key: &str, alias: &str| {
        let reopen = |known: &Errand| {
            let body = [known.body(), b"!"].concat();
            let step = "second".to_owned();
            (Revision::Reopen { step, body }, known.standing())
        };
        let placed = store.place(errand(key), alias.to_owned(), at(100), reopen);
        placed.await.expect("placed")
    };
    assert_eq!(place("a", "1").await, Placed::Stored);
    assert_eq!(place("b", "1").await, Placed::AliasTaken);
    let taken = take(&store, 100).await;
    store
        .settle(&taken[0], Settlement::Done, at(100))
        .await
        .expect("settled");
    assert_eq!(place("a", "2").await, Placed::Known(Standing::Done));
    let found = store
        .find_alias("test", "1")
        .await
        .expect("find")
        .expect("there");
    assert_eq!(found.body(), b"content!");
    assert_eq!((found.step(), found.standing()), ("second", Standing::Open));
    assert!(store.find_alias("test", "2").await.expect("find").is_none());
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_answered_and_takes_nobody_with_it() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Arc::new(store(folder.path()));
    let panicking = store.revise("test", "a", at(100), |_| panic!("on purpose"));
    let (one, two, three) = tokio::join!(
        store.put(errand("a"), at(100)),
        async { panicking.await.map(|_: Option<()>| ()) },
        store.put(errand("b"), at(100)),
    );
    assert_eq!(one.expect("put"), Put::Stored);
    assert!(matches!(two, Err(StoreError::Engine(why)) if why.contains("broke off")));
    assert_eq!(three.expect("put"), Put::Stored);
    assert_eq!(take(&store, 100).await.len(), 2);
}

#[tokio::test]
async fn what_waits_is_committed_as_a_group() {
    let folder = tempfile::tempdir().expect("folder");
    let histogram =
        prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("h", "h")).expect("made");
    let watch = Watch {
        commit_seconds: histogram.clone(),
        failures: prometheus::IntCounter::new("f", "f").expect("made"),
    };
    let store = Store::open_watched(URL, folder.path(), &[key(7)], watch).expect("opens");
    let mut all = tokio::task::JoinSet::new();
    let store = Arc::new(store);
    for i in 0..500 {
        let store = Arc::clone(&store);
        all.spawn(async move { store.put(errand(&i.to_string()), at(100)).await });
    }
    for put in all.join_all().await {
        assert_eq!(put.expect("put"), Put::Stored);
    }
    assert!(
        histogram.get_sample_count() < 250,
        "{}",
        histogram.get_sample_count()
    );
}

#[tokio::test]
async fn contents_are_not_to_be_read_in_the_file_and_the_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    let mut new = errand("a");
    new.body = b"a very secret content".to_vec();
    store.put(new, at(100)).await.expect("put");
    for entry in std::fs::read_dir(folder.path()).expect("folder") {
        let entry = entry.expect("entry");
        let bytes = std::fs::read(entry.path()).expect("read");
        assert!(!bytes.windows(11).any(|w| w == b"very secret"), "{entry:?}");
        let mode = entry.metadata().expect("about").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{entry:?}");
    }
}

#[tokio::test]
async fn a_file_that_others_may_read_is_closed_and_an_open_folder_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    drop(store(folder.path()));
    let file = folder.path().join("state.db");
    let set = |path: &Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("set");
    };
    set(&file, 0o664);
    drop(store(folder.path()));
    let mode = std::fs::metadata(&file)
        .expect("about")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    set(folder.path(), 0o777);
    let refused = Store::open(URL, folder.path(), &[key(7)]).expect_err("refused");
    assert!(
        refused.to_string().contains("everybody may write"),
        "{refused}"
    );
    set(folder.path(), 0o700);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_file_does_not_start() {
    let folder = tempfile::tempdir().expect("folder");
    let _first = store(folder.path());
    let second = Store::open(URL, folder.path(), &[key(7)]).expect_err("refused");
    assert!(matches!(second, StoreError::InUse(_)), "{second}");
}

#[tokio::test]
async fn another_key_is_refused_at_the_start_and_says_which_one_is_missing() {
    let folder = tempfile::tempdir().expect("folder");
    drop(store(folder.path()));
    let refused = Store::open(URL, folder.path(), &[key(8)]).expect_err("refused");
    let text = refused.to_string();
    assert!(text.contains("not among those in store.key"), "{text}");
    // The newest first, the old one behind it: both are there.
    assert!(Store::open(URL, folder.path(), &[key(8), key(7)]).is_ok());
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_dispensable() {
    let folder = tempfile::tempdir().expect("folder");
    let old = store(folder.path());
    for i in 0..450 {
        old.put(errand(&i.to_string()), at(100)).await.expect("put");
    }
    // A gateway that runs does not know the new key: nothing may be under it yet.
    let beside = Store::open_beside(URL, folder.path(), &[key(8), key(7)]).expect("opens");
    let early = beside.rotate().await.expect_err("refused");
    assert!(early.to_string().contains("Restart it"), "{early}");
    drop(old);
    drop(Store::open(URL, folder.path(), &[key(8), key(7)]).expect("opens"));
    let rotated = beside.rotate().await.expect("rotated");
    assert_eq!(
        (
            rotated.again,
            rotated.unreadable.len(),
            rotated.still_needed.len()
        ),
        (450, 0, 0)
    );
    drop(beside);
    let new = Store::open(URL, folder.path(), &[key(8)]).expect("opens");
    assert_eq!(take(&new, 100).await[8].body(), b"content");
    drop(new);
    assert!(Store::open(URL, folder.path(), &[key(7)]).is_err());
}

#[tokio::test]
async fn done_errands_are_forgotten_with_age_and_parked_ones_never() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    for key in ["done", "parked", "open"] {
        store.put(errand(key), at(100)).await.expect("put");
    }
    for taken in take(&store, 100).await {
        let settlement = match taken.key() {
            "done" => Settlement::Finish {
                step: "last",
                body: b"less".to_vec(),
            },
            "parked" => Settlement::Park {
                reason: "why".to_owned(),
            },
            _ => continue,
        };
        store
            .settle(&taken, settlement, at(100))
            .await
            .expect("settled");
    }
    let done = store
        .find("test", "done")
        .await
        .expect("find")
        .expect("there");
    assert_eq!(
        (done.standing(), done.body()),
        (Standing::Done, &b"less"[..])
    );
    assert_eq!(store.forget_done(at(100), 10).await.expect("forget"), 0);
    assert_eq!(store.forget_done(at(101), 10).await.expect("forget"), 1);
    assert!(store.find("test", "done").await.expect("find").is_none());
    store.count().await.expect("count");
    let counts = store.counts();
    let counted: Vec<_> = counts.iter().map(|c| (c.standing, c.number)).collect();
    assert_eq!(counted, [(Standing::Open, 1), (Standing::Parked, 1)]);
}

#[tokio::test]
async fn a_store_of_the_form_before_is_migrated_and_its_contents_encrypted() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("state.db");
    {
        let old = rusqlite::Connection::open(&file).expect("opens");
        old.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE errand (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, step TEXT NOT NULL,
               body BLOB NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, standing TEXT NOT NULL DEFAULT 'open', reason TEXT,
               created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,
               lease_ms INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0, UNIQUE (kind, key)) STRICT;
             PRAGMA user_version = 1;",
        )
        .expect("made");
        for i in 0..300 {
            old.execute(
                "INSERT INTO errand (kind, key, step, body, created_ms, updated_ms, due_ms) VALUES ('test', ?1, 'first', ?2, 1, 1, 1)",
                rusqlite::params![i.to_string(), b"a plain content".to_vec()],
            )
            .expect("inserted");
        }
    }
    let beside = Store::open_beside(URL, folder.path(), &[key(7)]).expect_err("refused");
    assert!(
        matches!(beside, StoreError::Older { found: 1, .. }),
        "{beside}"
    );
    let store = store(folder.path());
    assert_eq!(take(&store, 100).await[0].body(), b"a plain content");
    for name in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).expect("read");
        assert!(!bytes.windows(5).any(|w| w == b"plain"), "{name}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_form_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    drop(store(folder.path()));
    let file = folder.path().join("state.db");
    let newer = rusqlite::Connection::open(&file).expect("opens");
    newer.pragma_update(None, "user_version", 99).expect("set");
    drop(newer);
    let refused = Store::open(URL, folder.path(), &[key(7)]).expect_err("refused");
    assert!(refused.to_string().contains("a newer one"), "{refused}");
    let beside = Store::open_beside(URL, folder.path(), &[key(7)]).expect_err("refused");
    assert!(matches!(beside, StoreError::Newer { found: 99, .. }));
}

#[tokio::test]
async fn an_errand_whose_content_was_changed_is_parked_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    for key in ["a", "b"] {
        store.put(errand(key), at(100)).await.expect("put");
    }
    let meddler = rusqlite::Connection::open(folder.path().join("state.db")).expect("opens");
    // The content of one in the place of another.
    meddler
        .execute(
            "UPDATE errand SET body = (SELECT body FROM errand WHERE key = 'b') WHERE key = 'a'",
            [],
        )
        .expect("changed");
    let taken = take(&store, 100).await;
    assert_eq!(taken.iter().map(Errand::key).collect::<Vec<_>>(), ["b"]);
    let filter = Filter {
        standing: Some(Standing::Parked),
        limit: 9,
        ..Filter::default()
    };
    let parked = store.list(filter).await.expect("list");
    assert_eq!(parked[0].key(), "a");
    assert!(
        parked[0]
            .reason()
            .expect("why")
            .contains("cannot be decrypted")
    );
}

#[tokio::test]
async fn no_room_is_said_and_what_waited_is_refused_with_gw_004() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store(folder.path());
    let limit = async |pages: u32| {
        store
            .ask(move |db| db.limit_pages(pages))
            .await
            .expect("limited");
    };
    limit(20).await;
    let mut big = errand("big");
    big.body = vec![0; 1 << 20];
    let refused = store.put(big.clone(), at(100)).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert_eq!(Refusal::from(refused).code(), Code::StoreDown);
    limit(u32::MAX - 2).await;
    assert_eq!(store.put(big, at(100)).await.expect("put"), Put::Stored);
    assert_eq!(store.ailing(), None);
}
