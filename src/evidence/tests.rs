//! The whole log under load and on disks in trouble.

use std::{sync::Arc, thread::sleep};

use super::{log::tests::FaultyDisk, *};
use crate::{
    clock::Moment, config::Algorithm, keys::SigningKey, observe::Metrics, trust::Fingerprint,
};

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_path_buf(),
        gateway: "misp".to_owned(),
        queue_max: 64,
        commit_timeout: Duration::from_secs(5),
        reserve: 1 << 20,
    }
}

fn signer() -> HeadSigner {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    HeadSigner {
        key: Arc::new(SigningKey::from_pkcs8_der(&key.serialize_der()).unwrap()),
        algorithm: Algorithm::EdDSA,
        certificate: Fingerprint::from_bytes([7; 32]),
    }
}

fn start(folder: &Path, disk: &FaultyDisk, clock: &Clock) -> (Evidence, EvidenceMetrics) {
    let metrics = Metrics::new().unwrap().evidence;
    let disk = Box::new(disk.clone());
    let started = Evidence::start_on(settings(folder), &metrics, clock, None, disk);
    let (evidence, _) = started.unwrap();
    evidence.set_signer(Some(signer()));
    (evidence, metrics)
}

fn draft(id: &str) -> Draft<'_> {
    Draft {
        gateway: "misp",
        correlation_id: id,
        caller: Some(CallerSeen {
            id: "crvs",
            organisation: "Civil Registry",
            kind: "auth",
            how: "certificate",
            policy: None,
        }),
        status: Some(200),
        answer_body: Some(BodySeen {
            digest: Some([1; 32]),
            bytes: 2,
        }),
        ..Draft::default()
    }
}

fn required(evidence: &Evidence, id: &str) -> Result<Noted, Refusal> {
    evidence.note(&draft(id), Keep::default(), true)
}

/// Tries again for as long as a start, a tick or a repair may take.
fn within(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{what}");
}

#[tokio::test]
async fn every_record_that_was_waited_for_is_in_the_log_under_a_head() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, metrics) = start(folder.path(), &FaultyDisk::well(), &Clock::system());
    let mut noted = Vec::new();
    for n in 0..40 {
        noted.push(required(&evidence, &format!("c{n}")).unwrap());
    }
    let leaves: Vec<Hash> = noted.iter().map(|n| *n.leaf().unwrap()).collect();
    for noted in noted {
        noted.durable().await.unwrap();
    }
    evidence.stop();
    assert_eq!(metrics.records.get(), 40);
    let log = reader::Log::open(folder.path()).unwrap();
    assert_eq!(log.size().unwrap(), 40);
    for (n, leaf) in (0_u64..).zip(leaves) {
        assert_eq!(leaf_hash(&log.record(n).unwrap()), leaf);
        assert_eq!(log.subtree(0, n).unwrap(), leaf);
    }
    let head = head::Head::parse(&log.last_head().unwrap().unwrap()).unwrap();
    assert_eq!((head.size, head.log.as_str()), (40, log.id()));
    assert!(log.head_at_least(40).unwrap().is_some());
    assert!(log.head_at_least(41).unwrap().is_none());
}

#[tokio::test]
async fn a_full_queue_refuses_what_is_required_and_counts_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    let (evidence, metrics) = start(folder.path(), &disk, &Clock::system());
    disk.slow_ms.store(1500, Ordering::SeqCst);
    let first = required(&evidence, "first").unwrap();
    // The writer is busy with it from now on.
    within("the writer takes the first", || {
        evidence.queue.length() == 0
    });
    let held: Vec<Noted> = (0..64)
        .map(|n| required(&evidence, &n.to_string()).unwrap())
        .collect();
    assert_eq!(
        required(&evidence, "x").unwrap_err().code(),
        Code::EvidenceQueue
    );
    let lost = evidence.note(&draft("y"), Keep::default(), false).unwrap();
    assert!(lost.leaf().is_none());
    assert_eq!(metrics.lost.get(), 1);
    disk.slow_ms.store(0, Ordering::SeqCst);
    first.durable().await.unwrap();
    for noted in held {
        noted.durable().await.unwrap();
    }
    assert!(
        evidence
            .findings(Moment::from_s(1 << 40))
            .iter()
            .any(|f| f["lost"] == 1)
    );
}

