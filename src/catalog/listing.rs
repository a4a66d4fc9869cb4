//! One list of one upstream, read whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::Entry;
use crate::mcp::Method;
use crate::mcp::names;
use crate::mcp::reply::Listing as Changed;
use crate::vocab::limits::{LIST_KNOWN_S_MAX, LIST_OLD_S_MAX, LIST_STALE_S_MAX};

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the list of that name")]
pub enum Part {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Part {
    /// The method that reads it.
    pub fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsList,
            Self::Prompts => Method::PromptsList,
            Self::Resources => Method::ResourcesList,
            Self::Templates => Method::ResourceTemplatesList,
        }
    }

    /// Each.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The list a method reads, if it reads one.
    pub fn of(method: Method) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.method() == method)
    }

    /// The parts a change notification is about.
    pub fn changed(listing: Changed) -> &'static [Self] {
        match listing {
            Changed::Tools => &[Self::Tools],
            Changed::Prompts => &[Self::Prompts],
            Changed::Resources => &[Self::Resources, Self::Templates],
        }
    }
}

/// A list as an upstream gave it, in its order.
#[derive(Debug)]
pub struct Listing {
    entries: Vec<Arc<Entry>>,
    by_name: HashMap<Arc<str>, usize>,
    /// Public names that had to be shortened.
    by_short: HashMap<Box<str>, usize>,
    read_at: Instant,
    fresh_for: Duration,
    offered: bool,
    declared: bool,
    bytes: usize,
}

impl Listing {
    /// The list of an upstream that has no such list; `declared` if it says that it has.
    pub fn absent(declared: bool) -> Self {
        Self { offered: false, declared, ..Self::new(Vec::new(), Duration::ZERO, 0) }
    }

    /// A list read just now that stays fresh for `fresh_for`; its entries lie in buffers of `received` bytes. A name that occurs
    /// twice is in it once, as first given.
    pub fn new(entries: Vec<Arc<Entry>>, fresh_for: Duration, received: usize) -> Self {
        let mut by_name = HashMap::with_capacity(entries.len());
        let mut by_short = HashMap::new();
        let mut public = HashSet::with_capacity(entries.len());
        let mut kept: Vec<Arc<Entry>> = Vec::with_capacity(entries.len());
        for entry in entries {
            if by_name.contains_key(&entry.name) {
                tracing::warn!(name = %entry.full, "an upstream lists a name twice: the second is dropped");
                continue;
            }
            // A short form may meet another, or a name that is spelled like one: a public name means one thing.
            if !public.insert(entry.public.clone()) {
                tracing::warn!(name = %entry.full, "two names have the same public name: the second is dropped");
                continue;
            }
            if *entry.public != *entry.full {
                by_short.insert(Box::from(&*entry.public), kept.len());
            }
            by_name.insert(entry.name.clone(), kept.len());
            kept.push(entry);
        }
        let bytes = kept.iter().map(|entry| entry.bytes()).fold(received, usize::saturating_add);
        Self { entries: kept, by_name, by_short, read_at: Instant::now(), fresh_for, offered: true, declared: true, bytes }
    }

    /// Takes over what calls have shown of entries that did not change since `known` was read.
    pub(super) fn inherit(&self, known: &Self) {
        for entry in &self.entries {
            if let Some(before) = known.named(&entry.name) {
                entry.inherit(before);
            }
        }
    }

    /// False where the upstream has no such list, which is not the same as an empty one.
    pub fn is_offered(&self) -> bool {
        self.offered
    }

    /// False where the upstream has no such list and does not say that it has, so that no route says so for it.
    pub fn is_declared(&self) -> bool {
        self.declared
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entries in the upstream's order.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The entry of the upstream's own `name`.
    pub fn named(&self, name: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name).and_then(|at| self.entries.get(*at))
    }

