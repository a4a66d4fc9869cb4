//! Whether all that one rule is about is something another is about too, or some of it.

use super::entry::{CLASSES, Entry};
use super::pattern::Pattern;
use crate::policy::asked::Family;
use crate::policy::decision::Effect;
use crate::policy::matcher::{Criterion, Quantifier};
use crate::policy::tri::Tri;
use crate::policy::who::{ANONYMOUS, Group, KEY_PREFIX, Who};
use crate::vocab::Class;
use crate::vocab::principal::KEY_ISSUER;

const FAMILIES: [Family; 3] = [Family::Tool, Family::Resource, Family::Prompt];

/// Whether `wide` is about every principal, target and class that `narrow` is about. Conditions do not count.
pub(super) fn covers(wide: &Entry<'_>, narrow: &Entry<'_>) -> bool {
    covers_who(&wide.rule.who, &narrow.rule.who) && covers_targets(wide, narrow)
}

/// Whether every principal of `narrow` is one of `wide`.
pub(super) fn covers_who(wide: &[Who], narrow: &[Who]) -> bool {
    narrow.iter().all(|narrow| wide.iter().any(|wide| who(wide, narrow)))
}

/// Whether some principal is certainly one of both.
pub(super) fn shares_who(a: &[Who], b: &[Who]) -> bool {
    a.iter().any(|x| b.iter().any(|y| who(x, y) || who(y, x)))
}

fn who(wide: &Who, narrow: &Who) -> bool {
    match (wide, narrow) {
        (Who::Any, _) => true,
        (wide, narrow) if wide == narrow => true,
        (Who::Group(wide), Who::Group(narrow)) => group(wide, narrow),
        (Who::Client(wide), Who::Client(narrow)) => Pattern::of(wide).covers(&Pattern::of(narrow)),
        (Who::Sub { issuer: Some(wide), glob }, Who::Sub { issuer: Some(narrow), glob: inner }) => {
            wide == narrow && Pattern::of(glob).covers(&Pattern::of(inner))
        }
        // Nobody without a credential is among these, and keys only where they are meant.
        (Who::Sub { issuer: None, glob }, narrow) if glob.literal() != Some(ANONYMOUS) => {
            let keys_only = glob.literal_prefix().starts_with(KEY_PREFIX);
            match narrow {
                Who::Sub { issuer: None, glob: inner } => {
                    inner.literal() != Some(ANONYMOUS) && Pattern::of(glob).covers(&Pattern::of(inner))
                }
                Who::Sub { issuer: Some(issuer), glob: inner } => {
                    (!keys_only || **issuer == *KEY_ISSUER) && Pattern::of(glob).covers(&Pattern::of(inner))
                }
                Who::Group(_) | Who::Client(_) | Who::Scope(_) => glob.canonical() == "*",
                Who::Any => false,
            }
        }
        _ => false,
    }
}

fn group(wide: &Group, narrow: &Group) -> bool {
    let issuers = wide.issuers.is_empty()
        || (!narrow.issuers.is_empty() && narrow.issuers.iter().all(|issuer| wide.issuers.contains(issuer)));
    let claim = match (&wide.claim, &narrow.claim) {
        (None, _) => true,
        (Some((name, values)), Some((inner, few))) => name == inner && few.iter().all(|value| values.contains(value)),
        (Some(_), None) => false,
    };
    let inside = |narrow| wide.clients.iter().any(|wide| Pattern::of(wide).covers(&Pattern::of(narrow)));
    let clients = wide.clients.is_empty() || (!narrow.clients.is_empty() && narrow.clients.iter().all(inside));
    issuers && claim && clients
}

fn covers_targets(wide: &Entry<'_>, narrow: &Entry<'_>) -> bool {
    let classes = |classes: &[Class]| classes.iter().all(|class| wide.rule.classes.has(*class));
    let narrow_classes: Vec<Class> = CLASSES.into_iter().filter(|class| narrow.rule.classes.has(*class)).collect();
    if wide.rule.names_everything() || narrow.rule.names_everything() {
        return wide.rule.names_everything() && classes(&narrow_classes);
    }
    FAMILIES.into_iter().all(|family| {
        let inside = |narrow: &Pattern| wide.of(family).iter().any(|wide| wide.covers(narrow));
        let class = match family {
            Family::Tool => classes(&narrow_classes),
            Family::Resource | Family::Prompt | Family::Lists => wide.rule.classes.has(Class::Read),
        };
        narrow.of(family).is_empty() || (class && narrow.of(family).iter().all(inside))
    }) && narrow.capabilities.iter().all(|(narrow, word)| {
        wide.rule.classes.has(Class::Read) && wide.capabilities.iter().any(|(wide, other)| word == other && wide.covers(narrow))
    })
}

/// Whether some operation is certainly a target of both, in a class of both.
pub(super) fn shares_targets(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    FAMILIES.into_iter().any(|family| {
        let classes: &[Class] = if family == Family::Tool { &CLASSES } else { &[Class::Read] };
        let class = classes.iter().any(|class| a.rule.classes.has(*class) && b.rule.classes.has(*class));
        class && a.of(family).iter().any(|x| b.of(family).iter().any(|y| x.covers(y) || y.covers(x)))
    })
}

/// Whether `wide` matches whenever `narrow`, a rule of the same effect, does: each of its conditions is one of `narrow`'s.
pub(super) fn is_as_open(wide: &Entry<'_>, narrow: &Entry<'_>) -> bool {
    !wide.has_other_conditions && wide.rule.arguments.iter().all(|criterion| narrow.rule.arguments.contains(criterion))
}

/// Whether arguments that satisfy the allow rule always trip the deny rule.
pub(super) fn always_trips(deny: &Entry<'_>, allow: &Entry<'_>) -> bool {
    let tripped = |deny: &Criterion| allow.rule.arguments.iter().any(|allow| allow.implies(deny));
    !deny.has_other_conditions && deny.rule.effect == Effect::Deny && deny.rule.arguments.iter().all(tripped)
}

/// Whether no arguments can satisfy both of two allow rules: at one place they want values that exclude each other.
pub(super) fn excludes(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    let apart = |x: &Criterion, y: &Criterion| {
        let one_place = x.pointer == y.pointer && x.pointer.names().is_some();
        let never =
            |mut values: Box<dyn Iterator<Item = _> + '_>| values.all(|v| y.holds_for(v, Quantifier::Every) == Tri::False);
        one_place && x.finite().is_some_and(|values| never(Box::new(values)))
    };
    let (a, b) = (&a.rule.arguments, &b.rule.arguments);
    a.iter().any(|x| b.iter().any(|y| apart(x, y) || apart(y, x)))
}
