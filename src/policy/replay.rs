//! Recorded operations, decided again under another policy from what was recorded of them.
//!
//! A call is decidable only if nothing that was not recorded could change the outcome. One thing is taken for granted, because
//! records do not say it: that no two keys of the unrecorded arguments differ only by case (a call that was refused as
//! indeterminate may well have been one of those, and is not taken to be clean).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::asked::Family;
use super::known::{Claims, Given, Known, Piece};
use super::outlook::{Ruling, outlook};
use super::possible::Missing;
use super::set::{Hints, PolicySet};
use crate::vocab::{Class, Principal, Reason};

/// What kind of name was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A tool.
    Tool,
    /// A resource, or a template of some.
    Resource,
    /// A prompt.
    Prompt,
}

impl Named {
    pub(super) fn family(self) -> Family {
        match self {
            Self::Tool => Family::Tool,
            Self::Resource => Family::Resource,
            Self::Prompt => Family::Prompt,
        }
    }
}

/// What a record says about one operation.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    /// Who asked, with the claims that were recorded.
    pub who: &'a Principal,
    /// Which claims those are.
    pub claims: Claims,
    /// What kind of name.
    pub named: Named,
    /// The full name, or `upstream__URI`.
    pub name: &'a str,
    /// The class it was decided as; `None` if that is not known.
    pub class: Option<Class>,
    /// What the upstream says about the tool, where that is known.
    pub hints: Option<Hints>,
    /// The argument values that are known; `None` for an operation without arguments.
    pub arguments: Option<&'a [Piece]>,
    /// When it was asked, in milliseconds since the Unix epoch.
    pub now_unix_ms: Option<i64>,
    /// The path of the route.
    pub route: Option<&'a str>,
    /// The reason of the recorded decision.
    pub reason: Reason,
    /// The obligations of the recorded decision.
    pub obligations: &'a [String],
}

/// What became of a recorded decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would be made again.
    Unchanged,
    /// It would not. More than one ruling where what is missing only tells which.
    Changed {
        /// What it would be.
        now: Vec<Ruling>,
        /// Rules that decide for certain.
        rules: Vec<Arc<str>>,
    },
    /// What was recorded does not tell.
    Undecidable {
        /// What would.
        missing: BTreeSet<Missing>,
        /// What it could be.
        could: Vec<Ruling>,
    },
}

/// Decides `past` again under `set`.
pub fn replay(set: &PolicySet, past: &Past<'_>) -> Again {
    // The catalog said that, or the name did: no policy has a part in it.
    if past.reason == Reason::UnknownName {
        return Again::Unchanged;
    }
    let mut rulings = BTreeSet::new();
    let mut missing = BTreeSet::new();
    let mut rules = BTreeSet::new();
    let classes = classes(set, past);
    for class in &classes {
        let arguments = match past.arguments.filter(|_| past.named != Named::Resource) {
            None => Given::None,
            Some(pieces) => Given::Pieces { pieces, may_collide: past.reason == Reason::Indeterminate },
        };
        let (family, name) = (past.named.family(), past.name);
        let (now_unix_ms, route) = (past.now_unix_ms, past.route);
        let known =
            Known { who: past.who, claims: past.claims, family, name, class: *class, arguments, raw: None, now_unix_ms, route };
        let seen = outlook(set, &known);
        if !rulings.is_empty() && rulings != seen.rulings {
            missing.insert(Missing::Hints);
        }
        rulings.extend(seen.rulings);
        missing.extend(seen.missing);
        rules.extend(seen.rules);
    }
    compare(past, rulings, missing, rules.into_iter().collect())
}

fn compare(past: &Past<'_>, rulings: BTreeSet<Ruling>, missing: BTreeSet<Missing>, rules: Vec<Arc<str>>) -> Again {
    let mut same = false;
    let mut other = false;
    let mut missing = missing;
    for ruling in &rulings {
        match stands(past, ruling) {
            Stands::Same => same = true,
            Stands::Other => other = true,
            Stands::Open(why) => {
                (same, other) = (true, true);
                missing.insert(why);
            }
        }
    }
    let now: Vec<Ruling> = rulings.into_iter().collect();
    match (same, other) {
        (true, false) => Again::Unchanged,
        (false, _) => Again::Changed { now, rules },
        (true, true) => Again::Undecidable { missing, could: now },
    }
}

enum Stands {
    Same,
    Other,
    /// The rules agree, and what was counted or answered then would have to be known.
    Open(Missing),
}

fn stands(past: &Past<'_>, ruling: &Ruling) -> Stands {
    let owes = |word: &str| ruling.reason == Reason::Allowed && ruling.obligations.contains(&word);
    let same = |same: bool| if same { Stands::Same } else { Stands::Other };
    match past.reason {
        Reason::Allowed => {
            let then: BTreeSet<&str> = past.obligations.iter().map(String::as_str).collect();
            let now: BTreeSet<&str> = ruling.obligations.iter().copied().collect();
            same(ruling.reason == Reason::Allowed && then == now)
        }
        Reason::RateLimited | Reason::ConcurrencyLimited if owes("limit") => Stands::Open(Missing::Counts),
        Reason::ApprovalRequired => same(owes("approval")),
        Reason::ApprovalDenied | Reason::ApprovalExpired if owes("approval") => Stands::Open(Missing::Approval),
        reason => same(ruling.reason == reason),
    }
}

/// The classes the operation could have under `set`. The recorded class is the higher one of the operator's then and the
/// upstream's hints, and only the hints still hold.
fn classes(set: &PolicySet, past: &Past<'_>) -> BTreeSet<Class> {
    if past.named != Named::Tool {
        return BTreeSet::from([Class::Read]);
    }
    if let Some(hints) = past.hints {
        return BTreeSet::from([set.class_of(past.name, hints)]);
    }
    let by_operator = set.class_of(past.name, Hints::default());
    let most = past.class.unwrap_or(Class::Destructive);
    let hinted = [Class::Read, Class::Write, Class::Destructive].into_iter().filter(|hinted| *hinted <= most);
    hinted.map(|hinted| by_operator.max(hinted)).collect()
}
