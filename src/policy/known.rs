//! What is known about an operation: everything for a call that is being made, a part of it for one that was recorded.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::Tree;
use super::asked::{Asked, Family, Kind, Moment};
use super::matcher::{Criterion, Quantifier};
use super::possible::{Missing, Possible};
use super::rule::Arguments;
use super::schedule::Schedule;
use super::tri::Tri;
use super::when::{Reads, Scene, When};
use crate::mcp::RawJson;
use crate::mcp::json::push_string;
use crate::vocab::{Class, Principal};

/// One operation as far as it is known.
pub(super) struct Known<'a> {
    pub(super) who: &'a Principal,
    pub(super) claims: Claims,
    pub(super) family: Family,
    pub(super) name: &'a str,
    pub(super) class: Class,
    pub(super) arguments: Given<'a>,
    /// The arguments as they were sent, where all of them are known.
    pub(super) raw: Option<&'a RawJson>,
    /// Milliseconds since the Unix epoch; 0 or less is a clock that cannot be read.
    pub(super) now_unix_ms: Option<i64>,
    /// The path of the route.
    pub(super) route: Option<&'a str>,
}

/// Which claims of the principal are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// All: what a principal does not hold, it does not have.
    All,
    /// All that entries of `principals` look at. It stands for everybody who is at least this, so whatever else a condition reads of
    /// it is open.
    Example,
    /// Scopes, and the groups claim; not whole where a list was cut.
    Recorded {
        /// Every group is there.
        groups: bool,
        /// Every scope is there.
        scopes: bool,
    },
}

impl Claims {
    /// Whether the whole of claim `name` is known.
    pub(super) fn know(self, name: &str) -> bool {
        match self {
            Self::All | Self::Example => true,
            Self::Recorded { groups, .. } => groups && name == "groups",
        }
    }

    /// Whether all scopes are known.
    pub(super) fn know_scopes(self) -> bool {
        matches!(self, Self::All | Self::Example | Self::Recorded { scopes: true, .. })
    }
}

