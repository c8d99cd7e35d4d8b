//! What every engine of the store does alike: each test runs on SQLite and on a real PostgreSQL.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prometheus::{Histogram, HistogramOpts, IntCounter};
use triseal::{
    clock::Moment,
    config::{Config, Document, Mistakes, Report, config_schema},
    keys::Secret,
    store::{
        Errand, Filter, Location, NewErrand, Over, Placed, Put, Revision, Settlement, Standing,
        Store, StoreError, Watch,
    },
};

use crate::harness::postgres::{Database, PASSWORD, Postgres};

const LEASE: Duration = Duration::from_millis(400);

/// A place for a store on one engine.
pub struct Place {
    folder: tempfile::TempDir,
    database: Option<Database>,
}

impl Place {
    pub fn sqlite() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: None,
        }
    }

    pub fn postgres() -> Self {
        Self::on(Postgres::shared())
    }

    pub fn on(server: &Postgres) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: Some(server.database()),
        }
    }

    pub fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    pub fn location(&self, keys: &[u8]) -> Location {
        let keys: Vec<Secret> = keys.iter().map(|b| Secret::new(vec![*b; 32])).collect();
        match &self.database {
            None => Location::sqlite(self.folder.path().join("state.db"), keys),
            Some(database) => read(self.folder.path(), &settings(database), &keys).unwrap(),
        }
    }

    pub fn open(&self, keys: &[u8]) -> Result<Store, StoreError> {
        Store::open(&self.location(keys))
    }

    pub fn store(&self) -> Store {
        self.open(&[7]).unwrap()
    }

    pub fn beside(&self, keys: &[u8]) -> Result<Store, StoreError> {
        Store::open_beside(&self.location(keys))
    }
}

/// What stands in `[store]` for a database.
pub fn settings(database: &Database) -> String {
    format!(
        "url = \"{}\"\npassword = {{ file = \"password\" }}\n",
        database.url()
    )
}

/// Reads `[store]` as the gateway does; else what is wrong with it.
pub fn read(folder: &Path, settings: &str, keys: &[Secret]) -> Result<Location, String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    private(&folder.join("password"), PASSWORD);
    let mut named = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        private(
            &folder.join(format!("key-{i}")),
            &STANDARD.encode(key.expose()),
        );
        named.push(format!("{{ file = \"key-{i}\" }}"));
    }
    let named = named.join(", ");
    let text = format!(
        "[gateway]\nname = \"g\"\nstate = \"state\"\npartners = \"partners\"\n\n[admin]\nlisten = \"127.0.0.1:1\"\n\n[party]\nid = \"p\"\norganisation = \"o\"\ncertificate = []\n\n[store]\nkey = [{named}]\n{settings}"
    );
    let document = Document::from_text(&folder.join("gateway.toml"), text);
    let mut mistakes = Mistakes::default();
    let config: Option<Config> = document.parse(&config_schema(), &mut mistakes);
    let location = config.and_then(|config| {
        let raw = config.store.unwrap();
        let mut report = Report::new(&document, &mut mistakes);
        Location::read(&raw, folder, &mut report.within("store"))
    });
    location
        .filter(|_| !mistakes.refuse())
        .ok_or_else(|| mistakes.to_string())
}

