//! Proofs over the log's Merkle tree (RFC 9162 section 2.1): that a leaf is in a tree, and that a later tree extends an earlier one.
//!
//! Making a proof needs the hashes of complete subtrees, which the log keeps in files; checking one needs nothing but the proof.

use aws_lc_rs::digest::{SHA256, digest};

pub use super::tree::{Hash, leaf_hash, node_hash};

/// The longest proof: a path in a tree of 2^64 leaves, and the hash in which a consistency proof begins.
pub const PROOF_MAX: usize = 65;

/// Where the hashes of complete subtrees come from.
pub trait Subtrees {
    /// Why one cannot be had.
    type Error;

    /// The hash over the leaves `index · 2^level` to `(index + 1) · 2^level`, the last one not included.
    ///
    /// # Errors
    /// When it cannot be read.
    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Hash of the tree without leaves.
pub fn empty_root() -> Hash {
    digest(&SHA256, &[]).as_ref().try_into().unwrap_or_default()
}

/// The tree's hash over its first `size` leaves.
///
/// # Errors
/// When a subtree cannot be read.
pub fn root<S: Subtrees>(tree: &S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    range(tree, 0, size)
}

/// The inclusion proof of leaf `index` in the tree over the first `size` leaves (section 2.1.3.1); `None` where there is no such
/// leaf.
///
/// # Errors
/// When a subtree cannot be read.
pub fn inclusion<S: Subtrees>(
    tree: &S,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, S::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to.saturating_sub(from) > 1 {
        let middle = split(from, to);
        if index < middle {
            proof.push(range(tree, middle, to)?);
            to = middle;
        } else {
            proof.push(range(tree, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// The proof that the tree over `later` leaves extends the one over `earlier` (section 2.1.4.1); `None` where `earlier` is more.
/// It is empty where both are the same or the earlier one had no leaves.
///
/// # Errors
/// When a subtree cannot be read.
pub fn consistency<S: Subtrees>(
    tree: &S,
    earlier: u64,
    later: u64,
) -> Result<Option<Vec<Hash>>, S::Error> {
    if earlier > later {
        return Ok(None);
    }
    if earlier == later || earlier == 0 {
        return Ok(Some(Vec::new()));
    }
    // Down to the subtree that ends where the earlier tree ends; on the way, what stands beside.
    let (mut from, mut to, mut proof) = (0, later, Vec::new());
    while to != earlier {
        let middle = split(from, to);
        if earlier <= middle {
            proof.push(range(tree, middle, to)?);
            to = middle;
        } else {
            proof.push(range(tree, from, middle)?);
            from = middle;
        }
    }
    // Where that subtree is the whole earlier tree, the verifier has its hash.
    if from != 0 {
        proof.push(range(tree, from, to)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether the proof leads from the leaf to the root (section 2.1.3.2).
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut reached = *leaf;
    for beside in proof {
        if last == 0 {
            return false;
        }
        if is_odd(node) || node == last {
            reached = node_hash(beside, &reached);
            while !is_odd(node) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            reached = node_hash(&reached, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && reached == *root
}

/// Whether the proof shows that the later tree extends the earlier one (section 2.1.4.2).
pub fn extends(earlier: (u64, &Hash), later: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((first, first_root), (second, second_root)) = (earlier, later);
    if first == 0 {
        return proof.is_empty() && *first_root == empty_root();
    }
    if first == second {
        return proof.is_empty() && first_root == second_root;
    }
    if first > second {
        return false;
    }
    let own = first.is_power_of_two().then_some(first_root);
    let mut path = own.into_iter().chain(proof);
    let Some(begin) = path.next() else {
        return false;
    };
    let (mut node, mut last) = (first.saturating_sub(1), second.saturating_sub(1));
    while is_odd(node) {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old, mut new) = (*begin, *begin);
    for beside in path {
        if last == 0 {
            return false;
        }
        if is_odd(node) || node == last {
            old = node_hash(beside, &old);
            new = node_hash(beside, &new);
            while !is_odd(node) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old == *first_root && new == *second_root
}

const fn is_odd(number: u64) -> bool {
    number & 1 == 1
}

/// Where a range of more than one leaf splits: the largest power of two below its length. `from` is a multiple of that.
const fn split(from: u64, to: u64) -> u64 {
    let below = to.saturating_sub(from).saturating_sub(1);
    from.saturating_add(1 << below.ilog2())
}

/// The hash over the leaves of a range that begins at a multiple of the power of two at or above its length.
fn range<S: Subtrees>(tree: &S, from: u64, to: u64) -> Result<Hash, S::Error> {
    // Complete subtrees from the left, folded from the right.
    let (mut at, mut parts) = (from, Vec::new());
    while at < to {
        let level = to.saturating_sub(at).ilog2();
        parts.push(tree.subtree(level, at >> level)?);
        at = at.saturating_add(1 << level);
    }
    let folded = parts
        .into_iter()
        .rev()
        .reduce(|right, left| node_hash(&left, &right));
    Ok(folded.unwrap_or_else(empty_root))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests on small numbers")]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Leaves, hashed as the definition says it and not as the code above does it.
    struct Leaves(Vec<Hash>);

    impl Leaves {
        fn of(size: u64) -> Self {
            Self((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect())
        }

        fn defined(leaves: &[Hash]) -> Hash {
            match leaves {
                [] => empty_root(),
                [one] => *one,
                many => {
                    let mut k = 1;
                    while k * 2 < many.len() {
                        k *= 2;
                    }
                    node_hash(&Self::defined(&many[..k]), &Self::defined(&many[k..]))
                }
            }
        }

        fn root_of(&self, size: u64) -> Hash {
            Self::defined(&self.0[..usize::try_from(size).unwrap()])
        }
    }

    impl Subtrees for Leaves {
        type Error = Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
            let from = usize::try_from(index << level).unwrap();
            Ok(Self::defined(&self.0[from..from + (1 << level)]))
        }
    }

    #[test]
    fn the_empty_tree_and_one_leaf_hash_as_rfc_9162_says() {
        // Known answers of the Certificate Transparency reference tests.
        let hex = |h: Hash| h.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn every_leaf_of_every_size_is_included_and_every_size_extends_every_smaller_one() {
        let tree = Leaves::of(130);
        for size in 0..=130 {
            let now = root(&tree, size).unwrap();
            assert_eq!(now, tree.root_of(size));
            assert_eq!(inclusion(&tree, size, size).unwrap(), None);
            for index in 0..size {
                let proof = inclusion(&tree, index, size).unwrap().unwrap();
                let leaf = tree.0[usize::try_from(index).unwrap()];
                assert!(includes(&leaf, index, size, &proof, &now));
                assert!(!includes(&leaf, size, size, &proof, &now));
            }
            for earlier in 0..=size {
                let proof = consistency(&tree, earlier, size).unwrap().unwrap();
                let then = tree.root_of(earlier);
                assert!(
                    extends((earlier, &then), (size, &now), &proof),
                    "{earlier} {size}"
                );
            }
            assert_eq!(consistency(&tree, size + 1, size).unwrap(), None);
        }
    }

    fn flip(hash: &mut Hash, bit: usize) {
        hash[bit / 8] ^= 1 << (bit % 8);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_an_inclusion_proof_is_found(
            size in 1_u64..400, at in any::<u64>(), which in any::<usize>(), bit in 0_usize..256,
        ) {
            let tree = Leaves::of(size);
            let index = at % size;
            let mut proof = inclusion(&tree, index, size).unwrap().unwrap();
            let mut leaf = tree.0[usize::try_from(index).unwrap()];
            let mut now = root(&tree, size).unwrap();
            prop_assert!(includes(&leaf, index, size, &proof, &now));
            prop_assert!(!includes(&leaf, index ^ (1 << (bit % 64)), size, &proof, &now));
            let mut longer = proof.clone();
            longer.push(now);
            prop_assert!(!includes(&leaf, index, size, &longer, &now));
            match which % (proof.len() + 2) {
                0 => flip(&mut leaf, bit),
                1 => flip(&mut now, bit),
                n => flip(&mut proof[n - 2], bit),
            }
            prop_assert!(!includes(&leaf, index, size, &proof, &now));
        }

        #[test]
        fn any_flipped_bit_of_a_consistency_proof_is_found(
            size in 2_u64..400, at in any::<u64>(), which in any::<usize>(), bit in 0_usize..256,
        ) {
            let tree = Leaves::of(size);
            let earlier = at % (size - 1) + 1;
            let mut proof = consistency(&tree, earlier, size).unwrap().unwrap();
            let (mut then, mut now) = (root(&tree, earlier).unwrap(), root(&tree, size).unwrap());
            prop_assert!(extends((earlier, &then), (size, &now), &proof));
            prop_assert!(!extends((size, &now), (earlier, &then), &proof));
            prop_assert!(!extends((earlier, &then), (size, &now), &proof[1..]));
            match which % (proof.len() + 2) {
                0 => flip(&mut then, bit),
                1 => flip(&mut now, bit),
                n => flip(&mut proof[n - 2], bit),
            }
            prop_assert!(!extends((earlier, &then), (size, &now), &proof));
        }

        #[test]
        fn a_tree_whose_leaf_was_rewritten_does_not_extend_the_one_before(
            size in 2_u64..200, at in any::<u64>(), changed in any::<u64>(),
        ) {
            let (tree, mut other) = (Leaves::of(size), Leaves::of(size));
            let earlier = at % (size - 1) + 1;
            other.0[usize::try_from(changed % earlier).unwrap()] = leaf_hash(b"another");
            let then = root(&tree, earlier).unwrap();
            let now = root(&other, size).unwrap();
            for source in [&tree, &other] {
                let proof = consistency(source, earlier, size).unwrap().unwrap();
                prop_assert!(!extends((earlier, &then), (size, &now), &proof));
            }
        }
    }
}
