use super::*;

const WINDOW: Window = Window {
    back_ms: 60_000,
    forward_ms: 30_000,
};
const NOW: Moment = Moment::from_s(1_000_000);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn fresh(&self, capacity: usize) -> ReplayGuard {
        ReplayGuard::fresh(self.0.path(), WINDOW, capacity).unwrap()
    }

    fn open(&self, now: Moment) -> ReplayGuard {
        ReplayGuard::open(self.0.path(), WINDOW, 100, now).unwrap()
    }
}

fn digest(n: u64) -> [u8; 32] {
    forms::sha256(&n.to_be_bytes())
}

fn code(verdict: Result<(), Refusal>) -> Option<Code> {
    verdict.err().map(|refusal| refusal.code())
}

#[test]
fn a_message_is_taken_once_from_each_party() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    assert_eq!(code(guard.admit("a", &digest(1), NOW, NOW)), None);
    assert_eq!(
        code(guard.admit("a", &digest(1), NOW, NOW)),
        Some(Code::Replayed)
    );
    assert_eq!(code(guard.admit("b", &digest(1), NOW, NOW)), None);
    assert_eq!(code(guard.admit("a", &digest(2), NOW, NOW)), None);
    assert_eq!(guard.entries(), 3);
}

#[test]
fn what_is_outside_the_window_is_never_remembered() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    let (early, late) = (NOW.plus_ms(-60_001), NOW.plus_ms(30_001));
    assert_eq!(
        code(guard.admit("a", &digest(1), early, NOW)),
        Some(Code::Stale)
    );
    assert_eq!(
        code(guard.admit("a", &digest(1), late, NOW)),
        Some(Code::FromTheFuture)
    );
    assert_eq!(guard.entries(), 0);
}

#[test]
fn a_message_is_known_as_long_as_it_can_be_fresh() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    let t = NOW.plus_ms(30_000);
    assert_eq!(code(guard.admit("a", &digest(1), t, NOW)), None);
    // The last moment of its window, and the first after it.
    assert_eq!(
        code(guard.admit("a", &digest(1), t, t.plus_ms(60_000))),
        Some(Code::Replayed)
    );
    assert_eq!(
        code(guard.admit("a", &digest(1), t, t.plus_ms(60_001))),
        Some(Code::Stale)
    );
}

#[test]
fn entries_are_dropped_only_after_their_window_and_the_margin() {
    let folder = Folder::new();
    let guard = folder.fresh(1);
    assert_eq!(code(guard.admit("a", &digest(1), NOW, NOW)), None);
    let end = WINDOW.forgettable_after(NOW).plus_ms(999);
    for (now, expected) in [
        (end.plus_ms(-1), Some(Code::ReplayFull)),
        (end, Some(Code::ReplayFull)),
        (end.plus_ms(1), None),
    ] {
        assert_eq!(
            code(guard.admit("a", &digest(2), now, now)),
            expected,
            "{now:?}"
        );
    }
    assert_eq!(guard.entries(), 1);
}

