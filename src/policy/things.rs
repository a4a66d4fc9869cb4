//! The names a policy speaks of: those it spells out, and its patterns as names that stand for whatever they match.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::glob::Glob;
use super::replay::Named;
use super::rule::Capability;
use super::set::PolicySet;

/// Something a principal may or may not do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// `tool`, `resource`, `prompt` or `capability`.
    pub kind: ThingKind,
    /// Full name; for a capability `UPSTREAM:WORD`. With wildcards for a name that stands for others.
    pub name: String,
}

/// Kinds of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ThingKind {
    /// A tool to call.
    Tool,
    /// A resource to read.
    Resource,
    /// A prompt to get.
    Prompt,
    /// Something an upstream may ask of the client.
    Capability,
}

impl ThingKind {
    /// The kind of name; `None` for a capability.
    pub(super) fn named(self) -> Option<Named> {
        match self {
            Self::Tool => Some(Named::Tool),
            Self::Resource => Some(Named::Resource),
            Self::Prompt => Some(Named::Prompt),
            Self::Capability => None,
        }
    }

    /// The word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
            Self::Capability => "capability",
        }
    }
}

impl Thing {
    /// A tool of this full name.
    pub fn tool(name: impl Into<String>) -> Self {
        Self { kind: ThingKind::Tool, name: name.into() }
    }

    /// Whether the name stands for others.
    pub fn is_pattern(&self) -> bool {
        self.kind != ThingKind::Resource && self.name.contains(['*', '?']) || self.name.contains('*')
    }
}

/// Names of one kind that are looked at; more are left out.
const NAMES_MAX: usize = 1_024;
/// Length of patterns that are put together.
const UNITS_MAX: usize = 128;

/// Everything the rules and classes of all `sets` speak of, patterns put together where they overlap: a rule about `files__*` and
/// a class for `*__read_*` meet in `files__read_*`. The sets are looked at together, so that they can be compared.
pub fn things(sets: &[&PolicySet]) -> BTreeSet<Thing> {
    let rules = || sets.iter().flat_map(|set| set.rules.iter());
    let classes = sets.iter().flat_map(|set| set.classes.iter().map(|(glob, _)| glob));
    let tools = names(rules().flat_map(|rule| rule.targets.tools.iter()).chain(classes));
    let resources = names(rules().flat_map(|rule| rule.targets.resources.iter()));
    let prompts = names(rules().flat_map(|rule| rule.targets.prompts.iter()));
    let mut things = BTreeSet::new();
    for (kind, names) in [(ThingKind::Tool, tools), (ThingKind::Resource, resources), (ThingKind::Prompt, prompts)] {
        things.extend(names.into_iter().map(|name| Thing { kind, name }));
    }
    for (glob, capability) in rules().flat_map(|rule| rule.targets.capabilities.iter()) {
        let word = Capability::WORDS.iter().find(|(_, known)| known == capability).map_or("", |(word, _)| word);
        let upstream = glob.literal().map_or_else(|| glob.canonical(), str::to_owned);
        things.insert(Thing { kind: ThingKind::Capability, name: format!("{upstream}:{word}") });
    }
    things
}

fn names<'g>(globs: impl Iterator<Item = &'g Glob>) -> BTreeSet<String> {
    let mut literal = BTreeSet::new();
    let mut patterns: BTreeSet<Pattern> = BTreeSet::new();
    for glob in globs {
        match glob.literal() {
            Some(name) => _ = literal.insert(name.to_owned()),
            None => _ = patterns.insert(pattern(&glob.canonical())),
        }
    }
    let given: Vec<Pattern> = patterns.iter().cloned().collect();
    let mut fresh: Vec<Pattern> = given.clone();
    while !fresh.is_empty() && patterns.len() < NAMES_MAX {
        let found: BTreeSet<Pattern> = fresh.iter().flat_map(|a| given.iter().filter_map(|b| meet(a, b))).collect();
        fresh = found.into_iter().filter(|pattern| !patterns.contains(pattern)).take(NAMES_MAX - patterns.len()).collect();
        patterns.extend(fresh.iter().cloned());
    }
    literal.extend(patterns.iter().map(|pattern| pattern.iter().map(Unit::spelling).collect::<String>()));
    literal
}

