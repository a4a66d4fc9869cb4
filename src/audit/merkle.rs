//! The Merkle tree over all records of a log (RFC 6962 section 2.1).
//!
//! Leaf `i`, counted from 0, is the record with `seq` `i + 1`; its data are the 32 bytes of that record's `hash`. Nothing here holds
//! more than the roots of the perfect subtrees, of which there are at most 64.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};
use smallvec::SmallVec;

use super::chain::{HASH_BYTES, Link, array};

/// The hash of a node.
pub(super) type Node = [u8; HASH_BYTES];

/// Nodes of a path: more than there are in a tree of 2^64 leaves.
pub(super) const PATH_NODES_MAX: usize = 64;

/// The tree of the leaves so far: the roots of its perfect subtrees, the largest first, one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frontier {
    size: u64,
    parts: Vec<Node>,
}

impl Frontier {
    /// The empty tree.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The tree of that size with these parts; `None` unless there is one for each bit.
    pub(super) fn from_parts(size: u64, parts: Vec<Node>) -> Option<Self> {
        (parts.len() == bits(size)).then_some(Self { size, parts })
    }

    /// Adds a leaf: constant time on average, at most 64 hashes.
    pub(super) fn push(&mut self, link: Link) {
        let mut node = leaf(link);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.parts.pop() {
                node = join(&left, &node);
            }
        }
        self.parts.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// Leaves so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first.
    pub(super) fn parts(&self) -> &[Node] {
        &self.parts
    }

    /// The root of the tree. That of the empty tree is the SHA-256 of nothing.
    pub(super) fn root(&self) -> Node {
        let mut parts = self.parts.iter().rev();
        match parts.next() {
            Some(last) => parts.fold(*last, |right, left| join(left, &right)),
            None => array(digest(&SHA256, b"").as_ref()),
        }
    }

    /// The part of this tree in `range`, as a tree of its own. `range` starts where one of the parts or, if it is longer than what is
    /// here, a run of them does.
    fn within(&self, range: &Range<u64>) -> Self {
        let (mut start, mut inside) = (0_u64, Self::new());
        let mut sizes = (0..u64::BITS).rev().map(|bit| 1_u64 << bit).filter(|size| self.size & size != 0);
        for part in &self.parts {
            let size = sizes.next().unwrap_or(0);
            if start >= range.start && start < range.end {
                inside.parts.push(*part);
                inside.size += size;
            }
            start += size;
        }
        inside
    }
}

/// Makes the path from a leaf to the root of a tree as the leaves go by (RFC 6962 section 2.1.1).
pub(super) struct PathMaker {
    /// Next leaf to come.
    next: u64,
    /// The subtrees of which the path has the roots, the lowest first: which leaves they have, and those seen.
    subtrees: Vec<(Range<u64>, Frontier)>,
}

impl PathMaker {
    /// For leaf `index` of a tree with `size` leaves, of which those in `before` need not be shown again. `None` unless
    /// `before.size() <= index < size`.
    pub(super) fn new(index: u64, size: u64, before: &Frontier) -> Option<Self> {
        if index >= size || before.size() > index {
            return None;
        }
        let subtrees = siblings(index, size).into_iter().map(|range| {
            let seen = before.within(&range);
            (range, seen)
        });
        Some(Self { next: before.size(), subtrees: subtrees.collect() })
    }

    /// The next leaf.
    pub(super) fn push(&mut self, link: Link) {
        let at = self.next;
        if let Some((_, seen)) = self.subtrees.iter_mut().find(|(range, _)| range.contains(&at)) {
            seen.push(link);
        }
        self.next = at.saturating_add(1);
    }

    /// The path, the lowest node first; `None` if leaves are missing.
    pub(super) fn path(&self) -> Option<Vec<Node>> {
        let whole = self.subtrees.iter().all(|(range, seen)| range.end - range.start == seen.size());
        whole.then(|| self.subtrees.iter().map(|(_, seen)| seen.root()).collect())
    }
}

