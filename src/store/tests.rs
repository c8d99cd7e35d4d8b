//! The store on SQLite: what is in the file, who may have it, and older forms of it. What every engine does alike is in
//! `tests/it/store_engines.rs`.

use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::{
    keys::Secret,
    refusal::{Code, Refusal},
};

const LEASE: Duration = Duration::from_secs(10);

fn key(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

fn location(folder: &Path) -> Location {
    Location::sqlite(folder.join("state.db"), vec![key(7)])
}

fn store(folder: &Path) -> Store {
    Store::open(&location(folder)).expect("opens")
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
    let refused = Store::open(&location(folder.path())).expect_err("refused");
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
    let second = Store::open(&location(folder.path())).expect_err("refused");
    assert!(matches!(second, StoreError::InUse(_)), "{second}");
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
    let beside = Store::open_beside(&location(folder.path())).expect_err("refused");
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
    let refused = Store::open(&location(folder.path())).expect_err("refused");
    assert!(refused.to_string().contains("a newer one"), "{refused}");
    let beside = Store::open_beside(&location(folder.path())).expect_err("refused");
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
    assert!(store.ailing().is_none());
}
