//! The Merkle tree of the log as it grows: a frontier in memory, and every complete subtree's hash in flat files, so that a
//! proof over any number of leaves reads O(log n) hashes.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Bytes of a hash in the files.
const HASH: u64 = 32;

/// Hash of a leaf (RFC 9162 section 2.1.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    hash(&[&[0], leaf])
}

/// Hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The tree over the leaves appended so far.
#[derive(Debug)]
pub(super) struct Tree {
    folder: PathBuf,
    size: u64,
    /// The hash of the rightmost complete subtree at each level; it counts where the size has that bit.
    frontier: Vec<Hash>,
    /// Hashes that are not in the files yet, by level, and how many are.
    pending: Vec<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    written: u64,
    hashes: Vec<u8>,
}

impl Tree {
    /// An empty tree whose files are written anew.
    pub(super) const fn empty(folder: PathBuf) -> Self {
        Self {
            folder,
            size: 0,
            frontier: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The tree over the first `size` leaves as the files have it; `None` where they are missing or short.
    pub(super) fn load(folder: PathBuf, size: u64) -> io::Result<Option<Self>> {
        let levels = u64::BITS.saturating_sub(size.leading_zeros());
        let mut tree = Self {
            folder,
            size,
            frontier: Vec::new(),
            pending: Vec::new(),
        };
        for level in 0..levels {
            let complete = size >> level;
            let Some(last) = read_hash(&tree.folder, level, complete.saturating_sub(1))? else {
                return Ok(None);
            };
            tree.frontier.push(last);
            tree.pending.push(Pending {
                written: complete,
                hashes: Vec::new(),
            });
        }
        Ok(Some(tree))
    }

    /// Leaves so far.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub(super) fn push(&mut self, leaf: Hash) {
        let mut carried = leaf;
        let mut level = 0_u32;
        loop {
            let at = usize::try_from(level).unwrap_or(usize::MAX);
            if self.pending.len() <= at {
                self.pending.push(Pending::default());
                self.frontier.push([0; 32]);
            }
            if let Some(pending) = self.pending.get_mut(at) {
                pending.hashes.extend_from_slice(&carried);
            }
            let Some(here) = self.frontier.get_mut(at) else {
                break;
            };
            let left = std::mem::replace(here, carried);
            if (self.size >> level) & 1 == 0 {
                break;
            }
            carried = node_hash(&left, &carried);
            level = level.saturating_add(1);
        }
        self.size = self.size.saturating_add(1);
    }

    /// The hash of the whole tree.
    pub(super) fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for (level, hash) in self.frontier.iter().enumerate() {
            if (self.size >> level) & 1 == 1 {
                root = Some(root.map_or(*hash, |right| node_hash(hash, &right)));
            }
        }
        root.unwrap_or_else(|| hash(&[]))
    }

    /// Hashes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.pending.first().map_or(0, |p| p.hashes.len() / 32)
    }

    /// Writes what is new. After an error everything is written the next time.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for (level, pending) in self.pending.iter_mut().enumerate() {
            if pending.hashes.is_empty() {
                continue;
            }
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.folder.join(level.to_string()))?;
            file.write_all_at(&pending.hashes, pending.written.saturating_mul(HASH))?;
            let count = u64::try_from(pending.hashes.len() / 32).unwrap_or(0);
            pending.written = pending.written.saturating_add(count);
            pending.hashes.clear();
        }
        Ok(())
    }
}

/// The hash of a complete subtree; `None` where the file does not have it.
pub(super) fn read_hash(folder: &Path, level: u32, index: u64) -> io::Result<Option<Hash>> {
    let file = match File::open(folder.join(level.to_string())) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut hash = [0; 32];
    match file.read_exact_at(&mut hash, index.saturating_mul(HASH)) {
        Ok(()) => Ok(Some(hash)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// The hash of the tree over the first `size` leaves, from the files; `None` where they are short.
pub(super) fn root_at(folder: &Path, size: u64) -> io::Result<Option<Hash>> {
    let mut root: Option<Hash> = None;
    for level in 0..u64::BITS {
        if (size >> level) & 1 == 0 {
            continue;
        }
        let index = (size >> level).saturating_sub(1);
        let Some(left) = read_hash(folder, level, index)? else {
            return Ok(None);
        };
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(Some(root.unwrap_or_else(|| hash(&[]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                node_hash(&naive(&many[..split]), &naive(&many[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_for_every_size_in_memory_and_from_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::empty(folder.path().to_path_buf());
        let mut leaves = Vec::new();
        for n in 0_u64..=130 {
            assert_eq!(tree.root(), naive(&leaves), "{n}");
            if n % 7 == 0 {
                tree.flush().unwrap();
                for m in 0..=n {
                    let expected = naive(&leaves[..usize::try_from(m).unwrap()]);
                    let read = root_at(folder.path(), m).unwrap();
                    assert_eq!(read, Some(expected), "{m} of {n}");
                }
                let again = Tree::load(folder.path().to_path_buf(), n).unwrap().unwrap();
                assert_eq!(again.root(), tree.root());
                tree = again;
            }
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            tree.push(leaf);
        }
    }

    #[test]
    fn short_files_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::empty(folder.path().to_path_buf());
        (0_u64..5).for_each(|n| tree.push(leaf_hash(&n.to_be_bytes())));
        tree.flush().unwrap();
        assert!(
            Tree::load(folder.path().to_path_buf(), 6)
                .unwrap()
                .is_none()
        );
        assert_eq!(root_at(folder.path(), 6).unwrap(), None);
    }

    #[test]
    fn the_empty_tree_has_the_hash_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::empty(folder.path().to_path_buf());
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let shown: String = tree.root().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(shown, expected);
    }
}
