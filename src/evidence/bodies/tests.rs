//! Kept bodies: that they open, until they are erased alone, and that what was erased takes no room.

use super::*;
use crate::keys::Secret;

fn bodies(folder: &Path) -> Bodies {
    Bodies::new(folder, Vault::new(&[Secret::new(vec![7; 32])]).unwrap())
}

fn keep(bodies: &Bodies, partner: &str, body: &[u8]) -> (Batch, Sealed) {
    let batch = bodies.begin(Moment::from_s(0), partner).unwrap();
    let sealed = bodies.seal(&batch, Which::Request, body).unwrap();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&sealed.key.sealed)
        .unwrap();
    file.write_all(&sealed.entry).unwrap();
    (batch, sealed)
}

#[test]
fn a_kept_body_opens_with_its_digests_until_its_key_is_erased_alone() {
    let folder = tempfile::tempdir().unwrap();
    let kept = bodies(folder.path());
    let (one, sealed) = keep(&kept, "crvs", b"who it was");
    let (other, _) = keep(&kept, "bank", b"somebody else");
    assert!(!sealed.entry.windows(6).any(|w| w == b"who it"));
    let opened = kept
        .open(&one.key.name, one.id, Which::Request)
        .unwrap()
        .unwrap();
    assert_eq!(
        (opened.body(), opened.plain_digest()),
        (&b"who it was"[..], sealed.plain)
    );
    assert!(
        kept.open(&one.key.name, one.id, Which::Answer)
            .unwrap()
            .is_none()
    );

    let gone = erase(folder.path(), "1970-01-01", "crvs").unwrap();
    assert_eq!(gone, ["1970-01-01/crvs-1"]);
    assert!(
        kept.open(&one.key.name, one.id, Which::Request)
            .unwrap()
            .is_none()
    );
    assert!(
        kept.open(&other.key.name, other.id, Which::Request)
            .unwrap()
            .is_some()
    );
    // The same process goes on with another key.
    let (next, _) = keep(&kept, "crvs", b"later");
    assert_eq!(next.key.name, "1970-01-01/crvs-2");
    assert_eq!(
        erase(folder.path(), "1970-01-01", "crvs").unwrap(),
        ["1970-01-01/crvs-2"]
    );
    assert!(
        erase(folder.path(), "1970-01-01", "nobody")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_body_under_another_store_key_or_name_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let (batch, _) = keep(&bodies(folder.path()), "crvs", b"x");
    let other = Bodies::new(
        folder.path(),
        Vault::new(&[Secret::new(vec![8; 32])]).unwrap(),
    );
    assert!(matches!(
        other.open(&batch.key.name, batch.id, Which::Request),
        Err(BodyError::Key(_))
    ));
    let keys = folder.path().join("bodies/keys/1970-01-01");
    fs::copy(keys.join("crvs-1.key"), keys.join("bank-1.key")).unwrap();
    let moved = bodies(folder.path()).open("1970-01-01/bank-1", batch.id, Which::Request);
    assert!(matches!(moved, Err(BodyError::Key(_))));
}

#[test]
fn a_name_that_would_be_another_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (day, partner) in [
        ("..", "x"),
        ("1970-01-01", "../x"),
        ("1970-01-0a", "x"),
        ("1970-01-01", ""),
    ] {
        assert!(
            matches!(erase(folder.path(), day, partner), Err(BodyError::Name(_))),
            "{day} {partner}"
        );
    }
}

#[test]
fn what_is_erased_gives_its_room_back_and_what_others_said_stays() {
    let folder = tempfile::tempdir().unwrap();
    let kept = bodies(folder.path());
    let (one, _) = keep(&kept, "crvs", &[b'x'; 100_000]);
    let (other, _) = keep(&kept, "crvs-2", b"of a partner with a name like a key's");
    assert!(one.key.sealed.metadata().unwrap().len() > 100_000);
    erase(folder.path(), "1970-01-01", "crvs").unwrap();
    assert!(!one.key.sealed.exists() && one.key.is_erased());
    assert!(other.key.sealed.exists());
    let opened = kept.open(&other.key.name, other.id, Which::Request);
    assert!(opened.unwrap().is_some());
    // In the moment of erasing somebody wrote once more: who writes looks after that.
    fs::write(&one.key.sealed, b"too late").unwrap();
    kept.look_after(Moment::from_s(1));
    assert!(!one.key.sealed.exists());
}

#[test]
fn an_erasing_that_was_cut_off_anywhere_is_ended_by_the_next_start_or_by_asking_again() {
    for again in [false, true] {
        for cut in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let kept = bodies(folder.path());
            let (batch, _) = keep(&kept, "crvs", b"who it was");
            let files = Files::of(&folder.path().join("bodies"), &batch.key.name);
            fs::write(&files.erased, b"").unwrap();
            if cut > 0 {
                let length = files.key.metadata().unwrap().len();
                fs::write(&files.key, vec![0; usize::try_from(length).unwrap()]).unwrap();
            }
            if cut > 1 {
                fs::remove_file(&files.key).unwrap();
            }
            // Nothing new comes under it from the first moment on.
            let (next, _) = keep(&kept, "crvs", b"later");
            assert_eq!(next.key.name, "1970-01-01/crvs-2");
            if again {
                erase(folder.path(), "1970-01-01", "crvs").unwrap();
                assert!(!next.key.sealed.exists(), "all of the day is erased");
            } else {
                finish(folder.path()).unwrap();
                assert!(next.key.sealed.exists(), "what was not erased stays");
            }
            assert!(!files.key.exists() && !files.sealed.exists() && files.erased.exists());
        }
    }
}
