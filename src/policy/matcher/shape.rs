//! Kinds of values, and how long they are.

use super::text::text;
use crate::mcp::json::Kind;
use crate::policy::arguments::Tree;
use crate::policy::number;
use crate::policy::pointer::Selected;

/// A set of kinds of values. Numbers are two kinds: whole ones and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct Shapes(u8);

impl Shapes {
    pub(super) const TEXT: Self = Self(0b000_0001);
    const WHOLE: Self = Self(0b000_0010);
    const BROKEN: Self = Self(0b000_0100);
    pub(super) const NUMBER: Self = Self(0b000_0110);
    const BOOLEAN: Self = Self(0b000_1000);
    const NULL: Self = Self(0b001_0000);
    const OBJECT: Self = Self(0b010_0000);
    pub(super) const LIST: Self = Self(0b100_0000);
    pub(super) const SCALAR: Self = Self(0b001_1111);
    pub(super) const EVERY: Self = Self(0b111_1111);
    pub(super) const NONE: Self = Self(0);

    /// The words of `type`.
    pub(in crate::policy) const WORDS: [(&'static str, Self); 7] = [
        ("string", Self::TEXT),
        ("number", Self::NUMBER),
        ("integer", Self::WHOLE),
        ("boolean", Self::BOOLEAN),
        ("null", Self::NULL),
        ("object", Self::OBJECT),
        ("array", Self::LIST),
    ];

    pub(in crate::policy) fn of(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::NONE, Self::or)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in it.
    pub(super) fn has(self, other: Self) -> bool {
        self.and(other) == other
    }

    /// The kinds in their words, in one order.
    pub(in crate::policy) fn canonical(self) -> Vec<&'static str> {
        let whole_is_said = self.has(Self::NUMBER);
        let words = Self::WORDS.iter().filter(|(_, kind)| self.has(*kind) && !(whole_is_said && *kind == Self::WHOLE));
        words.map(|(word, _)| *word).collect()
    }
}

/// The kind of what is selected; a key is a text.
pub(super) fn shape_of(tree: &Tree<'_>, selected: Selected<'_>) -> Option<Shapes> {
    let item = match selected {
        Selected::Key(_) => return Some(Shapes::TEXT),
        Selected::Disguise(_) => return None,
        Selected::Value(at) => tree.item(at)?,
    };
    Some(match item.kind {
        Kind::String => Shapes::TEXT,
        Kind::Number if number::is_whole(item.raw) => Shapes::WHOLE,
        Kind::Number => Shapes::BROKEN,
        Kind::Bool => Shapes::BOOLEAN,
        Kind::Null => Shapes::NULL,
        Kind::Object => Shapes::OBJECT,
        Kind::Array => Shapes::LIST,
    })
}

/// Elements of a list, Unicode scalar values of a text; `None` for what has no length.
pub(super) fn length(tree: &Tree<'_>, selected: Selected<'_>, searches: bool) -> Option<usize> {
    if let Selected::Value(at) = selected
        && tree.item(at)?.kind == Kind::Array
    {
        return Some(tree.children(at).count());
    }
    text(tree, selected, searches).map(|text| text.chars().count())
}
