//! Who can do what, and what becomes of it under other rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use super::asked::Family;
use super::aspect::{obligations, possible};
use super::canonical::{criterion_text, demands_text, who_text};
use super::decision::Effect;
use super::glob::Glob;
use super::known::{Claims, Given, Known};
use super::outlook::{covering, outlook, speaks};
use super::people::{Person, pairs};
use super::possible::{Missing, Possible};
use super::rule::{Capability, Rule};
use super::set::{Hints, PolicySet};
use super::things::{Thing, ThingKind};
use super::tri::Tri;
use super::who::{Group, Who};
use crate::vocab::{Class, Reason};

/// What a principal can do with a thing, whatever the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It may not even know of it.
    Hidden,
    /// It sees it and is always refused.
    Deny,
    /// That depends on the arguments.
    Conditional,
    /// It is always allowed, obligations aside.
    Allow,
}

impl Access {
    /// The word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Deny => "deny",
            Self::Conditional => "conditional",
            Self::Allow => "allow",
        }
    }

    fn is_possible(self) -> bool {
        self >= Self::Conditional
    }
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What the principal can do.
    pub access: Access,
    /// Reasons of refusals that are possible.
    pub reasons: Vec<Reason>,
    /// Obligations that a yes can have.
    pub obligations: Vec<&'static str>,
    /// What it depends on.
    #[serde(serialize_with = "as_texts")]
    pub depends_on: BTreeSet<Missing>,
    /// What the rules that can match demand, in canonical spelling. Empty where nothing can be allowed.
    pub conditions: BTreeSet<String>,
}

fn as_texts<S: Serializer>(missing: &BTreeSet<Missing>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(missing.iter().map(ToString::to_string))
}

/// What is known of upstreams' tools besides their names.
pub type HintsOf = BTreeMap<String, Hints>;

/// What `person` can do with `thing` under `set`.
pub fn cell(set: &PolicySet, person: &Person, thing: &Thing, hints: &HintsOf) -> Cell {
    let Some(named) = thing.kind.named() else { return capability(set, person, &thing.name) };
    let hints = hints.get(&thing.name).copied().unwrap_or_default();
    let class = if thing.kind == ThingKind::Tool { set.class_of(&thing.name, hints) } else { Class::Read };
    let arguments = match thing.kind {
        ThingKind::Resource => Given::None,
        _ => Given::Pieces { pieces: &[], may_collide: false },
    };
    // Any time, any route: what depends on them is conditional.
    let (raw, now_unix_ms, route) = (None, None, None);
    let (who, claims, family, name) = (&person.who, claims(person), named.family(), thing.name.as_str());
    let known = Known { who, claims, family, name, class, arguments, raw, now_unix_ms, route };
    let seen = outlook(set, &known);
    let (yes, no): (Vec<_>, Vec<_>) = seen.rulings.iter().partition(|ruling| ruling.effect() == Effect::Allow);
    let hidden = |reason: Reason| matches!(reason, Reason::NotVisible | Reason::UnknownName);
    let access = match (&*yes, &*no) {
        ([_], []) => Access::Allow,
        ([], no) if no.iter().all(|ruling| hidden(ruling.reason)) => Access::Hidden,
        ([], _) => Access::Deny,
        _ => Access::Conditional,
    };
    let conditional = access.is_possible() || no.iter().any(|ruling| ruling.reason == Reason::ScopeRequired);
    let mut obligations: Vec<&'static str> = Vec::new();
    for word in yes.iter().flat_map(|ruling| &ruling.obligations) {
        if !obligations.contains(word) {
            obligations.push(word);
        }
    }
    Cell {
        access,
        reasons: no.iter().map(|ruling| ruling.reason).collect(),
        obligations,
        depends_on: seen.missing,
        conditions: if conditional { conditions(set, &known) } else { BTreeSet::new() },
    }
}

/// Whoever is made up stands for others.
fn claims(person: &Person) -> Claims {
    if person.made_up { Claims::Example } else { Claims::All }
}

