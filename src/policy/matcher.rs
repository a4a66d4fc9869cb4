//! Argument criteria: a pointer, and what must hold for the values it selects.

mod implies;
pub(super) mod shape;
mod text;

use std::cmp::Ordering;

use super::address::{Block, within};
use super::arguments::Tree;
use super::bounds::{ADDRESS_STEPS, ARGUMENT_STEP_BYTES, NESTED_STEPS};
use super::glob::Glob;
use super::literal::Literal;
use super::number;
use super::path::{Directory, Where, locate};
use super::pattern::Pattern;
use super::pointer::{Pointer, Selected};
use super::tri::Tri;
use super::url::UrlTest;
use crate::mcp::json::{Kind, unquote};
use shape::{Shapes, length, shape_of};
use text::text;

/// One entry of `arguments`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Criterion {
    pub(super) pointer: Pointer,
    /// All of them must hold for one and the same value. Sorted.
    pub(super) matchers: Box<[Matcher]>,
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matcher {
    /// `equals` and `one_of`: any of these values.
    OneOf(Box<[Literal]>),
    /// `glob`: text that matches any of these.
    Glob(Box<[Glob]>),
    /// `path_under`: a path inside any of these.
    PathUnder(Box<[Directory]>),
    /// `matches`: text in which any of these occurs.
    Matches(Box<[Pattern]>),
    /// `url`: text that is such a URL.
    Url(Box<UrlTest>),
    /// `cidr`: text that is an IP address in any of these.
    Cidr(Box<[Block]>),
    /// `min`: a number not below this, in canonical spelling.
    Min(Box<str>),
    /// `max`: a number not above this, in canonical spelling.
    Max(Box<str>),
    /// `max_length`: text of at most so many characters (Unicode scalar values), a list of at most so many elements.
    MaxLength(u32),
    /// `type`: a value of these kinds.
    Type(Shapes),
    /// `present`: anything.
    Present,
    /// `absent`: nothing at all may be selected. Stands alone.
    Absent,
}

/// Which way doubt falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// An allow rule: at least one value is selected, and every one satisfies.
    Every,
    /// A deny rule: one suffices.
    Some,
}

impl Criterion {
    /// Whether the criterion holds for these arguments.
    pub(super) fn holds(&self, tree: &Tree<'_>, quantifier: Quantifier) -> Tri {
        let mut any = Tri::False;
        let mut every = Tri::True;
        let mut selected_any = false;
        let (searches, entries) = (self.pointer.searches(), self.entries());
        self.pointer.select_while(tree, &mut |selected| {
            if !tree.spend(entries.saturating_mul(pieces(tree, selected))) {
                return false;
            }
            let value = self.satisfied(tree, selected, quantifier, searches);
            any = Tri::any([any, value]);
            every = Tri::all([every, value]);
            selected_any = true;
            // What settles the answer ends the search.
            match quantifier {
                Quantifier::Every => every != Tri::False,
                Quantifier::Some => any != Tri::True,
            }
        });
        match quantifier {
            // What was not looked at may be anything. What settled the answer before still does.
            Quantifier::Every if tree.is_spent() => Tri::all([every, Tri::Unknown]),
            Quantifier::Some if tree.is_spent() => Tri::any([any, Tri::Unknown]),
            _ if !selected_any => self.holds_for_nothing(),
            // One value that is there is enough to be present.
            _ if self.is_absent() => every,
            Quantifier::Every => every,
            Quantifier::Some => any,
        }
    }

    /// What a value is held against, all matchers together.
    fn entries(&self) -> u64 {
        self.matchers.iter().fold(0, |sum, matcher| sum.saturating_add(matcher.entries() as u64))
    }

    /// Whether the criterion holds where nothing is selected.
    pub(super) fn holds_for_nothing(&self) -> Tri {
        Tri::from(self.is_absent())
    }

    /// Whether this is `absent`.
    pub(super) fn is_absent(&self) -> bool {
        self.matchers.contains(&Matcher::Absent)
    }

    fn satisfied(&self, tree: &Tree<'_>, selected: Selected<'_>, quantifier: Quantifier, searches: bool) -> Tri {
        Tri::all(self.matchers.iter().map(|matcher| matcher.satisfied(tree, selected, quantifier, searches)))
    }

    /// Whether a selected `value` would satisfy this.
    pub(super) fn holds_for(&self, value: &Literal, quantifier: Quantifier) -> Tri {
        let text = value.to_json();
        let Some(tree) = Tree::read(&text) else { return Tri::Unknown };
        self.satisfied(&tree, Selected::Value(0), quantifier, self.pointer.searches())
    }
}

