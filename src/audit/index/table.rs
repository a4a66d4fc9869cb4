//! Counting by up to four labels at once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::Serialize;

use super::facets::{By, Facets, Facts, OTHER};
use super::histogram::Histogram;
use super::report::time;
use super::row::Row;

/// Labels that can be counted by at once.
pub(super) const BY_MAX: usize = 4;
/// Groups of a table; what comes later is counted together.
const GROUPS_MAX: usize = 65_536;
/// Groups that have times of their own.
const TIMED_MAX: usize = 16_384;
/// Stands for all that had no room.
const REST: u128 = u128::MAX;
/// Bytes of text that are taken for one token.
const BYTES_PER_TOKEN: u64 = 4;

/// Keys are numbers that we gave ourselves: nobody can choose them to collide.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn write_u128(&mut self, number: u128) {
        let [low, high] = [number, number >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        self.write_u64(low);
        self.write_u64(high);
    }
}

pub(super) type MixMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

#[derive(Default)]
struct Group {
    records: u64,
    denied: u64,
    failed: u64,
    bytes_out: u64,
    first_ms: u64,
    last_ms: u64,
    times: Option<Box<Histogram>>,
}

/// Groups by their labels.
pub(super) struct Table {
    by: Vec<By>,
    timed: bool,
    groups: MixMap<u128, Group>,
    /// All that had no room.
    rest: Option<Group>,
}

/// One group of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Count {
    /// Its labels, in the order asked for.
    pub keys: Vec<String>,
    /// What it comes to.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What a group of records comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Records that are no intents.
    pub records: u64,
    /// Refused by policy, a limit or the door.
    pub denied: u64,
    /// Failed, or took too long.
    pub failed: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// About how many tokens these are.
    pub tokens: u64,
    /// Times until the answer that half, 95 and 99 percent are not above, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as above")]
    pub p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as above")]
    pub p99_ms: Option<f64>,
    /// Times of the first and the last record, RFC 3339.
    pub first: String,
    #[expect(missing_docs, reason = "as above")]
    pub last: String,
}

impl Table {
    /// By at most [`BY_MAX`] labels, with or without times.
    pub(super) fn by(by: &[By], timed: bool) -> Self {
        Self { by: by.iter().take(BY_MAX).copied().collect(), timed, groups: MixMap::default(), rest: None }
    }

    pub(super) fn add(&mut self, row: &Row, facts: &Facts) {
        let key = self.by.iter().fold(0, |key: u128, by| key << 32 | u128::from(Facets::key(*by, row, facts)));
        let count = self.groups.len();
        let timed = self.timed && count < TIMED_MAX;
        let group = match self.groups.get_mut(&key) {
            Some(group) => group,
            None if count >= GROUPS_MAX => self.rest.get_or_insert_with(|| Group { first_ms: row.time_ms, ..Group::default() }),
            None => self.groups.entry(key).or_insert_with(|| {
                let times = timed.then(Box::default);
                Group { first_ms: row.time_ms, times, ..Group::default() }
            }),
        };
        group.records += 1;
        group.denied += u64::from(facts.denied());
        group.failed += u64::from(facts.end.failed);
        group.bytes_out += u64::from(row.bytes_out);
        group.first_ms = group.first_ms.min(row.time_ms);
        group.last_ms = group.last_ms.max(row.time_ms);
        if let Some(times) = &mut group.times {
            times.add(row.total_us);
        }
    }

    /// The `top` groups that have most of `what`, and how many more there are with any of it.
    pub(super) fn top<K: Ord + Default>(&self, facets: &Facets, top: usize, what: impl Fn(&Figures) -> K) -> (Vec<Count>, usize) {
        let none = K::default();
        let mut all: Vec<(u128, Figures)> = self.groups.iter().map(|(key, group)| (*key, group.figures())).collect();
        all.extend(self.rest.iter().map(|group| (REST, group.figures())));
        all.retain(|(_, figures)| what(figures) > none);
        all.sort_by_cached_key(|(key, figures)| (std::cmp::Reverse(what(figures)), self.keys(*key, facets)));
        let more = all.len().saturating_sub(top);
        all.truncate(top);
        (all.into_iter().map(|(key, figures)| Count { keys: self.keys(key, facets), figures }).collect(), more)
    }

    fn keys(&self, key: u128, facets: &Facets) -> Vec<String> {
        let one = |(at, by): (usize, &By)| {
            let part = (key >> (32 * (self.by.len() - 1 - at))) & u128::from(u32::MAX);
            if key == REST { OTHER.to_owned() } else { facets.label(*by, u32::try_from(part).unwrap_or(0)) }
        };
        self.by.iter().enumerate().map(one).collect()
    }
}

impl Group {
    fn figures(&self) -> Figures {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a call are few")]
        let quantile = |permille| self.times.as_ref().map(|times| times.quantile(permille) as f64 / 1_000.0);
        Figures {
            records: self.records,
            denied: self.denied,
            failed: self.failed,
            bytes_out: self.bytes_out,
            tokens: self.bytes_out.div_ceil(BYTES_PER_TOKEN),
            p50_ms: quantile(500),
            p95_ms: quantile(950),
            p99_ms: quantile(990),
            first: time(self.first_ms),
            last: time(self.last_ms),
        }
    }
}