/// One place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Unit {
    Char(char),
    One,
    Any,
}

type Pattern = Vec<Unit>;

impl Unit {
    fn spelling(&self) -> char {
        match self {
            Self::Char(c) => *c,
            Self::One => '?',
            Self::Any => '*',
        }
    }

    /// What both stand for, if they stand for one character each.
    fn meet(self, other: Self) -> Self {
        if self == Self::One || self == Self::Any { other } else { self }
    }
}

fn pattern(canonical: &str) -> Pattern {
    let mut chars = canonical.chars();
    let unit = |c, chars: &mut std::str::Chars<'_>| match c {
        '*' => Unit::Any,
        '?' => Unit::One,
        '\\' => Unit::Char(chars.next().unwrap_or('\\')),
        other => Unit::Char(other),
    };
    let mut pattern = Vec::new();
    while let Some(c) = chars.next() {
        pattern.push(unit(c, &mut chars));
    }
    pattern
}

/// A shortest pattern all of whose names match both, keeping a wildcard where both have one; `None` if no name matches both.
fn meet(a: &[Unit], b: &[Unit]) -> Option<Pattern> {
    if a.len() > UNITS_MAX || b.len() > UNITS_MAX {
        return None;
    }
    let mut seen: HashSet<(usize, usize)> = HashSet::from([(0, 0)]);
    let mut queue: VecDeque<(usize, usize, Pattern)> = VecDeque::from([(0, 0, Vec::new())]);
    while let Some((i, j, mut made)) = queue.pop_front() {
        let (x, y) = (a.get(i).copied(), b.get(j).copied());
        let mut steps: Vec<(usize, usize, Option<Unit>)> = Vec::new();
        match (x, y) {
            (None, None) => return Some(made),
            // Both take anything here, whatever follows.
            (Some(Unit::Any), Some(Unit::Any)) if made.last() != Some(&Unit::Any) => made.push(Unit::Any),
            _ => {}
        }
        // A run takes a character of the other side, or ends.
        match (x, y) {
            (Some(Unit::Any), Some(other)) if other != Unit::Any => steps.push((i, j + 1, Some(other))),
            (Some(other), Some(Unit::Any)) if other != Unit::Any => steps.push((i + 1, j, Some(other))),
            (Some(x), Some(y)) if x != Unit::Any && (x == y || x == Unit::One || y == Unit::One) => {
                steps.push((i + 1, j + 1, Some(x.meet(y))));
            }
            _ => {}
        }
        if x == Some(Unit::Any) {
            steps.push((i + 1, j, None));
        }
        if y == Some(Unit::Any) {
            steps.push((i, j + 1, None));
        }
        for (i, j, unit) in steps {
            if seen.insert((i, j)) {
                let mut made = made.clone();
                made.extend(unit);
                queue.push_back((i, j, made));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_meet_where_they_overlap() {
        for (a, b, both) in [
            ("files__*", "*__read_*", Some("files__read_*")),
            ("files__*", "files__*", Some("files__*")),
            ("*", "files__?", Some("files__?")),
            ("a*", "b*", None),
            ("a*c", "ab*", Some("ab*c")),
            ("?__x", "y__*", Some("y__x")),
        ] {
            let met = meet(&pattern(a), &pattern(b));
            let text = met.map(|met| met.iter().map(Unit::spelling).collect::<String>());
            assert_eq!(text.as_deref(), both, "{a} {b}");
            if let Some(text) = text {
                assert!(Glob::parse(a).unwrap().matches(&text) && Glob::parse(b).unwrap().matches(&text), "{text}");
            }
        }
    }
}
