//! Looks for everything that was planted in everything that was written.

use std::collections::{BTreeSet, HashMap};

use super::kinds::Secret;

/// What is looked for.
#[derive(Default)]
pub(super) struct Search {
    /// Path and kind of each secret.
    planted: Vec<(&'static str, &'static str)>,
    /// By their first eight bytes: texts to look for, and whose they are.
    needles: HashMap<u64, Vec<(Vec<u8>, usize)>>,
    /// A bit for each start of a needle: nearly every place of a text ends here.
    starts: Vec<u64>,
    pub(super) bytes: usize,
}

/// A secret where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// Where it was sent.
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    /// Where it was found.
    pub(super) place: String,
    pub(super) near: String,
}

impl Search {
    pub(super) fn plant(&mut self, path: &'static str, secret: &Secret) {
        self.starts.resize(1 << (BITS - 6), 0);
        for needle in secret.needles() {
            let start = needle[..8].iter().fold(0, |key, byte| key << 8 | u64::from(*byte));
            let bit = spread(start);
            self.starts[bit >> 6] |= 1 << (bit & 63);
            self.needles.entry(start).or_default().push((needle, self.planted.len()));
        }
        self.planted.push((path, secret.kind));
    }

    pub(super) fn planted(&self) -> usize {
        self.planted.len()
    }

    /// Every secret that is in `text`, once.
    pub(super) fn look(&mut self, place: &str, text: &[u8]) -> Vec<Hit> {
        self.bytes += text.len();
        let (mut key, mut seen, mut hits) = (0_u64, BTreeSet::new(), Vec::new());
        for (end, byte) in text.iter().enumerate() {
            key = key << 8 | u64::from(*byte);
            let bit = spread(key);
            if self.starts[bit >> 6] & 1 << (bit & 63) == 0 || end < 7 {
                continue;
            }
            let at = end - 7;
            for (needle, whose) in self.needles.get(&key).into_iter().flatten() {
                if text[at..].starts_with(needle) && seen.insert(*whose) {
                    let (path, kind) = self.planted[*whose];
                    let near = &text[at.saturating_sub(160)..text.len().min(at + 60)];
                    hits.push(Hit { path, kind, place: place.to_owned(), near: String::from_utf8_lossy(near).into_owned() });
                }
            }
        }
        hits
    }
}

fn spread(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

const BITS: u32 = 22;
