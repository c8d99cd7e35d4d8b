//! The log on disks that are torn, full, broken and changed.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use proptest::prelude::*;

use super::*;
use crate::evidence::{disk::RealDisk, heads, index::mark, reader, tree};

/// A real disk with faults on demand.
#[derive(Clone, Debug, Default)]
pub(in crate::evidence) struct FaultyDisk {
    /// Bytes that may still be written; negative: as many as wanted.
    pub(in crate::evidence) room: Arc<AtomicI64>,
    /// Flushes that fail from now on.
    pub(in crate::evidence) broken_syncs: Arc<AtomicU64>,
    /// What the disk says is free.
    pub(in crate::evidence) free: Arc<AtomicU64>,
    /// Milliseconds of each flush.
    pub(in crate::evidence) slow_ms: Arc<AtomicU64>,
}

impl FaultyDisk {
    pub(in crate::evidence) fn well() -> Self {
        let disk = Self::default();
        disk.room.store(-1, Ordering::SeqCst);
        disk.free.store(1 << 40, Ordering::SeqCst);
        disk
    }
}

#[derive(Debug)]
struct FaultyFile(Box<dyn LogFile>, FaultyDisk);

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let real = RealDisk::of(path.to_path_buf()).open(path)?;
        Ok(Box::new(FaultyFile(real, self.clone())))
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

impl LogFile for FaultyFile {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.1.room.load(Ordering::SeqCst);
        let wanted = i64::try_from(bytes.len()).unwrap();
        if room >= 0 && room < wanted {
            // As a full disk does it: some of it is written.
            let some = usize::try_from(room).unwrap();
            self.0.write(&bytes[..some], offset)?;
            self.1.room.store(0, Ordering::SeqCst);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if room >= 0 {
            self.1.room.fetch_sub(wanted, Ordering::SeqCst);
        }
        self.0.write(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        std::thread::sleep(std::time::Duration::from_millis(
            self.1.slow_ms.load(Ordering::SeqCst),
        ));
        if self.1.broken_syncs.load(Ordering::SeqCst) > 0 {
            self.1.broken_syncs.fetch_sub(1, Ordering::SeqCst);
            return Err(io::Error::other("the disk is broken"));
        }
        self.0.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}

fn open(folder: &Path) -> Result<(Log, Found), LogError> {
    Log::open(folder, "misp", Box::new(FaultyDisk::well()))
}

fn line(n: u64, room: usize) -> Line {
    let time = Moment::from_ms(1_700_000_000_000 + i64::try_from(n).unwrap());
    let rest = format!(
        r#","correlationId":"c{n}","caller":{{"id":"p{}"}},"room":"{}"}}"#,
        n % 3,
        "x".repeat(room)
    );
    let mut bytes = br#"{"v":1,"time":""#.to_vec();
    time.push_rfc3339(&mut bytes);
    bytes.push(b'"');
    bytes.extend_from_slice(rest.as_bytes());
    let leaf = tree::leaf_hash(&bytes);
    bytes.push(b'\n');
    Line {
        bytes,
        leaf,
        time,
        correlation: mark(&format!("c{n}")),
        partner: mark(&format!("p{}", n % 3)),
    }
}

/// The definition, word by word.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Tree::empty(PathBuf::new()).root(),
        [one] => *one,
        many => {
            let split = many.len().next_power_of_two() / 2;
            tree::node_hash(&naive(&many[..split]), &naive(&many[split..]))
        }
    }
}