#[test]
fn a_clock_set_back_does_not_open_what_was_forgotten() {
    let folder = Folder::new();
    let guard = folder.fresh(1);
    assert_eq!(code(guard.admit("a", &digest(1), NOW, NOW)), None);
    let later = NOW.plus_ms(3_600_000);
    assert_eq!(code(guard.admit("a", &digest(2), later, later)), None);
    assert_eq!(
        code(guard.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
}

#[test]
fn a_full_memory_refuses_and_still_knows() {
    let folder = Folder::new();
    let guard = folder.fresh(50);
    for n in 0..50 {
        let party = ["a", "b", "c", "d", "e"][usize::try_from(n).unwrap() / 10];
        assert_eq!(code(guard.admit(party, &digest(n), NOW, NOW)), None, "{n}");
    }
    assert_eq!(
        code(guard.admit("a", &digest(50), NOW, NOW)),
        Some(Code::ReplayFull)
    );
    assert_eq!(
        code(guard.admit("a", &digest(7), NOW, NOW)),
        Some(Code::Replayed)
    );
    assert_eq!((guard.entries(), guard.capacity()), (50, 50));
}

#[test]
fn after_a_kill_nothing_that_was_taken_is_taken_again() {
    let folder = Folder::new();
    let first = folder.fresh(100);
    assert_eq!(code(first.admit("a", &digest(1), NOW, NOW)), None);
    drop(first);
    let second = folder.open(NOW);
    assert_eq!(
        code(second.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
    // Closed up to the mark, open right after it.
    let mark = NOW.plus_ms(RESERVE_MS);
    assert_eq!(second.closed_for_ms(NOW), 5_001);
    assert_eq!(
        code(second.admit("a", &digest(2), mark, mark)),
        Some(Code::ReplayClosed)
    );
    let after = mark.plus_ms(1);
    assert_eq!(second.closed_for_ms(after), 0);
    assert_eq!(code(second.admit("a", &digest(2), after, after)), None);
}

#[test]
fn the_mark_is_written_before_a_later_message_is_taken_and_not_for_each() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    let mark = || std::fs::read_to_string(folder.0.path().join("replay-mark")).unwrap();
    assert_eq!(code(guard.admit("a", &digest(1), NOW, NOW)), None);
    let first = mark();
    assert_eq!(first, format!("{}\n", NOW.plus_ms(RESERVE_MS).ms()));
    let within = NOW.plus_ms(RESERVE_MS);
    assert_eq!(code(guard.admit("a", &digest(2), within, within)), None);
    assert_eq!(mark(), first);
    let beyond = NOW.plus_ms(RESERVE_MS + 1);
    assert_eq!(code(guard.admit("a", &digest(3), beyond, beyond)), None);
    assert_eq!(mark(), format!("{}\n", beyond.plus_ms(RESERVE_MS).ms()));
}

#[test]
fn after_a_clean_stop_only_what_can_have_been_seen_is_closed() {
    let folder = Folder::new();
    let first = folder.fresh(100);
    assert_eq!(code(first.admit("a", &digest(1), NOW, NOW)), None);
    first.close().unwrap();
    let second = folder.open(NOW);
    assert_eq!(
        code(second.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
    let next = NOW.plus_ms(1);
    assert_eq!(code(second.admit("a", &digest(2), next, next)), None);
    // A message after the close is covered again.
    let later = NOW.plus_ms(10);
    assert_eq!(code(first.admit("a", &digest(3), later, later)), None);
    assert_eq!(folder.open(NOW).closed_for_ms(NOW), 10 + 5_000 + 1);
}

#[test]
fn without_a_mark_everything_that_could_be_fresh_is_closed() {
    let folder = Folder::new();
    let guard = folder.open(NOW);
    let last = NOW.plus_ms(30_000);
    assert_eq!(guard.closed_for_ms(NOW), 30_001);
    assert_eq!(
        code(guard.admit("a", &digest(1), last, last)),
        Some(Code::ReplayClosed)
    );
    let after = last.plus_ms(1);
    assert_eq!(code(guard.admit("a", &digest(1), after, after)), None);
}

#[test]
fn a_mark_that_is_not_ours_counts_as_none_and_one_that_cannot_be_read_is_an_error() {
    for garbage in ["", "x", "12", "12\n\n", "99999999999999999999999\n", "\0\n"] {
        let folder = Folder::new();
        std::fs::write(folder.0.path().join("replay-mark"), garbage).unwrap();
        assert_eq!(folder.open(NOW).closed_for_ms(NOW), 30_001, "{garbage:?}");
    }
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("replay-mark")).unwrap();
    assert!(ReplayGuard::open(folder.0.path(), WINDOW, 100, NOW).is_err());
}

#[test]
fn a_mark_that_is_there_holds_for_a_fresh_guard_too() {
    let folder = Folder::new();
    assert_eq!(
        code(folder.fresh(100).admit("a", &digest(1), NOW, NOW)),
        None
    );
    assert_eq!(
        code(folder.fresh(100).admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
}

#[test]
fn a_mark_that_cannot_be_written_refuses_the_message_and_its_replay() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    std::fs::remove_dir_all(folder.0.path()).unwrap();
    assert_eq!(
        code(guard.admit("a", &digest(1), NOW, NOW)),
        Some(Code::Fault)
    );
    assert_eq!(
        code(guard.admit("a", &digest(1), NOW, NOW)),
        Some(Code::Replayed)
    );
}

#[test]
fn of_many_threads_one_gets_the_message_in() {
    let folder = Folder::new();
    let guard = folder.fresh(10_000);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..200 {
                    let t = NOW.plus_ms(i64::try_from(n).unwrap() * 40);
                    if guard.admit("a", &digest(n), t, NOW).is_ok() {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::Relaxed), 200);
    assert_eq!(guard.entries(), 200);
}

/// Through bytes, as between two processes.
fn through(guard: &ReplayGuard) -> Handed {
    let mut bytes = Vec::new();
    guard.hand_over().write(&mut bytes).unwrap();
    Handed::read(&mut bytes.as_slice()).unwrap()
}

#[test]
fn the_next_process_refuses_what_this_one_accepted_and_takes_everything_else_at_once() {
    let folder = Folder::new();
    let old = folder.fresh(100);
    for n in 0..50 {
        assert_eq!(code(old.admit("a", &digest(n), NOW, NOW)), None);
    }
    let new = ReplayGuard::take_over(folder.0.path(), WINDOW, 100, through(&old)).unwrap();
    assert_eq!(new.entries(), 50);
    assert_eq!(new.closed_for_ms(NOW), 0);
    for n in 0..50 {
        assert_eq!(
            code(new.admit("a", &digest(n), NOW, NOW)),
            Some(Code::Replayed)
        );
    }
    // A kill would have closed this moment; a hand-over does not.
    assert_eq!(code(new.admit("a", &digest(50), NOW, NOW)), None);
}

#[test]
fn who_has_handed_over_accepts_nothing_and_leaves_the_mark_alone() {
    let folder = Folder::new();
    let old = folder.fresh(100);
    assert_eq!(code(old.admit("a", &digest(1), NOW, NOW)), None);
    let new = ReplayGuard::take_over(folder.0.path(), WINDOW, 100, through(&old)).unwrap();
    let later = NOW.plus_ms(20_000);
    assert_eq!(code(new.admit("a", &digest(2), later, NOW)), None);
    let mark = std::fs::read(folder.0.path().join("replay-mark")).unwrap();
    for t in [NOW, later.plus_ms(9_000)] {
        assert_eq!(
            code(old.admit("a", &digest(3), t, NOW)),
            Some(Code::ReplayClosed)
        );
    }
    old.close().unwrap();
    assert_eq!(
        std::fs::read(folder.0.path().join("replay-mark")).unwrap(),
        mark
    );
}

#[test]
fn a_kill_after_a_hand_over_closes_all_that_either_process_accepted() {
    let folder = Folder::new();
    let old = folder.fresh(100);
    let t = NOW.plus_ms(29_000);
    assert_eq!(code(old.admit("a", &digest(1), t, NOW)), None);
    drop(ReplayGuard::take_over(folder.0.path(), WINDOW, 100, through(&old)).unwrap());
    let after = folder.open(NOW);
    assert_eq!(
        code(after.admit("a", &digest(1), t, NOW)),
        Some(Code::ReplayClosed)
    );
}

#[test]
fn a_memory_that_was_closed_stays_closed_for_the_next_process() {
    let folder = Folder::new();
    let old = folder.open(NOW);
    let new = ReplayGuard::take_over(folder.0.path(), WINDOW, 100, through(&old)).unwrap();
    assert_eq!(new.closed_for_ms(NOW), old.closed_for_ms(NOW));
    assert_eq!(
        code(new.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
}

#[test]
fn what_was_forgotten_is_not_taken_by_the_next_process_with_its_clock_set_back() {
    let folder = Folder::new();
    let old = folder.fresh(100);
    assert_eq!(code(old.admit("a", &digest(1), NOW, NOW)), None);
    // Every shard forgets.
    let later = NOW.plus_ms(200_000);
    for n in 2..80 {
        assert_eq!(code(old.admit("a", &digest(n), later, later)), None);
    }
    let new = ReplayGuard::take_over(folder.0.path(), WINDOW, 100, through(&old)).unwrap();
    assert_eq!(
        code(new.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
}

#[test]
fn a_hand_over_that_is_cut_short_or_too_long_is_none() {
    let folder = Folder::new();
    let guard = folder.fresh(100);
    for n in 0..5 {
        assert_eq!(code(guard.admit("a", &digest(n), NOW, NOW)), None);
    }
    let mut bytes = Vec::new();
    guard.hand_over().write(&mut bytes).unwrap();
    for length in 0..bytes.len() {
        assert!(Handed::read(&mut &bytes[..length]).is_err(), "{length}");
    }
    let mut long = bytes[..24].to_vec();
    long.extend_from_slice(&((1_u64 << 24) + 1).to_be_bytes());
    assert!(Handed::read(&mut long.as_slice()).is_err());
}
#[test]
fn one_party_cannot_fill_the_memory_for_the_others() {
    let folder = Folder::new();
    let guard = folder.fresh(900);
    let taken = (0..900).take_while(|n| guard.admit("hog", &digest(*n), NOW, NOW).is_ok());
    assert_eq!(taken.count(), 800);
    assert_eq!(
        code(guard.admit("hog", &digest(9_999), NOW, NOW)),
        Some(Code::ReplayFull)
    );
    assert_eq!(code(guard.admit("other", &digest(1), NOW, NOW)), None);
    // What is forgotten is its own again.
    let later = NOW.plus_ms(3_600_000);
    assert_eq!(code(guard.admit("hog", &digest(1), later, later)), None);
    assert_eq!(guard.entries(), 1);
}

#[test]
fn what_was_decided_elsewhere_is_remembered_even_when_closed_after_a_start() {
    let folder = Folder::new();
    let guard = folder.open(NOW);
    assert_eq!(
        code(guard.admit("a", &digest(1), NOW, NOW)),
        Some(Code::ReplayClosed)
    );
    assert_eq!(code(guard.remember_too("a", &digest(1), NOW, NOW)), None);
    assert_eq!(
        code(guard.remember_too("a", &digest(1), NOW, NOW)),
        Some(Code::Replayed)
    );
}
