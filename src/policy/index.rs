//! Which rules speak about an operation, found without asking every rule.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::asked::{Family, upstream_of};
use super::names::Names;
use super::posting::{Bits, Mask, Posting};
use super::rule::Rule;
use crate::vocab::{Class, Principal};

/// Whom a decision is about.
#[derive(Clone, Copy)]
pub(super) enum About<'s> {
    /// Each rule is asked.
    Who(&'s Principal),
    /// The rules about the principal, worked out before.
    Known(&'s Bits),
    /// The rules that this is true of.
    Those(&'s dyn Fn(&Rule) -> bool),
}

impl<'s> About<'s> {
    fn bits(self) -> Option<&'s Bits> {
        match self {
            Self::Who(_) | Self::Those(_) => None,
            Self::Known(bits) => Some(bits),
        }
    }

    fn passes(self, rule: &Rule) -> bool {
        match self {
            Self::Who(who) => rule.is_about(who),
            Self::Known(_) => true,
            Self::Those(is) => is(rule),
        }
    }
}

/// A few rules, sorted by id.
pub(super) type Few<'s> = SmallVec<[&'s Rule; FEW]>;
/// Rules that mostly speak about one operation; more take a heap allocation.
pub(super) const FEW: usize = 8;

/// The rules of a set, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Index {
    tools: Part,
    resources: Part,
    prompts: Part,
    /// Rules that name everything.
    always: Posting,
    /// Rules of each class.
    read: Bits,
    write: Bits,
    destructive: Bits,
}

#[derive(Debug, Default)]
struct Part {
    names: Names,
    /// Rules with a glob that names an upstream in letters.
    by_upstream: HashMap<Box<str>, Posting>,
    /// Rules with another glob.
    open: Posting,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let of_class = |class: Class| Bits::of(rules.len(), |at| rules.get(at).is_some_and(|rule| rule.classes.has(class)));
        let always = numbered(rules).filter(|(_, rule)| rule.names_everything()).map(|(at, _)| at).collect();
        Self {
            tools: Part::new(rules, Family::Tool),
            resources: Part::new(rules, Family::Resource),
            prompts: Part::new(rules, Family::Prompt),
            always: Posting::new(always, rules.len()),
            read: of_class(Class::Read),
            write: of_class(Class::Write),
            destructive: of_class(Class::Destructive),
        }
    }

    /// The rules about this principal that cover an operation of this family, name and class.
    pub(super) fn covering<'s>(
        &self,
        rules: &'s [Rule],
        about: About<'_>,
        (family, name, class): (Family, &str, Class),
    ) -> Few<'s> {
        let mask = Mask([about.bits(), Some(self.of_class(class))]);
        let mut places: SmallVec<[usize; FEW]> = SmallVec::new();
        self.always.each(mask, &mut |at| {
            places.push(at);
            true
        });
        if let Some(part) = self.part(family) {
            let names_it = |at: usize| {
                rules.get(at).is_some_and(|rule: &Rule| rule.targets.of(family).iter().any(|glob| glob.matches(name)))
            };
            part.names.find(name, &mut |posting, is_sure| {
                posting.each(mask, &mut |at| {
                    if is_sure || names_it(at) {
                        places.push(at);
                    }
                    true
                });
            });
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|at| rules.get(at)).filter(|rule| about.passes(rule)).collect()
    }

    /// Whether `holds` is true of any rule about this principal that could cover a name beginning with `prefix`, which has its
    /// upstream in letters. It may be asked of other rules about the principal as well, and twice of one.
    pub(super) fn any_within(
        &self,
        rules: &[Rule],
        about: About<'_>,
        (family, prefix): (Family, &str),
        holds: &dyn Fn(&Rule) -> bool,
    ) -> bool {
        let Some(part) = self.part(family) else { return false };
        let mask = Mask([about.bits(), None]);
        let postings = [Some(&self.always), part.by_upstream.get(upstream_of(prefix)), Some(&part.open)];
        let fails = |at: usize| !rules.get(at).is_some_and(|rule| about.passes(rule) && holds(rule));
        postings.into_iter().flatten().any(|posting| !posting.each(mask, &mut |at| fails(at)))
    }

    fn part(&self, family: Family) -> Option<&Part> {
        match family {
            Family::Tool => Some(&self.tools),
            Family::Resource => Some(&self.resources),
            Family::Prompt => Some(&self.prompts),
            Family::Lists => None,
        }
    }

    fn of_class(&self, class: Class) -> &Bits {
        match class {
            Class::Read => &self.read,
            Class::Write => &self.write,
            Class::Destructive => &self.destructive,
        }
    }
}

impl Part {
    fn new(rules: &[Rule], family: Family) -> Self {
        let globs = numbered(rules).flat_map(|(at, rule)| rule.targets.of(family).iter().map(move |glob| (glob, at)));
        let mut by_upstream: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut open = Vec::new();
        for (glob, at) in globs.clone() {
            match glob.literal_prefix().split_once("__") {
                Some((upstream, _)) => by_upstream.entry(upstream.into()).or_default().push(at),
                None => open.push(at),
            }
        }
        let by_upstream = by_upstream.into_iter().map(|(name, places)| (name, Posting::new(places, rules.len()))).collect();
        Self { names: Names::new(globs, rules.len()), by_upstream, open: Posting::new(open, rules.len()) }
    }
}

/// Rules with their positions, which a set bounds well below 32 bits.
fn numbered(rules: &[Rule]) -> impl Iterator<Item = (u32, &Rule)> + Clone {
    (0_u32..).zip(rules)
}

#[cfg(test)]
mod tests;
