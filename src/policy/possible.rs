//! Truth under partial information: which of the three values something can still take, and what would have to be known.
//!
//! This is another thing than [`Tri::Unknown`], which is a *result* (it could not be evaluated): a value that was never
//! recorded may turn out to be any of the three.

use std::collections::BTreeSet;
use std::fmt;

use super::tri::Tri;

/// Something a decision can depend on that is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// What this pointer selects in the arguments.
    Argument(String),
    /// A claim of the principal.
    Claim(String),
    /// What the upstream's annotations say about the tool, and with it the class.
    Hints,
    /// When it was asked.
    Time,
    /// The route it came by.
    Route,
    /// How much of a limit was used.
    Counts,
    /// What an approver would have said.
    Approval,
    /// A part of the record itself, which was too long to be kept whole.
    Cut(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(pointer) => write!(f, "argument {pointer}"),
            Self::Claim(name) => write!(f, "claim {name}"),
            Self::Hints => f.write_str("the upstream's annotations of the tool"),
            Self::Time => f.write_str("the time"),
            Self::Route => f.write_str("the route"),
            Self::Counts => f.write_str("how much of the limits was used"),
            Self::Approval => f.write_str("what an approver would have said"),
            Self::Cut(what) => write!(f, "{what}, which the record holds cut"),
        }
    }
}

/// The values something can take, never none, and what would tell which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Possible {
    truths: u8,
    missing: BTreeSet<Missing>,
}

const EVERY: [Tri; 3] = [Tri::True, Tri::False, Tri::Unknown];

impl Possible {
    /// Known.
    pub(super) fn just(truth: Tri) -> Self {
        Self { truths: bit(truth), missing: BTreeSet::new() }
    }

    /// One of `truths`, which is known once `missing` is.
    pub(super) fn one_of(truths: &[Tri], missing: Missing) -> Self {
        let truths = truths.iter().fold(0, |set, truth| set | bit(*truth));
        Self { truths, missing: BTreeSet::from([missing]) }.settled()
    }

    /// Anything, until `missing` is known.
    pub(super) fn any_truth(missing: Missing) -> Self {
        Self::one_of(&EVERY, missing)
    }

    /// The value, where there is only one.
    pub(super) fn known(&self) -> Option<Tri> {
        let mut truths = self.truths();
        truths.next().filter(|_| truths.next().is_none())
    }

    /// The values it can take.
    pub(super) fn truths(&self) -> impl Iterator<Item = Tri> {
        let set = self.truths;
        EVERY.into_iter().filter(move |truth| set & bit(*truth) != 0)
    }

    /// Whether it can take this value.
    pub(super) fn may_be(&self, truth: Tri) -> bool {
        self.truths & bit(truth) != 0
    }

    /// What would tell the value; nothing where it is known.
    pub(super) fn missing(&self) -> &BTreeSet<Missing> {
        &self.missing
    }

    /// As [`Tri::all`], value by value.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::just(Tri::True), |sum, part| sum.with(part, |a, b| Tri::all([a, b])))
    }

    /// As [`Tri::any`], value by value.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::just(Tri::False), |sum, part| sum.with(part, |a, b| Tri::any([a, b])))
    }

    /// Only the values that both can take: two accounts of one and the same thing.
    pub(super) fn narrowed(mut self, other: &Self) -> Self {
        let both = self.truths & other.truths;
        if both != 0 {
            self.truths = both;
        }
        self.settled()
    }

    /// As `self`, or of `truth`.
    pub(super) fn or(mut self, truth: Tri, missing: Missing) -> Self {
        self.truths |= bit(truth);
        self.missing.insert(missing);
        self.settled()
    }

    /// With another value in the place of Unknown.
    pub(super) fn with_doubt_as(mut self, truth: Tri) -> Self {
        if self.may_be(Tri::Unknown) {
            self.truths = self.truths & !bit(Tri::Unknown) | bit(truth);
        }
        self.settled()
    }

    fn with(mut self, other: Self, join: impl Fn(Tri, Tri) -> Tri) -> Self {
        let pairs = self.truths().flat_map(|a| other.truths().map(move |b| (a, b)).collect::<Vec<_>>());
        self.truths = pairs.fold(0, |set, (a, b)| set | bit(join(a, b)));
        self.missing.extend(other.missing);
        self.settled()
    }

    fn settled(mut self) -> Self {
        if self.truths.count_ones() == 1 {
            self.missing.clear();
        }
        self
    }
}

fn bit(truth: Tri) -> u8 {
    match truth {
        Tri::True => 0b001,
        Tri::False => 0b010,
        Tri::Unknown => 0b100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Possible {
        Possible::any_truth(Missing::Argument("/a".to_owned()))
    }

    #[test]
    fn what_settles_a_sum_needs_nothing_else() {
        let closed = Possible::all([open(), Possible::just(Tri::False)]);
        assert_eq!((closed.known(), closed.missing().len()), (Some(Tri::False), 0));
        let closed = Possible::any([Possible::just(Tri::True), open()]);
        assert_eq!((closed.known(), closed.missing().len()), (Some(Tri::True), 0));
        let still = Possible::all([open(), Possible::just(Tri::Unknown)]);
        assert!(still.known().is_none() && !still.may_be(Tri::True) && still.may_be(Tri::False) && still.may_be(Tri::Unknown));
        assert_eq!(still.missing().len(), 1);
    }
}