    /// The entry a public name of `upstream` means, shortened or not.
    pub fn published(&self, upstream: &str, public: &str) -> Option<&Arc<Entry>> {
        if let Some(at) = self.by_short.get(public) {
            return self.entries.get(*at);
        }
        let (prefix, name) = names::split(public)?;
        self.named(name).filter(|entry| prefix == upstream && *entry.public == *public)
    }

    /// Time since it was read.
    pub fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    /// True while the upstream's own hint says that nothing changed.
    pub(super) fn is_fresh(&self) -> bool {
        !self.fresh_left().is_zero()
    }

    /// How long the upstream's own hint still holds.
    pub fn fresh_left(&self) -> Duration {
        self.fresh_for.saturating_sub(self.age())
    }

    /// True while it may stand in for an upstream that does not answer.
    pub(super) fn may_stand_in(&self) -> bool {
        self.age() < Duration::from_secs(LIST_STALE_S_MAX)
    }

    /// True while it serves calls without being read again.
    pub(super) fn is_young(&self) -> bool {
        self.age() < Duration::from_secs(LIST_KNOWN_S_MAX)
    }

    /// True once it must be read again before it serves calls.
    pub(super) fn is_old(&self) -> bool {
        self.age() >= Duration::from_secs(LIST_OLD_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{RawJson, ResultBody, list};
    use bytes::Bytes;

    fn listing(part: Part, names: &[&str]) -> Listing {
        let (member, key) = if part == Part::Tools { ("tools", "name") } else { ("prompts", "name") };
        let items: Vec<String> = names.iter().map(|name| format!(r#"{{"{key}":"{name}"}}"#)).collect();
        let value = RawJson::parse(Bytes::from(format!("[{}]", items.join(","))), 8).unwrap();
        let page = ResultBody { members: vec![(RawJson::of_text(member), value)], ..ResultBody::default() };
        let items = list::items(part.method(), &page).unwrap().items;
        let entries = items.iter().map(|item| Arc::new(Entry::read("up", part, item).unwrap())).collect();
        Listing::new(entries, Duration::ZERO, 0)
    }

    #[test]
    fn every_public_name_leads_to_what_is_listed_under_it() {
        let long = "x".repeat(70);
        let short = names::public_name("up", &long);
        // A name of the upstream's that is spelled like the short form of another.
        let twin = short.strip_prefix("up__").unwrap().to_owned();
        for part in [Part::Tools, Part::Prompts] {
            for names in [[long.as_str(), &twin, "a"], [&twin, long.as_str(), "a"]] {
                let listing = listing(part, &names);
                let public: Vec<&str> = listing.entries().iter().map(|entry| &*entry.public).collect();
                assert_eq!(public, [short.as_str(), "up__a"]);
                assert_eq!(&*listing.published("up", &short).unwrap().name, names[0]);
                assert_eq!(listing.entries().iter().map(|entry| entry.public.len()).max(), Some(64));
            }
            let both = listing(part, &[&long, &format!("{long}y")]);
            let public: Vec<&str> = both.entries().iter().map(|entry| &*entry.public).collect();
            assert_eq!(public.len(), 2);
            for entry in both.entries() {
                assert_eq!(both.published("up", &entry.public).unwrap().name, entry.name);
                assert!(both.published("other", &entry.full).is_none());
            }
            // The full form of what is shortened is no public name.
            assert!(both.published("up", &format!("up__{long}")).is_none());
        }
    }

    #[test]
    fn a_hint_holds_until_it_ends() {
        let fresh = Listing::new(Vec::new(), Duration::from_secs(60), 0);
        assert!(fresh.is_fresh() && fresh.fresh_left() <= Duration::from_secs(60));
        let unsaid = Listing::new(Vec::new(), Duration::ZERO, 0);
        assert!(!unsaid.is_fresh() && unsaid.fresh_left().is_zero() && unsaid.may_stand_in());
        assert!(!Listing::absent(false).is_fresh());
    }
}