/// Which leaves are below the nodes of a path, the lowest first.
fn siblings(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut whole = 0..size;
    while whole.end - whole.start > 1 {
        let half = whole.start + split(whole.end - whole.start);
        let (left, right) = (whole.start..half, half..whole.end);
        let (towards, away) = if index < half { (left, right) } else { (right, left) };
        ranges.push(away);
        whole = towards;
    }
    ranges.reverse();
    ranges
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Whether `path` leads from `link`, which is leaf `index`, to `root`, that of a tree with `size` leaves (RFC 9162 section 2.1.3.2).
pub(super) fn includes(root: &Node, size: u64, index: u64, link: Link, path: &[Node]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf(link));
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = join(sibling, &node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            node = join(&node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && node == *root
}

fn leaf(link: Link) -> Node {
    hash([&[0], link.bytes(), &[]])
}

fn join(left: &Node, right: &Node) -> Node {
    hash([&[1], left, right])
}

/// Of the parts together. They are put together here, because a hash of one piece needs no context on the heap.
fn hash(parts: [&[u8]; 3]) -> Node {
    let mut whole = SmallVec::<[u8; 3 * HASH_BYTES]>::new();
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    array(digest(&SHA256, &whole).as_ref())
}

fn bits(size: u64) -> usize {
    size.count_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(n: u64) -> Link {
        Link::from_bytes(array(digest(&SHA256, &n.to_be_bytes()).as_ref()))
    }

    /// As the RFC writes it.
    fn root_of(leaves: &[Link]) -> Node {
        match leaves {
            [] => array(digest(&SHA256, b"").as_ref()),
            [one] => leaf(*one),
            _ => {
                let k = (1..).map(|bit| 1_usize << bit).take_while(|k| *k < leaves.len()).last().unwrap_or(1);
                join(&root_of(&leaves[..k]), &root_of(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_rfc() {
        let leaves: Vec<Link> = (0..70).map(link).collect();
        let mut tree = Frontier::new();
        for size in 0..leaves.len() {
            assert_eq!(tree.root(), root_of(&leaves[..size]), "{size}");
            assert_eq!((tree.size(), tree.parts().len()), (size as u64, bits(size as u64)));
            let again = Frontier::from_parts(tree.size(), tree.parts().to_vec()).unwrap();
            assert_eq!(again, tree);
            assert_eq!(
                Frontier::from_parts(tree.size() + 1, tree.parts().to_vec()).is_some(),
                bits(size as u64 + 1) == bits(size as u64)
            );
            tree.push(leaves[size]);
        }
    }

    #[test]
    fn paths_lead_to_the_root_from_every_leaf_whatever_was_there_before() {
        let leaves: Vec<Link> = (0..40).map(link).collect();
        for size in 1..leaves.len() {
            let root = root_of(&leaves[..size]);
            for index in 0..size {
                for known in 0..=index {
                    let mut before = Frontier::new();
                    leaves[..known].iter().for_each(|leaf| before.push(*leaf));
                    let mut maker = PathMaker::new(index as u64, size as u64, &before).unwrap();
                    leaves[known..size - 1].iter().for_each(|leaf| maker.push(*leaf));
                    if index != size - 1 {
                        assert_eq!(maker.path(), None, "{index} of {size}: the last leaf is missing");
                    }
                    maker.push(leaves[size - 1]);
                    let path = maker.path().unwrap();
                    assert!(includes(&root, size as u64, index as u64, leaves[index], &path), "{index} of {size} after {known}");
                }
            }
        }
        assert!(PathMaker::new(3, 3, &Frontier::new()).is_none());
    }

    #[test]
    fn a_path_proves_one_leaf_at_one_place() {
        let leaves: Vec<Link> = (0..13).map(link).collect();
        for (size, index) in [(1, 0), (2, 1), (7, 6), (8, 3), (13, 12), (13, 5)] {
            let root = root_of(&leaves[..size]);
            let mut maker = PathMaker::new(index as u64, size as u64, &Frontier::new()).unwrap();
            leaves[..size].iter().for_each(|leaf| maker.push(*leaf));
            let path = maker.path().unwrap();
            let (size, index) = (size as u64, index as u64);
            assert!(includes(&root, size, index, link(index), &path));
            assert!(!includes(&root, size, index, link(index + 1), &path), "another leaf");
            assert!(!includes(&root, size, size, link(index), &path), "no such leaf");
            assert!(!includes(&[0; 32], size, index, link(index), &path), "another root");
            for other in (0..size).filter(|other| *other != index) {
                assert!(!includes(&root, size, other, link(index), &path), "another place");
            }
            let longer: Vec<Node> = path.iter().copied().chain([[0; 32]]).collect();
            assert!(!includes(&root, size, index, link(index), &longer));
            if let Some((_, shorter)) = path.split_last() {
                assert!(!includes(&root, size, index, link(index), shorter));
            }
        }
    }
}