/// As [`PolicySet::capabilities`], at any time.
fn capability(set: &PolicySet, person: &Person, name: &str) -> Cell {
    let (upstream, word) = name.split_once(':').unwrap_or((name, ""));
    let (arguments, raw, now_unix_ms, route) = (Given::None, None, None, None);
    let (who, claims, family, class) = (&person.who, claims(person), Family::Lists, Class::Read);
    let known = Known { who, claims, family, name: upstream, class, arguments, raw, now_unix_ms, route };
    let wanted = Capability::WORDS.iter().find(|(known, _)| *known == word).map(|(_, capability)| *capability);
    let about = set.rules.iter().filter(|rule| {
        let mut named = rule.targets.capabilities.iter();
        let covers = named.any(|(glob, word)| Some(*word) == wanted && glob.matches(upstream)) || rule.names_everything();
        covers && rule.classes.has(class) && rule.accepts(None) == Tri::True && rule.is_about(who)
    });
    let speaking = about.map(|rule| (rule, speaks(rule, &known))).filter(|(_, speaks)| speaks.may_be(Tri::True));
    let (allows, denies): (Vec<_>, Vec<_>) = speaking.partition(|(rule, _)| rule.effect == Effect::Allow);
    let always = |(_, speaks): &(&Rule, Possible)| speaks.known() == Some(Tri::True);
    let access = match () {
        () if allows.is_empty() || denies.iter().any(always) => Access::Deny,
        () if denies.is_empty() && allows.iter().any(always) => Access::Allow,
        () => Access::Conditional,
    };
    let refused = access != Access::Allow;
    let open: Vec<&(&Rule, Possible)> = allows.iter().chain(&denies).filter(|_| access == Access::Conditional).collect();
    let certain = allows.iter().any(always);
    let counts = |one: &&&(&Rule, Possible)| !certain || one.0.effect == Effect::Deny || always(one);
    Cell {
        access,
        reasons: if refused { vec![Reason::NoRule] } else { Vec::new() },
        obligations: Vec::new(),
        depends_on: open.iter().filter(counts).flat_map(|(_, speaks)| speaks.missing().iter().cloned()).collect(),
        conditions: open.iter().filter(counts).map(|(rule, _)| demands(rule, &known)).collect(),
    }
}

/// What the rules that can match demand, leaving out what changes nothing.
fn conditions(set: &PolicySet, known: &Known<'_>) -> BTreeSet<String> {
    let open: Vec<&Rule> =
        covering(set, known).into_iter().filter(|rule| possible(rule, known).known() != Some(Tri::False)).collect();
    let free = |rule: &Rule| rule.scopes.is_empty() && obligations(rule).is_empty();
    let certain = |rule: &Rule| possible(rule, known).known() == Some(Tri::True);
    let open_door = open.iter().any(|rule| rule.effect == Effect::Allow && certain(rule) && free(rule));
    let counts = |rule: &&&Rule| !(open_door && rule.effect == Effect::Allow && free(rule) && !certain(rule));
    open.iter().filter(counts).map(|rule| demands(rule, known)).collect()
}

/// What a rule demands of an operation it is about, whatever the rule is called.
fn demands(rule: &Rule, known: &Known<'_>) -> String {
    // Named one by one, so that a new field cannot be passed over.
    let Rule { id: _, effect, who: _, targets: _, classes: _, arguments, schedule, when, scopes, limits, demands, shadow: _ } =
        rule;
    let mut parts = Vec::new();
    for criterion in arguments {
        let mut text = String::new();
        criterion_text(&mut text, criterion);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        parts.push(lines.join(" "));
    }
    if !schedule.is_always() {
        parts.push(format!("schedule {}", schedule.canonical().join(" or ")));
    }
    if let Some(when) = when {
        parts.push(format!("when {}", when.canonical()));
        // It may mean something else for another class.
        parts.extend(when.reads.tool.then(|| format!("class {}", known.class.as_str())));
    }
    let mut texts = String::new();
    demands_text(&mut texts, demands, &by_meaning);
    parts.extend(texts.lines().map(|line| line.trim().to_owned()));
    parts.extend(scopes.iter().map(|scope| format!("scope {scope}")));
    parts.extend(limits.iter().map(|limit| format!("limit {:?} by {:?}", limit.quota, limit.by)));
    let when = if parts.is_empty() { "always".to_owned() } else { parts.join(", ") };
    format!("{} {when}", effect.as_str())
}

