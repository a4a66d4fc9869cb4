//! Which of many globs match a name, without asking each of them.
//!
//! A glob without wildcards is found by its text. One that is a text and a star is found among the beginnings of the name, one that
//! is a star and a text among its ends. Any other is kept under the beginning or the end that it has in common with fewer others,
//! and still has to be asked.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::glob::Glob;
use super::posting::Posting;

/// Numbers of globs, or of what they stand for, by the names that they match.
#[derive(Debug, Default)]
pub(super) struct Names {
    heads: Table,
    tails: Table,
}

/// Texts that a name is, or begins with; ends are kept backwards. Finding all of them costs one look for each length that they
/// have, however many there are.
#[derive(Debug, Default)]
struct Table {
    links: Box<[Link]>,
    /// Lengths of the texts that names begin with. Ascending.
    lengths: Box<[usize]>,
    /// Places in `links`, at the place that the hash of each says or the next free one. A power of two, at least half of it free.
    slots: Box<[Option<u32>]>,
}

#[derive(Debug)]
struct Link {
    key: Box<[u8]>,
    hash: u64,
    /// Those that match nothing but the key.
    exact: Posting,
    /// Those that match whatever begins with the key.
    sure: Posting,
    /// Those that match some of it.
    maybe: Posting,
}

/// Names up to this many bytes are turned around without a heap allocation.
const BACKWARDS_BYTES: usize = 256;

impl Names {
    /// An index of globs, each with its number below `count`.
    pub(super) fn new<'g>(globs: impl Iterator<Item = (&'g Glob, u32)> + Clone, count: usize) -> Self {
        let mut shared: HashMap<(End, &[u8]), usize> = HashMap::new();
        for (glob, _) in globs.clone().filter(|(glob, _)| Place::of(glob) == Place::Between) {
            for end in [End::Head, End::Tail] {
                *shared.entry((end, end.of(glob))).or_default() += 1;
            }
        }
        let (mut heads, mut tails) = (Draft::default(), Draft::default());
        for (glob, number) in globs {
            let place = Place::of(glob);
            let count = |end: End| shared.get(&(end, end.of(glob)));
            let is_tail = place == Place::Tail || (place == Place::Between && count(End::Tail) < count(End::Head));
            let numbers = if is_tail {
                tails.entry(End::Tail.of(glob).iter().rev().copied().collect()).or_default()
            } else {
                heads.entry(End::Head.of(glob).into()).or_default()
            };
            match place {
                Place::Literal => numbers.exact.push(number),
                Place::Head | Place::Tail => numbers.sure.push(number),
                Place::Between => numbers.maybe.push(number),
            }
        }
        Self { heads: Table::new(heads, count), tails: Table::new(tails, count) }
    }

    /// Calls `found` with sets that together have the number of every glob that matches `name`, and whether all of a set do.
    /// A number can be in several sets.
    pub(super) fn find(&self, name: &str, found: &mut dyn FnMut(&Posting, bool)) {
        self.heads.find(name.as_bytes(), found);
        if !self.tails.links.is_empty() {
            let backwards: SmallVec<[u8; BACKWARDS_BYTES]> = name.bytes().rev().collect();
            self.tails.find(&backwards, found);
        }
    }
}

/// Where a glob is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Literal,
    Head,
    Tail,
    Between,
}

impl Place {
    fn of(glob: &Glob) -> Self {
        match () {
            () if glob.literal().is_some() => Self::Literal,
            () if glob.is_prefix() => Self::Head,
            () if glob.is_suffix() => Self::Tail,
            () => Self::Between,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Head,
    Tail,
}

impl End {
    fn of(self, glob: &Glob) -> &[u8] {
        match self {
            Self::Head => glob.literal_prefix().as_bytes(),
            Self::Tail => glob.literal_suffix().as_bytes(),
        }
    }
}

/// Keys, and the numbers under each.
type Draft = BTreeMap<Box<[u8]>, Numbers>;

/// As in [`Link`].
#[derive(Default)]
struct Numbers {
    exact: Vec<u32>,
    sure: Vec<u32>,
    maybe: Vec<u32>,
}

impl Table {
    fn new(draft: Draft, count: usize) -> Self {
        let begins = |numbers: &Numbers| !numbers.sure.is_empty() || !numbers.maybe.is_empty();
        let mut lengths: Vec<usize> = draft.iter().filter(|(_, numbers)| begins(numbers)).map(|(key, _)| key.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let links = draft.into_iter().map(|(key, Numbers { exact, sure, maybe })| {
            let [exact, sure, maybe] = [exact, sure, maybe].map(|numbers| Posting::new(numbers, count));
            Link { hash: hash_of(&lengths, &key), key, exact, sure, maybe }
        });
        let links: Box<[Link]> = links.collect();
        let mut slots = vec![None; (2 * links.len()).next_power_of_two()];
        for (link, number) in links.iter().zip(0_u32..) {
            let free = places(link.hash, slots.len()).find(|at| slots.get(*at) == Some(&None));
            if let Some(slot) = free.and_then(|at| slots.get_mut(at)) {
                *slot = Some(number);
            }
        }
        Self { links, lengths: lengths.into(), slots: slots.into() }
    }

    fn find(&self, name: &[u8], found: &mut dyn FnMut(&Posting, bool)) {
        let (mut hash, mut hashed) = (SEED, 0);
        for length in &self.lengths {
            let (Some(key), Some(more)) = (name.get(..*length), name.get(hashed..*length)) else { break };
            (hash, hashed) = (roll(hash, more), *length);
            if let Some(link) = self.link(hash, key) {
                found(&link.sure, true);
                found(&link.maybe, false);
            }
        }
        let hash = roll(hash, name.get(hashed..).unwrap_or_default());
        if let Some(link) = self.link(hash, name) {
            found(&link.exact, true);
        }
    }

    fn link(&self, hash: u64, key: &[u8]) -> Option<&Link> {
        let taken = places(hash, self.slots.len()).map_while(|at| self.slots.get(at).copied().flatten());
        let mut links = taken.filter_map(|number| self.links.get(usize::try_from(number).ok()?));
        links.find(|link| link.hash == hash && *link.key == *key)
    }
}

/// Where to look for a hash, in this order: every place once.
fn places(hash: u64, slots: usize) -> impl Iterator<Item = usize> {
    let mask = slots.wrapping_sub(1);
    // The upper half is the better mixed one.
    let first = usize::try_from(hash >> 32).unwrap_or(0);
    (0..slots).map(move |step| first.wrapping_add(step) & mask)
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a name, as [`Table::find`] comes to it: from one length to the next.
fn hash_of(lengths: &[usize], name: &[u8]) -> u64 {
    let (mut hash, mut hashed) = (SEED, 0);
    for length in lengths {
        let Some(more) = name.get(hashed..*length) else { break };
        (hash, hashed) = (roll(hash, more), *length);
    }
    roll(hash, name.get(hashed..).unwrap_or_default())
}

/// Hashes more bytes. Only the operator's texts are stored, so nobody can make them meet on purpose.
fn roll(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain((!bytes.is_empty()).then_some(rest)) {
        let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
        hash = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0) ^ u64::try_from(product >> 64).unwrap_or(0);
    }
    hash
}

const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;

#[cfg(test)]
mod tests;
