//! What can be told of criteria without any arguments: which values could satisfy them, and which imply which.

use super::shape::Shapes;
use super::{Criterion, Matcher, Quantifier};
use crate::policy::literal::Literal;
use crate::policy::number;
use crate::policy::path::{Directory, Where, locate};
use crate::policy::tri::Tri;

impl Criterion {
    /// The values that alone can satisfy this in an allow rule, where they can be listed.
    pub(in crate::policy) fn finite(&self) -> Option<impl Iterator<Item = &Literal>> {
        let values = self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::OneOf(values) => Some(values),
            _ => None,
        })?;
        Some(values.iter().filter(|value| self.holds_for(value, Quantifier::Every) == Tri::True))
    }

    /// Whether no value at all satisfies this in an allow rule: types or bounds exclude each other. Not every such case is told.
    pub(in crate::policy) fn is_impossible(&self) -> bool {
        let searches = self.pointer.searches();
        let shapes = self.matchers.iter().fold(Shapes::EVERY, |left, matcher| left.and(matcher.readable(searches)));
        let crossed = self.matchers.iter().any(|low| {
            let Matcher::Min(low) = low else { return false };
            let below =
                |high: &Matcher| matches!(high, Matcher::Max(high) if number::compare(high, low).is_some_and(|o| o.is_lt()));
            self.matchers.iter().any(below)
        });
        shapes == Shapes::NONE || crossed || self.finite().is_some_and(|mut values| values.next().is_none())
    }

    /// Whether arguments that satisfy this in an allow rule always trip `deny`, told by the pattern alone.
    pub(in crate::policy) fn implies(&self, deny: &Self) -> bool {
        if self.pointer != deny.pointer {
            return false;
        }
        if let Some(mut values) = self.finite() {
            return values.all(|value| deny.holds_for(value, Quantifier::Some) != Tri::False);
        }
        deny.matchers.iter().all(|deny| self.matchers.iter().any(|own| own.implies(deny, self.pointer.searches())))
    }

    /// Whether more arguments can only make this truer in a deny rule. They can select what `absent` wants absent, and they can
    /// change an object, which is compared as a whole.
    pub(in crate::policy) fn is_steady(&self) -> bool {
        let whole = |literal: &Literal| matches!(literal, Literal::Map(_));
        self.matchers.iter().all(|matcher| match matcher {
            Matcher::Absent => false,
            Matcher::OneOf(values) => !values.iter().any(whole),
            _ => true,
        })
    }
}

impl Matcher {
    /// The kinds of values for which this can be true.
    fn readable(&self, searches: bool) -> Shapes {
        let text = if searches { Shapes::SCALAR } else { Shapes::TEXT };
        match self {
            Self::OneOf(_) | Self::Present | Self::Absent => Shapes::EVERY,
            Self::Glob(_) | Self::PathUnder(_) | Self::Matches(_) | Self::Url(_) | Self::Cidr(_) => text,
            Self::Min(_) | Self::Max(_) => Shapes::NUMBER,
            Self::MaxLength(_) => text.or(Shapes::LIST),
            Self::Type(shapes) => *shapes,
        }
    }

    fn implies(&self, deny: &Self, searches: bool) -> bool {
        let ordered = |low: &str, high: &str| number::compare(low, high).is_some_and(|order| order.is_le());
        match (self, deny) {
            (own, deny) if own == deny => true,
            (own, Self::Present) => *own != Self::Absent,
            (Self::PathUnder(own), Self::PathUnder(deny)) => own.iter().all(|d| locate(deny, slashed(d)) == Where::Under),
            (Self::PathUnder(_) | Self::Glob(_) | Self::Matches(_) | Self::Url(_) | Self::Cidr(_), Self::Glob(deny)) => {
                deny.iter().any(|glob| glob.covers(""))
            }
            (Self::Cidr(own), Self::Cidr(deny)) => own.iter().all(|own| deny.iter().any(|deny| deny.covers(own))),
            (Self::Min(own), Self::Min(deny)) | (Self::Max(deny), Self::Max(own)) => ordered(deny, own),
            (Self::MaxLength(own), Self::MaxLength(deny)) => own <= deny,
            (own, Self::Type(deny)) => deny.has(own.readable(searches)),
            _ => false,
        }
    }
}

fn slashed(directory: &Directory) -> &str {
    match directory.as_str() {
        "" => "/",
        path => path,
    }
}