/// Signs nothing: only the content of a head is asked for at a start.
fn write_head(folder: &Path, log: &Log) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    let payload = serde_json::json!({"log": log.id(), "size": log.size(), "root": B64.encode(log.root()), "time": "x"});
    let jws = format!("e30.{}.x\n", B64.encode(payload.to_string()));
    fs::write(heads::path(folder), jws).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any appends, restarts, torn tails, lost derived files and changes of file lead to the tree of the definition, and every record is
    /// found where it is.
    #[test]
    fn whatever_happens_the_log_is_what_was_appended(
        steps in proptest::collection::vec((0_u8..7, 1_usize..6, 0_usize..300), 1..25),
        segment in prop_oneof![Just(300_u64), Just(2_000), Just(1 << 20)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut appended: Vec<Vec<u8>> = Vec::new();
        let (mut log, _) = open(folder).unwrap();
        log.set_segment_bytes(segment);
        for (what, number, room) in steps {
            match what {
                0..=2 => {
                    let from = u64::try_from(appended.len()).unwrap();
                    let lines: Vec<Line> = (0..number).map(|n| line(from + u64::try_from(n).unwrap(), room)).collect();
                    log.append(&lines).unwrap();
                    appended.extend(lines.into_iter().map(|l| l.bytes));
                }
                3 => {
                    log.flush().unwrap();
                    write_head(folder, &log);
                }
                4 => {
                    // A crash in the middle of a write.
                    let path = log.segment.path.clone();
                    drop(log);
                    let torn = line(999_999, room).bytes;
                    let cut = (number * 7).min(torn.len() - 1);
                    let mut bytes = fs::read(&path).unwrap();
                    bytes.extend_from_slice(&torn[..cut]);
                    fs::write(&path, bytes).unwrap();
                    let (opened, found) = open(folder).unwrap();
                    prop_assert_eq!(found.torn_bytes, u64::try_from(cut).unwrap());
                    log = opened;
                    log.set_segment_bytes(segment);
                }
                5 => {
                    drop(log);
                    for entry in fs::read_dir(folder.join("tree")).unwrap() {
                        fs::remove_file(entry.unwrap().path()).unwrap();
                    }
                    log = open(folder).unwrap().0;
                    log.set_segment_bytes(segment);
                }
                _ => {
                    drop(log);
                    log = open(folder).unwrap().0;
                    log.set_segment_bytes(segment);
                }
            }
            let leaves: Vec<Hash> = appended.iter().map(|l| tree::leaf_hash(&l[..l.len() - 1])).collect();
            prop_assert_eq!(log.root(), naive(&leaves));
        }
        log.flush().unwrap();
        let read = reader::Log::open(folder).unwrap();
        prop_assert_eq!(read.size().unwrap(), u64::try_from(appended.len()).unwrap());
        for (n, bytes) in (0_u64..).zip(&appended) {
            prop_assert_eq!(&read.record(n).unwrap(), &bytes[..bytes.len() - 1]);
            prop_assert_eq!(read.subtree(0, n).unwrap(), tree::leaf_hash(&bytes[..bytes.len() - 1]));
            let id = format!("c{n}");
            let query = reader::Query { correlation_id: Some(&id), ..reader::Query::default() };
            prop_assert_eq!(read.find(&query, 9).unwrap(), vec![n]);
        }
        let partner = reader::Query { partner: Some("p1"), ..reader::Query::default() };
        let expected: Vec<u64> = (0..u64::try_from(appended.len()).unwrap()).filter(|n| n % 3 == 1).collect();
        prop_assert_eq!(read.find(&partner, usize::MAX).unwrap(), expected);
    }
}

#[test]
fn look_ups_by_time_take_the_beginning_and_leave_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    log.append(&(0..10).map(|n| line(n, 0)).collect::<Vec<_>>())
        .unwrap();
    log.flush().unwrap();
    let read = reader::Log::open(folder.path()).unwrap();
    let query = reader::Query {
        from: Some(line(3, 0).time),
        until: Some(line(6, 0).time),
        ..reader::Query::default()
    };
    assert_eq!(read.find(&query, 99).unwrap(), [3, 4, 5]);
    assert_eq!(read.find(&query, 2).unwrap(), [3, 4]);
    let all: Vec<u64> = read.records(8..99).unwrap().map(|r| r.unwrap().0).collect();
    assert_eq!(all, [8, 9]);
    assert!(matches!(read.record(10), Err(reader::ReadError::None(10))));
}

#[test]
fn a_full_disk_takes_a_batch_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    let (mut log, _) = Log::open(folder.path(), "misp", Box::new(disk.clone())).unwrap();
    log.append(&[line(0, 0)]).unwrap();
    let root = log.root();
    disk.room.store(150, Ordering::SeqCst);
    let error = log.append(&[line(1, 0), line(2, 0)]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!((log.size(), log.root()), (1, root));
    // There is room again: what was half written is gone.
    disk.room.store(-1, Ordering::SeqCst);
    log.append(&[line(3, 0)]).unwrap();
    log.flush().unwrap();
    drop(log);
    let (log, found) = open(folder.path()).unwrap();
    assert_eq!((log.size(), found.torn_bytes), (2, 0));
}

