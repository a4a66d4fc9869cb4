//! Which rules can speak about an upstream at all.

use std::collections::{BTreeSet, HashMap};

use super::asked::{Family, upstream_of};
use super::rule::Rule;

/// Candidates per family and upstream, in order of the rules.
#[derive(Debug, Default)]
pub(super) struct Index {
    tools: Bucket,
    resources: Bucket,
    prompts: Bucket,
}

#[derive(Debug, Default)]
struct Bucket {
    /// For upstreams that some rule names in letters; the rules for every upstream are among them.
    named: HashMap<Box<str>, Box<[usize]>>,
    /// For all others.
    open: Box<[usize]>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        Self {
            tools: Bucket::new(rules, Family::Tool),
            resources: Bucket::new(rules, Family::Resource),
            prompts: Bucket::new(rules, Family::Prompt),
        }
    }

    /// Every rule that could cover `name`, and perhaps others; ascending.
    pub(super) fn candidates(&self, family: Family, name: &str) -> &[usize] {
        let bucket = match family {
            Family::Tool => &self.tools,
            Family::Resource => &self.resources,
            Family::Prompt => &self.prompts,
            Family::Lists => return &[],
        };
        bucket.named.get(upstream_of(name)).unwrap_or(&bucket.open)
    }
}

impl Bucket {
    fn new(rules: &[Rule], family: Family) -> Self {
        let mut named: HashMap<Box<str>, BTreeSet<usize>> = HashMap::new();
        let mut open: BTreeSet<usize> = BTreeSet::new();
        for (at, rule) in rules.iter().enumerate() {
            if rule.names_everything() {
                open.insert(at);
            }
            for glob in rule.targets.of(family) {
                match glob.literal_prefix().split_once("__") {
                    Some((upstream, _)) => named.entry(upstream.into()).or_default().insert(at),
                    None => open.insert(at),
                };
            }
        }
        let merged = named.into_iter().map(|(name, at)| (name, at.union(&open).copied().collect()));
        Self { named: merged.collect(), open: open.into_iter().collect() }
    }
}