impl Matcher {
    /// How much a value is held against.
    fn entries(&self) -> usize {
        match self {
            Self::OneOf(values) => values.iter().map(|value| if value.is_nested() { NESTED_STEPS } else { 1 }).sum(),
            Self::Glob(globs) => globs.len(),
            Self::PathUnder(directories) => ADDRESS_STEPS + directories.len(),
            Self::Matches(patterns) => patterns.iter().map(Pattern::steps).sum(),
            Self::Cidr(blocks) => blocks.len(),
            Self::Url(_) => ADDRESS_STEPS,
            Self::Min(_) | Self::Max(_) | Self::MaxLength(_) | Self::Type(_) | Self::Present | Self::Absent => 1,
        }
    }

    /// Whether one selected value satisfies this.
    pub(super) fn satisfied(&self, tree: &Tree<'_>, selected: Selected<'_>, quantifier: Quantifier, searches: bool) -> Tri {
        if matches!(selected, Selected::Disguise(_)) {
            return Tri::Unknown;
        }
        match self {
            Self::OneOf(values) => match selected {
                Selected::Value(at) => any_of(values, tree, at),
                Selected::Key(key) => Tri::from(values.iter().any(|v| matches!(v, Literal::Text(text) if **text == *key))),
                Selected::Disguise(_) => Tri::Unknown,
            },
            Self::Min(bound) => compare(tree, selected, bound).map_or(Tri::Unknown, |order| Tri::from(order.is_ge())),
            Self::Max(bound) => compare(tree, selected, bound).map_or(Tri::Unknown, |order| Tri::from(order.is_le())),
            Self::MaxLength(most) => {
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                length(tree, selected, searches).map_or(Tri::Unknown, |length| Tri::from(length <= most))
            }
            Self::Type(shapes) => Tri::from(shape_of(tree, selected).is_some_and(|shape| shapes.has(shape))),
            Self::Present => Tri::True,
            Self::Absent => Tri::False,
            Self::Glob(_) | Self::PathUnder(_) | Self::Matches(_) | Self::Url(_) | Self::Cidr(_) => {
                // A value whose type a matcher of text cannot read.
                let Some(text) = text(tree, selected, searches) else { return Tri::Unknown };
                match (self.reads(&text), quantifier) {
                    // A text in disguise satisfies nothing, and may well be the one a rule forbids.
                    (Tri::Unknown, Quantifier::Every) => Tri::False,
                    (truth, _) => truth,
                }
            }
        }
    }

    /// Whether a text satisfies a matcher of text. Unknown for one that its readers could disagree about.
    fn reads(&self, text: &str) -> Tri {
        match self {
            Self::Glob(globs) => Tri::from(globs.iter().any(|glob| glob.matches(text))),
            Self::Matches(patterns) => Tri::any(patterns.iter().map(|pattern| pattern.finds(text))),
            Self::PathUnder(directories) => match locate(directories, text) {
                Where::Under => Tri::True,
                Where::Outside => Tri::False,
                Where::Hostile => Tri::Unknown,
            },
            Self::Url(test) => test.holds(text),
            Self::Cidr(blocks) => within(blocks, text),
            Self::OneOf(_) | Self::Min(_) | Self::Max(_) | Self::MaxLength(_) | Self::Type(_) | Self::Present | Self::Absent => {
                Tri::Unknown
            }
        }
    }
}

/// Whether the value at `at` is one of `values`. A text is decoded once for all of them.
fn any_of(values: &[Literal], tree: &Tree<'_>, at: usize) -> Tri {
    match tree.item(at).filter(|item| item.kind == Kind::String).map(|item| unquote(item.raw)) {
        Some(Ok(meaning)) => Tri::from(values.iter().any(|value| matches!(value, Literal::Text(text) if **text == *meaning))),
        Some(Err(_)) if values.iter().any(|value| matches!(value, Literal::Text(_))) => Tri::Unknown,
        Some(Err(_)) => Tri::False,
        None => Tri::any(values.iter().map(|value| value.same(tree, at))),
    }
}

/// The size of what is selected, in steps.
fn pieces(tree: &Tree<'_>, selected: Selected<'_>) -> u64 {
    let bytes = match selected {
        Selected::Value(at) => tree.item(at).map_or(0, |item| item.raw.len()),
        Selected::Key(key) | Selected::Disguise(key) => key.len(),
    };
    1 + (bytes / ARGUMENT_STEP_BYTES) as u64
}

/// How a selected number compares to `bound`; `None` for what is no number, or one out of reach.
fn compare(tree: &Tree<'_>, selected: Selected<'_>, bound: &str) -> Option<Ordering> {
    let Selected::Value(at) = selected else { return None };
    let item = tree.item(at).filter(|item| item.kind == Kind::Number)?;
    number::compare(item.raw, bound)
}

#[cfg(test)]
mod tests;
