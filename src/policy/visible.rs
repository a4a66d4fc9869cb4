//! What a principal may know to exist: a name that no arguments could make allowed is hidden.

use std::collections::BTreeMap;

use super::arguments::Tree;
use super::asked::{Family, Kind, Moment};
use super::decision::Effect;
use super::index::{About, Few};
use super::literal::Literal;
use super::matcher::{Criterion, Quantifier};
use super::path::hostile_uri;
use super::rule::{Arguments, Rule};
use super::set::{PolicySet, Subject};
use super::tri::Tri;
use super::when::Scene;
use crate::vocab::{Class, Principal};

/// Whether `who` may know that this exists; the arguments do not count. `require.scope` hides nothing, for the way to more scope
/// must be open; a principal `scope:` does.
///
/// Rules speak as they would at this moment: outside its `schedule`, or with a `when` that is not true, an allow rule shows nothing.
/// A `when` that reads the arguments could turn out either way, so it shows and hides nothing.
pub fn visible(set: &PolicySet, who: &Principal, kind: &Kind<'_>, moment: Moment<'_>) -> bool {
    !kind.is_hostile() && visible_to(set, About::Who(who), who, kind, moment)
}

/// Whether `who` may know a resource template (`upstream__` and an RFC 6570 template): some resource it could name is visible.
///
/// None is where [`hostile_template`] says so.
pub fn visible_template(set: &PolicySet, who: &Principal, template: &str, moment: Moment<'_>) -> bool {
    let literal = template.split('{').next().unwrap_or_default();
    if literal.len() == template.len() {
        return visible(set, who, &Kind::Resource { uri: template }, moment);
    }
    if hostile_template(own(template)) {
        return false;
    }
    let scene = Scene::new(who, moment, None, None);
    family_visible(set, About::Who(who), Family::Resource, literal, &scene)
}

/// As [`visible`], with the principal's rules worked out before by [`PolicySet::subject`]; a subject of another set is ignored.
pub fn visible_for(set: &PolicySet, subject: &Subject, who: &Principal, kind: &Kind<'_>, moment: Moment<'_>) -> bool {
    if !subject.is_of(set) {
        return visible(set, who, kind, moment);
    }
    !kind.is_hostile() && visible_to(set, subject.about(), who, kind, moment)
}

/// As [`visible_template`], in the way of [`visible_for`].
pub fn visible_template_for(set: &PolicySet, subject: &Subject, who: &Principal, template: &str, moment: Moment<'_>) -> bool {
    let literal = template.split('{').next().unwrap_or_default();
    if !subject.is_of(set) || literal.len() == template.len() {
        return visible_template(set, who, template, moment);
    }
    if hostile_template(own(template)) {
        return false;
    }
    let scene = Scene::new(who, moment, None, None);
    family_visible(set, subject.about(), Family::Resource, literal, &scene)
}

/// Whether every URI that a template (RFC 6570, without its upstream) names must be refused before any rule is asked, see
/// [`hostile_uri`]: what it says itself is hostile, however its expressions come out.
pub fn hostile_template(template: &str) -> bool {
    FILLINGS.iter().all(|filling| hostile_uri(&filled(template, filling)))
}

/// What expressions of templates may come out as: nothing, a word, a path, a path behind an empty host.
const FILLINGS: &[&str] = &["", "x", "/x", "///x"];

/// A template with `filling` for every expression. What RFC 6570 section 2 does not know as one is text.
fn filled(template: &str, filling: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, (inside, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?))) {
        let names = inside.strip_prefix(['+', '#', '.', '/', ';', '?', '&']).unwrap_or(inside);
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b',' | b'%' | b'*' | b':');
        out.push_str(before);
        if names.bytes().all(known) {
            out.push_str(filling);
        } else {
            out.extend(["{", inside, "}"]);
        }
        rest = after;
    }
    out + rest
}

/// What follows the upstream in a full name.
fn own(full: &str) -> &str {
    full.split_once("__").map_or(full, |(_, own)| own)
}

pub(super) fn visible_to(set: &PolicySet, about: About<'_>, who: &Principal, kind: &Kind<'_>, moment: Moment<'_>) -> bool {
    let scene = Scene::new(who, moment, Some(kind), None);
    let covering = set.index.covering(&set.rules, about, (kind.family(), kind.name(), kind.class()));
    visible_among(kind, covering.into_iter().filter(|rule| rule.could_speak(&scene)))
}