#[tokio::test]
async fn a_disk_that_fills_holds_answers_back_then_refuses_at_once_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    let (evidence, metrics) = start(folder.path(), &disk, &Clock::system());
    disk.room.store(10, Ordering::SeqCst);
    let noted = required(&evidence, "a").unwrap();
    assert_eq!(
        noted.durable().await.unwrap_err().code(),
        Code::EvidenceWrite
    );
    assert_eq!(evidence.ready().unwrap_err().code(), Code::EvidenceDown);
    assert_eq!(
        required(&evidence, "b").unwrap_err().code(),
        Code::EvidenceDown
    );
    let lost = evidence.note(&draft("c"), Keep::default(), false).unwrap();
    assert!(lost.leaf().is_none());
    assert_eq!((metrics.broken.get(), metrics.lost.get()), (1, 2));
    let finding = evidence.findings(Clock::system().now())[0]["what"].to_string();
    assert!(finding.contains("cannot be written"), "{finding}");
    disk.room.store(-1, Ordering::SeqCst);
    within("the log recovers", || evidence.ready().is_ok());
    required(&evidence, "d").unwrap().durable().await.unwrap();
    assert_eq!(metrics.broken.get(), 0);
    evidence.stop();
    assert_eq!(reader::Log::open(folder.path()).unwrap().size().unwrap(), 1);
}

#[tokio::test]
async fn less_room_than_the_reserve_refuses_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    disk.free.store((1 << 20) - 1, Ordering::SeqCst);
    let (evidence, metrics) = start(folder.path(), &disk, &Clock::system());
    let refusal = evidence.ready().unwrap_err();
    assert!(refusal.cause().contains("the disk is full"), "{refusal}");
    assert!(
        evidence.findings(Clock::system().now())[0]["what"]
            .to_string()
            .contains("full")
    );
    disk.free.store(1 << 20, Ordering::SeqCst);
    within("there is room again", || evidence.ready().is_ok());
    // Growth makes the time left finite.
    required(&evidence, "a").unwrap().durable().await.unwrap();
    within("the time left is known", || {
        metrics.seconds_left.get() < f64::INFINITY
    });
    assert!(
        evidence
            .findings(Clock::system().now())
            .iter()
            .any(|f| f["secondsLeft"] == 0)
    );
}

#[tokio::test]
async fn a_slow_disk_holds_the_answer_back_no_longer_than_the_limit_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    let metrics = Metrics::new().unwrap().evidence;
    let settings = Settings {
        commit_timeout: Duration::from_millis(100),
        ..settings(folder.path())
    };
    let clock = Clock::system();
    let (evidence, _) =
        Evidence::start_on(settings, &metrics, &clock, None, Box::new(disk.clone())).unwrap();
    disk.slow_ms.store(700, Ordering::SeqCst);
    let noted = required(&evidence, "a").unwrap();
    assert_eq!(
        noted.durable().await.unwrap_err().code(),
        Code::EvidenceSlow
    );
    within("the commit ends", || metrics.records.get() == 1);
    let findings = evidence.findings(clock.now());
    assert!(
        findings
            .iter()
            .any(|f| f["what"].to_string().contains("slow")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_clock_that_steps_back_does_not_take_the_records_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::standing_at(Moment::from_s(1_700_000_100));
    let (evidence, metrics) = start(folder.path(), &FaultyDisk::well(), &clock);
    required(&evidence, "a").unwrap().durable().await.unwrap();
    clock.set(Moment::from_s(1_700_000_040));
    required(&evidence, "b").unwrap().durable().await.unwrap();
    let findings = evidence.findings(clock.now());
    assert_eq!(findings[0]["secondsLeft"], 60, "{findings:?}");
    evidence.stop();
    drop(evidence);
    assert_eq!(metrics.clock_back.get(), 1);
    // A restart remembers.
    let (evidence, _) = start(folder.path(), &FaultyDisk::well(), &clock);
    required(&evidence, "c").unwrap().durable().await.unwrap();
    evidence.stop();
    let log = reader::Log::open(folder.path()).unwrap();
    let read = |n| serde_json::from_slice::<serde_json::Value>(&log.record(n).unwrap()).unwrap();
    assert!(read(0).get("clockBack").is_none());
    for n in [1, 2] {
        assert_eq!(read(n)["time"], read(0)["time"]);
        assert_eq!(read(n)["clockBack"], true);
    }
}

#[test]
fn two_processes_do_not_write_to_one_log_and_a_folder_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_one, _) = start(folder.path(), &FaultyDisk::well(), &Clock::system());
    let metrics = Metrics::new().unwrap().evidence;
    let two = Evidence::start(settings(folder.path()), &metrics, &Clock::system(), None);
    assert!(matches!(two, Err(LogError::Locked(_))));
    // A file where the folder should be, since tests may run as a user whom nothing is read-only for.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let none = Evidence::start(settings(&file), &metrics, &Clock::system(), None);
    assert!(none.unwrap_err().to_string().starts_with("EVD-010"));
}
