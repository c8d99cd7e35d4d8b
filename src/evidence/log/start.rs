//! What a start finds on disk: the log's name, files that follow one another, the last file's whole records, and the tree over them all.

use std::{fs, io, path::Path};

use crate::{
    clock::Moment,
    evidence::{
        head,
        index::{ENTRY, Entry, Segment},
        tree::{self, Hash, Tree},
    },
};

/// The log's name, made with it.
pub(super) fn identity(folder: &Path, gateway: &str) -> io::Result<String> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Identity {
        log: String,
        v: u32,
    }
    let path = folder.join("log.json");
    match fs::read(&path) {
        Ok(bytes) => {
            let read: Identity = serde_json::from_slice(&bytes)?;
            return Ok(read.log);
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut random = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
    let hex: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let log = format!("{gateway}/{hex}");
    let made = Identity { log, v: 1 };
    let beside = folder.join("log.json.new");
    let file = fs::File::create(&beside)?;
    serde_json::to_writer(&file, &made)?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(made.log)
}

/// Whether each file begins where the one before it ends.
pub(super) fn contiguous(whole: &[Segment], last: &Segment) -> Result<(), String> {
    let mut expected = 0;
    for segment in whole.iter().chain(std::iter::once(last)) {
        if segment.first != expected {
            return Err(format!(
                "the records from {expected} on are missing; the next file begins with {}",
                segment.first
            ));
        }
        if segment == last {
            break;
        }
        expected = expected.saturating_add(count(segment).map_err(|e| e.to_string())?);
    }
    Ok(())
}

/// Records in a file that is complete: what its index says where that fits, else its lines.
fn count(segment: &Segment) -> io::Result<u64> {
    let bytes = fs::metadata(&segment.path)?.len();
    let index = fs::read(segment.index()).unwrap_or_default();
    let last = index.rchunks(ENTRY).next().and_then(Entry::from_bytes);
    if index.len().is_multiple_of(ENTRY) && last.is_some_and(|entry| entry.end == bytes) {
        return Ok(u64::try_from(index.len() / ENTRY).unwrap_or(u64::MAX));
    }
    let tail = Tail::read(segment)?;
    if tail.torn > 0 {
        let what = format!(
            "{} holds something that is no record",
            segment.path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    fs::write(segment.index(), &tail.index)?;
    Ok(tail.records())
}

/// What stands in the last file.
pub(super) struct Tail {
    pub(super) length: u64,
    pub(super) torn: u64,
    pub(super) torn_content: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) leaves: Vec<Hash>,
    pub(super) last_time: Option<Moment>,
}

impl Tail {
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.leaves.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn read(segment: &Segment) -> io::Result<Self> {
        let bytes = fs::read(&segment.path)?;
        let mut tail = Self {
            length: 0,
            torn: 0,
            torn_content: Vec::new(),
            index: Vec::new(),
            leaves: Vec::new(),
            last_time: None,
        };
        let mut rest = bytes.as_slice();
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, behind) = rest.split_at_checked(at).unwrap_or_default();
            let taken = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
            let end = tail.length.saturating_add(taken);
            let Some(entry) = Entry::of(line, end) else {
                break;
            };
            tail.length = end;
            tail.index.extend_from_slice(&entry.to_bytes());
            tail.leaves.push(tree::leaf_hash(line));
            tail.last_time = Some(entry.time);
            rest = behind.get(1..).unwrap_or_default();
        }
        tail.torn = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        tail.torn_content = rest.to_vec();
        Ok(tail)
    }
}

pub(super) fn keep_torn(folder: &Path, segment: &Segment, tail: &Tail) -> io::Result<()> {
    let torn = folder.join("torn");
    fs::create_dir_all(&torn)?;
    let index = segment.first.saturating_add(tail.records());
    fs::write(torn.join(format!("{index:020}.bin")), &tail.torn_content)
}

/// The tree over all records, from its files where they fit, else made anew; `None` when neither leads to the last head.
pub(super) fn tree_of(
    folder: &Path,
    whole: &[Segment],
    last: &Segment,
    leaves: &[Hash],
    size: u64,
    head: Option<&head::Head>,
) -> io::Result<Option<(Tree, bool)>> {
    let place = folder.join("tree");
    // The files as far as they go before the last file of records, and the last file's hashes as they were computed now.
    let mut tree = Tree::load(place.clone(), last.first)?;
    if let Some(tree) = &mut tree {
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.flush()?;
        cut(&place, size)?;
    }
    let fits = |place: &Path| -> io::Result<bool> {
        match head {
            None => Ok(true),
            Some(head) => Ok(tree::root_at(place, head.size)? == Some(head.root)),
        }
    };
    if let Some(tree) = tree
        && fits(&place)?
    {
        return Ok(Some((tree, false)));
    }
    let mut anew = Tree::empty(place.clone());
    for segment in whole {
        let bytes = fs::read(&segment.path)?;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            anew.push(tree::leaf_hash(line.strip_suffix(b"\n").unwrap_or(line)));
        }
    }
    leaves.iter().for_each(|leaf| anew.push(*leaf));
    anew.flush()?;
    cut(&place, size)?;
    Ok(fits(&place)?.then_some((anew, true)))
}

/// Leaves nothing in the tree's files behind what belongs to `size` leaves.
fn cut(place: &Path, size: u64) -> io::Result<()> {
    for level in 0..u64::BITS {
        let path = place.join(level.to_string());
        let right = (size >> level).saturating_mul(32);
        match fs::metadata(&path) {
            Ok(meta) if meta.len() > right => {
                fs::OpenOptions::new()
                    .write(true)
                    .open(&path)?
                    .set_len(right)?;
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