/// Whether a name is visible, told from the rules that are about it and could speak.
pub(super) fn visible_among<'s>(kind: &Kind<'_>, covering: impl Iterator<Item = &'s Rule>) -> bool {
    let (allows, denies): (Few<'_>, Few<'_>) = covering.partition(|rule| rule.effect == Effect::Allow);
    if denies.iter().any(|rule| rule.arguments.is_empty()) {
        return false;
    }
    let without = allows.iter().any(|rule| rule.accepts(None) == Tri::True);
    if !kind.takes_arguments() {
        return without && denies.iter().all(|rule| rule.accepts(None) == Tri::False);
    }
    allows.into_iter().any(|allow| allow.arguments.is_empty() || satisfiable(allow, &denies))
}

/// Whether anything of `upstream` (given as the prefix of its full names) could be allowed.
pub(super) fn any_visible(set: &PolicySet, about: About<'_>, who: &Principal, prefix: &str, moment: Moment<'_>) -> bool {
    let scene = Scene::new(who, moment, None, None);
    [Family::Tool, Family::Resource, Family::Prompt].into_iter().any(|family| family_visible(set, about, family, prefix, &scene))
}

/// Whether anything whose full name begins with `prefix` could be allowed.
fn family_visible(set: &PolicySet, about: About<'_>, family: Family, prefix: &str, scene: &Scene<'_>) -> bool {
    let classes: &[Class] = match family {
        Family::Tool => &[Class::Read, Class::Write, Class::Destructive],
        Family::Resource | Family::Prompt | Family::Lists => &[Class::Read],
    };
    let any = |holds: &dyn Fn(&Rule) -> bool| set.index.any_within(&set.rules, about, (family, prefix), holds);
    // Nothing is ever selected in a resource.
    let always = |rule: &Rule| rule.arguments.is_empty() || (family == Family::Resource && rule.accepts(None) == Tri::True);
    classes.iter().any(|class| {
        let speaks = |rule: &Rule, effect| rule.effect == effect && rule.classes.has(*class) && rule.could_speak(scene);
        let closes = |rule: &Rule| {
            let all = rule.names_everything() || rule.targets.of(family).iter().any(|glob| glob.covers(prefix));
            all && always(rule) && speaks(rule, Effect::Deny)
        };
        let opens = |rule: &Rule| {
            let possible = always(rule) || family != Family::Resource;
            let some = possible && rule.targets.of(family).iter().any(|glob| glob.may_start_with(prefix));
            some && speaks(rule, Effect::Allow)
        };
        any(&opens) && !any(&closes)
    })
}

/// Whether some arguments meet the criteria of `allow` and trip none of `denies`. Exact where the values that would do can be
/// listed; errs towards yes where telling would need to solve patterns against each other.
fn satisfiable(allow: &Rule, denies: &[&Rule]) -> bool {
    if allow.arguments.iter().any(Criterion::is_impossible) {
        return false;
    }
    // A call without arguments.
    if allow.accepts(None) == Tri::True && denies.iter().all(|deny| deny.accepts(None) == Tri::False) {
        return true;
    }
    let implied = |criterion: &Criterion| allow.arguments.iter().any(|own| own.implies(criterion));
    if denies.iter().any(|deny| deny.arguments.iter().all(implied)) {
        return false;
    }
    let Some(witnesses) = witnesses(allow) else { return true };
    // What more arguments could get around is left aside.
    let steady: Vec<&&Rule> =
        denies.iter().filter(|deny| deny.arguments.iter().all(|criterion| criterion.is_steady() || implied(criterion))).collect();
    let passes = |witness: &Literal| {
        let text = witness.to_json();
        let arguments = Arguments::new(&text);
        let tree = Tree::read(&text);
        let selected = |own: &Criterion| tree.as_ref().is_none_or(|tree| own.holds(tree, Quantifier::Every) != Tri::True);
        !allow.arguments.iter().any(|own| own.is_absent() && selected(own))
            && steady.iter().all(|deny| deny.accepts(Some(&arguments)) == Tri::False)
    };
    witnesses.iter().any(passes)
}

/// The least arguments that meet the listable criteria of `allow`: whatever meets the rule holds all of one of these. As more
/// arguments can only trip more deny rules, it is enough to ask about these. `None` if they cannot be listed.
fn witnesses(allow: &Rule) -> Option<Vec<Literal>> {
    let mut witnesses = vec![Literal::Map(BTreeMap::new())];
    for criterion in &allow.arguments {
        let Some(values) = criterion.finite() else { continue };
        let values: Vec<&Literal> = values.collect();
        if values.is_empty() {
            return Some(Vec::new());
        }
        let Some(names) = criterion.pointer.names() else { continue };
        if witnesses.len().saturating_mul(values.len()) > WITNESSES_MAX {
            return None;
        }
        let with = |witness: &Literal| values.iter().map(|value| witness.with(&names, value)).collect::<Vec<_>>();
        witnesses = witnesses.iter().flat_map(with).collect::<Option<_>>()?;
    }
    Some(witnesses)
}

/// Combinations of values tried before a name is taken to be visible.
const WITNESSES_MAX: usize = 256;