#[test]
fn a_record_whose_flush_failed_does_not_count_and_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::well();
    let (mut log, _) = Log::open(folder.path(), "misp", Box::new(disk.clone())).unwrap();
    // The flush itself, then the one after the cut.
    disk.broken_syncs.store(2, Ordering::SeqCst);
    assert!(log.append(&[line(0, 0)]).is_err());
    assert!(log.append(&[line(1, 0)]).is_err());
    assert_eq!(log.size(), 0);
    log.append(&[line(2, 0)]).unwrap();
    log.flush().unwrap();
    let read = reader::Log::open(folder.path()).unwrap();
    assert_eq!(
        read.record(0).unwrap(),
        line(2, 0).bytes.strip_suffix(b"\n").unwrap()
    );
}

#[test]
fn a_changed_missing_or_added_record_under_a_head_refuses_the_start() {
    let made = || {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = open(folder.path()).unwrap();
        log.set_segment_bytes(200);
        for n in 0..6 {
            log.append(&[line(n, 40)]).unwrap();
        }
        log.flush().unwrap();
        write_head(folder.path(), &log);
        folder
    };
    let refused = |folder: &Path| match open(folder) {
        Err(error @ LogError::Mismatch { .. }) => assert!(error.to_string().starts_with("EVD-012")),
        other => panic!("{other:?}"),
    };
    // As it is, it opens.
    assert!(!open(made().path()).unwrap().1.rebuilt);
    let folder = made();
    let segments = Segment::all(folder.path()).unwrap();
    assert!(segments.len() > 1);
    let last = &segments[segments.len() - 1].path;
    // One letter of the last record.
    let text = fs::read_to_string(last).unwrap();
    fs::write(
        last,
        text.replace("\"caller\":{\"id\":\"p", "\"caller\":{\"id\":\"q"),
    )
    .unwrap();
    refused(folder.path());
    // One record less.
    let folder = made();
    let last = Segment::all(folder.path()).unwrap().pop().unwrap().path;
    let text = fs::read_to_string(&last).unwrap();
    let one = text.lines().next().unwrap().len() + 1;
    fs::write(&last, &text[..text.len() - one]).unwrap();
    refused(folder.path());
    // A whole file less, at the end and in the middle.
    let folder = made();
    fs::remove_file(Segment::all(folder.path()).unwrap().pop().unwrap().path).unwrap();
    refused(folder.path());
    let folder = made();
    fs::remove_file(&Segment::all(folder.path()).unwrap()[0].path).unwrap();
    refused(folder.path());
    // All of it.
    let folder = made();
    fs::remove_dir_all(folder.path().join("records")).unwrap();
    refused(folder.path());
}

#[test]
fn a_tree_that_does_not_fit_the_records_is_made_anew_when_the_head_fits_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    log.set_segment_bytes(200);
    for n in 0..9 {
        log.append(&[line(n, 40)]).unwrap();
    }
    log.flush().unwrap();
    write_head(folder.path(), &log);
    let root = log.root();
    drop(log);
    let level = folder.path().join("tree/1");
    let mut bytes = fs::read(&level).unwrap();
    bytes.iter_mut().for_each(|b| *b ^= 1);
    fs::write(&level, bytes).unwrap();
    let level = folder.path().join("tree/3");
    let mut bytes = fs::read(&level).unwrap();
    bytes.iter_mut().for_each(|b| *b ^= 1);
    fs::write(&level, bytes).unwrap();
    let (log, found) = open(folder.path()).unwrap();
    assert!(found.rebuilt);
    assert_eq!(log.root(), root);
}

#[test]
fn a_log_keeps_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let name = open(folder.path()).unwrap().0.id().to_owned();
    assert_eq!(name.strip_prefix("misp/").unwrap().len(), 32);
    assert_eq!(open(folder.path()).unwrap().0.id(), name);
}