/// What is known of the arguments.
pub(super) enum Given<'a> {
    /// There are none.
    None,
    /// All of them; `None` inside if they cannot be read.
    All(Option<Tree<'a>>),
    /// Some values, and nothing about the rest.
    Pieces { pieces: &'a [Piece], may_collide: bool },
}

/// One value of the arguments that is known, by a pointer (RFC 6901).
#[derive(Clone, Debug)]
pub struct Piece {
    /// Canonical spelling of the pointer.
    pointer: String,
    /// Arguments that hold this value in its place and nothing else.
    alone: String,
    /// Keys of the objects around the value, outermost first.
    names: Vec<String>,
    /// The value.
    value: String,
    /// Some step could be the index of an array as well as a key.
    has_index: bool,
}

impl Piece {
    /// The JSON `value` at `pointer`; `None` where the two say nothing that can be used.
    pub fn new(pointer: &str, value: &str) -> Option<Self> {
        Tree::read(value)?;
        let mut names = Vec::new();
        if !pointer.is_empty() {
            let steps = pointer.strip_prefix('/')?.split('/');
            names.extend(steps.map(|step| step.replace("~1", "/").replace("~0", "~")));
        }
        // A policy's pointer cannot name such a key: there they are wildcards.
        if names.iter().any(|name| name == "*" || name == "**") {
            return None;
        }
        let mut alone = Vec::new();
        let mut canonical = String::new();
        for name in &names {
            alone.push(b'{');
            push_string(&mut alone, name);
            alone.push(b':');
            canonical.push('/');
            canonical.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        alone.extend_from_slice(value.as_bytes());
        alone.extend(std::iter::repeat_n(b'}', names.len()));
        let has_index = names.iter().any(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()));
        Some(Self { pointer: canonical, alone: String::from_utf8(alone).ok()?, names, value: value.to_owned(), has_index })
    }

    /// Whether this is the whole of the arguments.
    fn is_whole(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether this value holds everything that `pointer` selects.
    fn holds_all_of(&self, pointer: &str) -> bool {
        pointer.strip_prefix(&self.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn collides(&self) -> bool {
        Tree::read(&self.alone).is_none_or(|tree| tree.collides())
    }
}

impl<'a> Known<'a> {
    /// A call as it is made: nothing is missing.
    pub(super) fn whole(who: &'a Principal, asked: &Asked<'a>) -> Self {
        let kind = &asked.kind;
        let arguments = kind.arguments().map_or(Given::None, |raw| Given::All(Tree::read(raw.as_str())));
        Self {
            who,
            claims: Claims::All,
            family: kind.family(),
            name: kind.name(),
            class: kind.class(),
            arguments,
            raw: kind.arguments(),
            now_unix_ms: Some(asked.now_unix_ms),
            route: Some(asked.route),
        }
    }

    /// The operation, with what arguments are wholly known.
    pub(super) fn kind(&self) -> Kind<'a> {
        match self.family {
            Family::Resource => Kind::Resource { uri: self.name },
            Family::Prompt => Kind::Prompt { name: self.name, arguments: self.raw },
            Family::Tool | Family::Lists => Kind::Tool { name: self.name, class: self.class, arguments: self.raw },
        }
    }

    /// When and where, as far as it is known.
    pub(super) fn moment(&self) -> Moment<'a> {
        Moment { now_unix_ms: self.now_unix_ms.unwrap_or(0), route: self.route.unwrap_or_default() }
    }

    /// Whether the hours of a schedule are open.
    pub(super) fn schedule(&self, schedule: &Schedule) -> Possible {
        match self.now_unix_ms {
            Some(_) => Possible::just(schedule.is_open(self.moment().readable_unix_ms())),
            // Unknown for a clock that could not be read.
            None => Possible::any_truth(Missing::Time),
        }
    }

    /// Whether a condition can hold.
    pub(super) fn when(&self, when: &When) -> Possible {
        let mut missing = self.missing_for(when);
        let mut doubtful = false;
        let pieced = match &self.arguments {
            Given::Pieces { pieces, may_collide } if when.reads.args => {
                if pieces.iter().any(Piece::collides) {
                    return Possible::just(Tri::Unknown);
                }
                doubtful = *may_collide && !pieces.iter().any(Piece::is_whole);
                match assemble(pieces, when) {
                    Ok(text) => Some(text),
                    Err(unseen) => {
                        missing.extend(unseen.into_iter().map(Missing::Argument));
                        None
                    }
                }
            }
            _ => None,
        };
        if !missing.is_empty() {
            return Possible::all(missing.into_iter().map(Possible::any_truth));
        }
        let kind = self.kind();
        let text = pieced.as_deref().or(self.raw.map(RawJson::as_str));
        let arguments = text.map(Arguments::new);
        let truth = Possible::just(when.holds(&Scene::new(self.who, self.moment(), Some(&kind), arguments.as_ref())));
        if doubtful { truth.or(Tri::Unknown, Missing::Argument("/**".to_owned())) } else { truth }
    }

    /// What a condition reads, arguments aside, and is not known.
    fn missing_for(&self, when: &When) -> Vec<Missing> {
        let Reads { who, time, route, groups, scopes, claims, args: _, tool: _ } = when.reads;
        let claim = |name: &str| Missing::Claim(name.to_owned());
        let example = self.claims == Claims::Example;
        [
            (who && example, claim("sub")),
            (time && self.now_unix_ms.is_none(), Missing::Time),
            (route && self.route.is_none(), Missing::Route),
            (groups && (example || !self.claims.know("groups")), claim("groups")),
            (scopes && (example || !self.claims.know_scopes()), claim("scope")),
            (claims && self.claims != Claims::All, claim("*")),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect()
    }

    /// Whether a criterion of a rule can hold.
    pub(super) fn criterion(&self, criterion: &Criterion, quantifier: Quantifier) -> Possible {
        match &self.arguments {
            Given::None => Possible::just(holds_without(criterion, quantifier)),
            Given::All(Some(tree)) if !tree.collides() => Possible::just(criterion.holds(tree, quantifier)),
            Given::All(_) => Possible::just(Tri::Unknown),
            Given::Pieces { pieces, may_collide } => pieced(pieces, *may_collide, criterion, quantifier),
        }
    }
}

/// Without arguments nothing is selected, not even the whole.
fn holds_without(criterion: &Criterion, quantifier: Quantifier) -> Tri {
    match Tree::read("{}") {
        Some(tree) if !criterion.pointer.canonical().is_empty() => criterion.holds(&tree, quantifier),
        _ => criterion.is_absent().into(),
    }
}

/// Arguments that are the same to a condition as the whole would be, made of what is known; else the pointers that are missing.
fn assemble(pieces: &[Piece], when: &When) -> Result<String, BTreeSet<String>> {
    if let Some(whole) = pieces.iter().find(|piece| piece.is_whole()) {
        return Ok(whole.value.clone());
    }
    let mut used: BTreeMap<&[String], &str> = BTreeMap::new();
    let pointers = when.argument_pointers();
    let mut unseen = BTreeSet::new();
    for pointer in &pointers.plain {
        // The widest: it holds what any other would.
        let holding = pieces.iter().filter(|piece| piece.holds_all_of(pointer)).min_by_key(|piece| piece.names.len());
        match holding {
            Some(piece) => _ = used.insert(&piece.names, &piece.value),
            None => _ = unseen.insert(pointer.clone()),
        }
    }
    unseen.extend(pointers.other);
    if unseen.is_empty() && when.cost_depends_on_size() {
        unseen.insert("/**".to_owned());
    }
    if !unseen.is_empty() {
        return Err(unseen);
    }
    let mut text = Vec::new();
    write_nested(&mut text, &used.into_iter().collect::<Vec<_>>());
    String::from_utf8(text).map_err(|_| BTreeSet::new())
}

/// An object of these values, none of which is inside another, each under its keys. Sorted by keys.
fn write_nested(out: &mut Vec<u8>, values: &[(&[String], &str)]) {
    if let [([], value)] = values {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.push(b'{');
    let same_key = |a: &(&[String], &str), b: &(&[String], &str)| a.0.first() == b.0.first();
    for (n, members) in values.chunk_by(same_key).enumerate() {
        if n > 0 {
            out.push(b',');
        }
        let name = members.first().and_then(|(names, _)| names.first()).map_or("", String::as_str);
        push_string(out, name);
        out.push(b':');
        write_nested(out, &members.iter().filter_map(|(names, value)| Some((names.get(1..)?, *value))).collect::<Vec<_>>());
    }
    out.push(b'}');
}

fn pieced(pieces: &[Piece], may_collide: bool, criterion: &Criterion, quantifier: Quantifier) -> Possible {
    // Keys that collide anywhere make every argument rule indeterminate.
    if pieces.iter().any(Piece::collides) {
        return Possible::just(Tri::Unknown);
    }
    let pointer = criterion.pointer.canonical();
    let missing = || Missing::Argument(pointer.clone());
    let whole = pieces.iter().find(|piece| piece.holds_all_of(&pointer));
    let exact = whole.and_then(|piece| Some(criterion.holds(&Tree::read(&piece.alone)?, quantifier)));
    let possible = match exact {
        Some(truth) => Possible::just(truth),
        None => pieces.iter().fold(Possible::any_truth(missing()), |sum, piece| match hint(piece, criterion, quantifier) {
            Some(narrower) => sum.narrowed(&Possible::one_of(narrower, missing())),
            None => sum,
        }),
    };
    let everything_known = pieces.iter().any(Piece::is_whole);
    if may_collide && !everything_known { possible.or(Tri::Unknown, Missing::Argument("/**".to_owned())) } else { possible }
}

/// What one value among those that a wildcard selects leaves open.
fn hint(piece: &Piece, criterion: &Criterion, quantifier: Quantifier) -> Option<&'static [Tri]> {
    if piece.has_index {
        return None;
    }
    let tree = Tree::read(&piece.alone)?;
    let (mut any, mut genuine) = (false, true);
    criterion.pointer.select(&tree, &mut |selected| {
        any = true;
        // The objects around the value hold more than is known here.
        genuine &= !matches!(selected, super::pointer::Selected::Value(at) if at < piece.names.len());
    });
    if !any || !genuine {
        return None;
    }
    match (quantifier, criterion.holds(&tree, quantifier)) {
        (Quantifier::Every, Tri::False) => Some(&[Tri::False]),
        (Quantifier::Every, Tri::Unknown) => Some(&[Tri::False, Tri::Unknown]),
        (Quantifier::Some, Tri::True) => Some(&[Tri::True]),
        (Quantifier::Some, Tri::Unknown) => Some(&[Tri::True, Tri::Unknown]),
        (Quantifier::Every, Tri::True) | (Quantifier::Some, Tri::False) => None,
    }
}