/// A group by what it is, whatever it is called.
fn by_meaning(out: &mut String, entry: &Who) {
    let Who::Group(group) = entry else { return who_text(out, entry) };
    let Group { name: _, issuers, claim, clients } = &**group;
    out.push_str(" group of");
    if let Some((claim, values)) = claim {
        let _ = write!(out, " {claim} {values:?}");
    }
    if !clients.is_empty() {
        let _ = write!(out, " clients {:?}", clients.iter().map(Glob::canonical).collect::<Vec<_>>());
    }
    if !issuers.is_empty() {
        let _ = write!(out, " issuers {issuers:?}");
    }
    out.push('\n');
}

/// How a cell changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// What was refused can be allowed.
    BecomesPossible,
    /// What could be allowed no longer can.
    Stops,
    /// What depended on the arguments no longer does, and is allowed.
    BecomesUnconditional,
    /// What was always allowed now depends on the arguments.
    BecomesConditional,
    /// Refused as before, and seen now.
    BecomesVisible,
    /// Refused as before, and no longer seen.
    BecomesHidden,
    /// Allowed as before, on other conditions or with other obligations.
    ConditionsChanged,
}

impl ChangeKind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BecomesPossible => "becomes possible",
            Self::Stops => "stops",
            Self::BecomesUnconditional => "becomes unconditional",
            Self::BecomesConditional => "becomes conditional",
            Self::BecomesVisible => "becomes visible",
            Self::BecomesHidden => "becomes hidden",
            Self::ConditionsChanged => "conditions changed",
        }
    }

    fn of(old: &Cell, new: &Cell) -> Option<Self> {
        use Access::{Allow, Conditional, Deny, Hidden};
        Some(match (old.access, new.access) {
            (Hidden | Deny, Conditional | Allow) => Self::BecomesPossible,
            (Conditional | Allow, Hidden | Deny) => Self::Stops,
            (Conditional, Allow) => Self::BecomesUnconditional,
            (Allow, Conditional) => Self::BecomesConditional,
            (Hidden, Deny) => Self::BecomesVisible,
            (Deny, Hidden) => Self::BecomesHidden,
            _ if old.conditions != new.conditions || old.obligations != new.obligations => Self::ConditionsChanged,
            _ => return None,
        })
    }
}

/// A cell that differs between two sets.
#[derive(Clone, Debug)]
pub struct Change {
    /// Who.
    pub person: String,
    /// What.
    pub thing: Thing,
    /// How.
    pub kind: ChangeKind,
    /// Before.
    pub old: Cell,
    /// After.
    pub new: Cell,
}

/// Every cell that differs between two sets, for all `people` and `things`, and for people who are two of them at once where that
/// shows what neither does.
pub fn changes(old: &PolicySet, new: &PolicySet, people: &[Person], things: &BTreeSet<Thing>, hints: &HintsOf) -> Vec<Change> {
    if old.digest() == new.digest() {
        return Vec::new();
    }
    let change = |person: &Person, thing: &Thing| {
        let (before, after) = (cell(old, person, thing, hints), cell(new, person, thing, hints));
        let kind = ChangeKind::of(&before, &after)?;
        Some(Change { person: person.label.clone(), thing: thing.clone(), kind, old: before, new: after })
    };
    let alone: Vec<Vec<Option<Change>>> =
        people.iter().map(|person| things.iter().map(|thing| change(person, thing)).collect()).collect();
    let mut found = Vec::new();
    for (a, b, person) in pairs(people) {
        for (n, thing) in things.iter().enumerate() {
            let of = |at: usize| alone.get(at).and_then(|row| row.get(n)).and_then(Option::as_ref);
            let Some(change) = change(&person, thing) else { continue };
            let told = |one: Option<&Change>| one.is_some_and(|one| one.kind == change.kind);
            if !told(of(a)) && !told(of(b)) {
                found.push(change);
            }
        }
    }
    alone.into_iter().flatten().flatten().chain(found).collect()
}