pub fn private(path: &PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn errand(key: &str) -> NewErrand {
    NewErrand {
        kind: "test",
        key: key.to_owned(),
        step: "first",
        body: b"content".to_vec(),
        due: at(100),
    }
}

pub fn at(s: i64) -> Moment {
    Moment::from_s(s)
}

pub async fn take(store: &Store, now: i64) -> Vec<Errand> {
    store.take("test", at(now), LEASE, 9).await.unwrap()
}

async fn lapse() {
    tokio::time::sleep(LEASE + Duration::from_millis(150)).await;
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

/// The same sentence, proved on each engine.
macro_rules! both {
    ($($name:ident: $proof:expr;)*) => {
        mod sqlite {
            use super::*;
            $(#[test] fn $name() { block_on(($proof)(Place::sqlite())); })*
        }
        mod postgres {
            use super::*;
            $(#[test] fn $name() { block_on(($proof)(Place::postgres())); })*
        }
    };
}

both! {
    an_errand_is_stored_once_for_each_key: stored_once;
    what_one_has_taken_no_other_takes_before_its_lease_ends: leased;
    a_lease_that_is_renewed_does_not_end: renewed;
    news_that_came_during_an_attempt_are_not_overwritten: news;
    an_alias_finds_its_errand_and_is_never_given_twice: aliases;
    a_job_that_fails_or_panics_is_answered_and_takes_nobody_with_it: panics;
    what_waits_is_committed_as_a_group: groups;
    another_key_is_refused_at_the_start_and_says_which_one_is_missing: keys;
    after_a_rotation_the_old_key_is_dispensable: rotation;
    an_entry_is_replaced_only_over_what_was_read: entries;
    entries_are_under_the_newest_key_after_a_rotation: entries_rotate;
    done_errands_are_forgotten_with_age_and_parked_ones_never: forgetting;
    every_outcome_is_written_as_it_was_said: outcomes;
    a_command_finds_no_store_before_a_gateway_has_made_it: no_store_yet;
}

async fn stored_once(place: Place) {
    let store = place.store();
    let put = async |key| store.put(errand(key), at(100)).await.unwrap();
    assert_eq!(put("a").await, Put::Stored);
    assert_eq!(put("a").await, Put::Known(Standing::Open));
    let many = store
        .put_many(vec![errand("a"), errand("b")], at(100))
        .await;
    assert_eq!(many.unwrap(), [Put::Known(Standing::Open), Put::Stored]);
    let found = store.find("test", "b").await.unwrap().unwrap();
    assert_eq!((found.body(), found.created()), (&b"content"[..], at(100)));
    assert!(store.find("test", "c").await.unwrap().is_none());
}

async fn leased(place: Place) {
    let store = place.store();
    store.put(errand("a"), at(100)).await.unwrap();
    assert!(take(&store, 99).await.is_empty());
    assert_eq!(take(&store, 100).await.len(), 1);
    assert!(take(&store, 100).await.is_empty());
    lapse().await;
    assert_eq!(take(&store, 101).await.len(), 1);
}

async fn renewed(place: Place) {
    let store = place.store();
    store.put(errand("a"), at(100)).await.unwrap();
    let taken = take(&store, 100).await;
    let long = Duration::from_secs(60);
    assert!(store.renew(&taken[0], at(100), long).await.unwrap());
    lapse().await;
    assert!(take(&store, 101).await.is_empty());
    store
        .settle(&taken[0], Settlement::Done, at(101))
        .await
        .unwrap();
    assert!(!store.renew(&taken[0], at(101), long).await.unwrap());
}

async fn news(place: Place) {
    let store = place.store();
    store.put(errand("a"), at(100)).await.unwrap();
    let taken = take(&store, 100).await;
    let (step, body) = (Some("second".to_owned()), Some(b"news".to_vec()));
    assert!(
        store
            .resume("test", "a", step, body, at(100))
            .await
            .unwrap()
    );
    // The attempt goes on: nobody else takes it.
    assert!(take(&store, 100).await.is_empty());
    let wait = Settlement::Wait {
        step: "first",
        body: Some(b"old".to_vec()),
        until: at(900),
    };
    store.settle(&taken[0], wait, at(100)).await.unwrap();
    let again = take(&store, 100).await;
    assert_eq!((again[0].step(), again[0].body()), ("second", &b"news"[..]));
    assert!(
        !store
            .resume("test", "b", None, None, at(100))
            .await
            .unwrap()
    );
}

async fn aliases(place: Place) {
    let store = place.store();
    let place = async |key: &str, alias: &str| {
        let reopen = |known: &Errand| {
            let body = [known.body(), b"!"].concat();
            let step = "second".to_owned();
            (Revision::Reopen { step, body }, known.standing())
        };
        let placed = store.place(errand(key), alias.to_owned(), at(100), reopen);
        placed.await.unwrap()
    };
    assert_eq!(place("a", "1").await, Placed::Stored);
    assert_eq!(place("b", "1").await, Placed::AliasTaken);
    let taken = take(&store, 100).await;
    store
        .settle(&taken[0], Settlement::Done, at(100))
        .await
        .unwrap();
    assert_eq!(place("a", "2").await, Placed::Known(Standing::Done));
    let found = store.find_alias("test", "1").await.unwrap().unwrap();
    assert_eq!(found.body(), b"content!");
    assert_eq!((found.step(), found.standing()), ("second", Standing::Open));
    assert!(store.find_alias("test", "2").await.unwrap().is_none());
}

async fn panics(place: Place) {
    let store = place.store();
    store.put(errand("a"), at(100)).await.unwrap();
    let panicking = store.revise("test", "a", at(100), |_| panic!("on purpose"));
    let (one, two, three) = tokio::join!(
        store.put(errand("b"), at(100)),
        async { panicking.await.map(|_: Option<()>| ()) },
        store.put(errand("c"), at(100)),
    );
    assert_eq!(one.unwrap(), Put::Stored);
    assert!(matches!(two, Err(StoreError::Engine(why)) if why.contains("broke off")));
    assert_eq!(three.unwrap(), Put::Stored);
    assert_eq!(take(&store, 100).await.len(), 3);
    assert!(store.ailing().is_none());
}

async fn groups(place: Place) {
    let histogram = Histogram::with_opts(HistogramOpts::new("h", "h")).unwrap();
    let watch = Watch {
        commit_seconds: histogram.clone(),
        failures: IntCounter::new("f", "f").unwrap(),
    };
    let store = Arc::new(Store::open_watched(&place.location(&[7]), watch).unwrap());
    let mut all = tokio::task::JoinSet::new();
    for i in 0..500 {
        let store = Arc::clone(&store);
        all.spawn(async move { store.put(errand(&i.to_string()), at(100)).await });
    }
    for put in all.join_all().await {
        assert_eq!(put.unwrap(), Put::Stored);
    }
    let commits = histogram.get_sample_count();
    assert!(commits < 250, "{commits}");
}

async fn keys(place: Place) {
    drop(place.store());
    let refused = place.open(&[8]).unwrap_err().to_string();
    assert!(
        refused.contains("not among those in store.key"),
        "{refused}"
    );
    // The newest first, the old one behind it: both are there.
    assert!(reopened(&place, &[8, 7]).await.is_ok());
}

/// A gateway that ended a moment ago may still be seen by the database.
async fn reopened(place: &Place, keys: &[u8]) -> Result<Store, StoreError> {
    for _ in 0..50 {
        match place.open(keys) {
            Err(StoreError::Key(why)) if why.contains("another gateway") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            opened => return opened,
        }
    }
    place.open(keys)
}

async fn rotation(place: Place) {
    let old = place.store();
    for i in 0..450 {
        old.put(errand(&i.to_string()), at(100)).await.unwrap();
    }
    // A gateway that runs does not write under the new key.
    let beside = place.beside(&[8, 7]).unwrap();
    let early = beside.rotate().await.unwrap_err();
    assert!(early.to_string().contains("Restart it"), "{early}");
    drop(old);
    drop(reopened(&place, &[8, 7]).await.unwrap());
    let rotated = beside.rotate().await.unwrap();
    let left = (rotated.unreadable.len(), rotated.still_needed.len());
    assert_eq!((rotated.again, left), (450, (0, 0)));
    drop(beside);
    let new = reopened(&place, &[8]).await.unwrap();
    assert_eq!(take(&new, 100).await[8].body(), b"content");
    drop(new);
    assert!(place.open(&[7]).is_err());
}

async fn entries(place: Place) {
    let store = place.store();
    let first = store.entries_revision().await.unwrap();
    for key in ["b", "a", "B"] {
        let body = format!("about {key}").into_bytes();
        let put = store.put_entry("fact", key, Over::Nothing, body, at(100));
        assert!(put.await.unwrap());
    }
    let body = b"elsewhere".to_vec();
    let put = store.put_entry("other", "a", Over::Nothing, body, at(100));
    assert!(put.await.unwrap());
    let all = store.entries("fact").await.unwrap();
    let keys: Vec<&str> = all.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["B", "a", "b"], "in the order of their bytes");
    assert_eq!(**all[1].body, *b"about a");
    let now = store.entries_revision().await.unwrap();
    assert!(now > first, "{now} after {first}");

    let read = all[1].revision;
    let put = async |over| {
        let body = b"newer".to_vec();
        let put = store.put_entry("fact", "a", over, body, at(200)).await;
        put.unwrap()
    };
    assert!(!put(Over::Nothing).await, "there is one");
    assert!(put(Over::Revision(read)).await);
    assert!(!put(Over::Revision(read)).await, "it changed since");
    assert!(store.delete_entry("fact", "a").await.unwrap());
    assert!(!store.delete_entry("fact", "a").await.unwrap());
    assert!(!put(Over::Revision(read)).await, "it is gone");
    assert!(put(Over::Nothing).await);
    assert!(store.entries_revision().await.unwrap() > now);
    drop(store);

    let again = reopened(&place, &[7]).await.unwrap();
    let all = again.entries("fact").await.unwrap();
    assert_eq!((**all[1].body).to_vec(), b"newer");
}

async fn entries_rotate(place: Place) {
    let old = place.store();
    for i in 0..520 {
        let body = b"content".to_vec();
        let key = i.to_string();
        let put = old.put_entry("fact", &key, Over::Nothing, body, at(100));
        assert!(put.await.unwrap());
    }
    drop(old);
    let store = reopened(&place, &[8, 7]).await.unwrap();
    let before = store.entries_revision().await.unwrap();
    let rotated = store.rotate().await.unwrap();
    assert_eq!((rotated.again, rotated.still_needed.len()), (520, 0));
    assert_eq!(store.entries_revision().await.unwrap(), before, "no news");
    drop(store);
    let new = reopened(&place, &[8]).await.unwrap();
    assert_eq!(new.entries("fact").await.unwrap().len(), 520);
    drop(new);
    assert!(place.open(&[7]).is_err());
}

async fn forgetting(place: Place) {
    let store = place.store();
    for key in ["done", "parked", "open"] {
        store.put(errand(key), at(100)).await.unwrap();
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
        store.settle(&taken, settlement, at(100)).await.unwrap();
    }
    let done = store.find("test", "done").await.unwrap().unwrap();
    assert_eq!(
        (done.standing(), done.body()),
        (Standing::Done, &b"less"[..])
    );
    assert_eq!(store.forget_done(at(100), 10).await.unwrap(), 0);
    assert_eq!(store.forget_done(at(101), 10).await.unwrap(), 1);
    assert!(store.find("test", "done").await.unwrap().is_none());
    store.count().await.unwrap();
    let counts = store.counts();
    let counted: Vec<_> = counts.iter().map(|c| (c.standing, c.number)).collect();
    assert_eq!(counted, [(Standing::Open, 1), (Standing::Parked, 1)]);
}

async fn outcomes(place: Place) {
    let store = place.store();
    store.put(errand("a"), at(100)).await.unwrap();
    let one = async |now: i64, settlement: Settlement| {
        let taken = take(&store, now).await;
        store.settle(&taken[0], settlement, at(now)).await.unwrap();
        store.find("test", "a").await.unwrap().unwrap()
    };
    let retry = Settlement::Retry {
        reason: "not now".to_owned(),
        after: Duration::from_secs(5),
    };
    let after = one(100, retry).await;
    assert_eq!(
        (after.attempts(), after.reason(), after.due()),
        (1, Some("not now"), at(105))
    );
    let next = Settlement::Next {
        step: "second",
        body: None,
    };
    let after = one(105, next).await;
    assert_eq!(
        (after.attempts(), after.reason(), after.step()),
        (0, None, "second")
    );
    assert_eq!((after.body(), after.updated()), (&b"content"[..], at(105)));
    let wait = Settlement::Wait {
        step: "third",
        body: Some(b"new".to_vec()),
        until: at(200),
    };
    let after = one(105, wait).await;
    assert_eq!(
        (after.step(), after.body(), after.due()),
        ("third", &b"new"[..], at(200))
    );
    assert!(take(&store, 199).await.is_empty());
    let park = Settlement::Park {
        reason: "never".to_owned(),
    };
    let after = one(200, park).await;
    assert_eq!(
        (after.standing(), after.reason()),
        (Standing::Parked, Some("never"))
    );
    let parked = Filter {
        kind: Some("test".to_owned()),
        standing: Some(Standing::Parked),
        limit: 9,
    };
    assert_eq!(store.list(parked).await.unwrap()[0].key(), "a");
    assert!(
        store
            .resume("test", "a", None, None, at(300))
            .await
            .unwrap()
    );
    let after = one(300, Settlement::Done).await;
    assert_eq!(
        (after.standing(), after.attempts(), after.reason()),
        (Standing::Done, 0, None)
    );
}

async fn no_store_yet(place: Place) {
    let refused = place.beside(&[7]).unwrap_err().to_string();
    assert!(refused.contains("Start the gateway once"), "{refused}");
}
