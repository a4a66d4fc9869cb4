//! What rows say, as labels that can be counted by: each text is read once, however many rows have it.

use std::collections::HashMap;

use serde::Deserialize;

use super::row::Row;
use super::scan::state_word;
use super::words::{OVERFLOW, Words};

/// What can be counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub enum By {
    Principal,
    Client,
    Tool,
    Upstream,
    Method,
    Route,
    Class,
    Kind,
    Effect,
    Status,
    Reason,
    /// The rules that decided, together.
    Rule,
    Policy,
    Error,
    Http,
    Approval,
    Hour,
    Day,
}

/// The words that people use for it.
const BY: [(By, &str); 18] = [
    (By::Principal, "principal"),
    (By::Client, "client"),
    (By::Tool, "tool"),
    (By::Upstream, "upstream"),
    (By::Method, "method"),
    (By::Route, "route"),
    (By::Class, "class"),
    (By::Kind, "kind"),
    (By::Effect, "effect"),
    (By::Status, "status"),
    (By::Reason, "reason"),
    (By::Rule, "rule"),
    (By::Policy, "policy"),
    (By::Error, "error"),
    (By::Http, "http"),
    (By::Approval, "approval"),
    (By::Hour, "hour"),
    (By::Day, "day"),
];

impl By {
    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        BY.iter().find(|(_, known)| *known == word).map(|(by, _)| *by)
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        BY.iter().find(|(by, _)| *by == self).map_or("", |(_, word)| word)
    }

    /// All words.
    pub fn words() -> impl Iterator<Item = &'static str> {
        BY.iter().map(|(_, word)| *word)
    }
}

/// Stands for what the dictionary had no room for.
pub(super) const OTHER: &str = "(other)";
/// Stands for a text that is no JSON of ours.
const UNREADABLE: &str = "(unreadable)";
const HOUR_MS: u64 = 3_600_000;

/// Texts with a number each; 0 is none.
pub(super) struct Labels {
    texts: Vec<Box<str>>,
    ids: HashMap<Box<str>, u32>,
}

impl Default for Labels {
    fn default() -> Self {
        Self { texts: vec!["".into()], ids: HashMap::from([("".into(), 0)]) }
    }
}

impl Labels {
    fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.into());
        self.ids.insert(text.into(), id);
        id
    }

    pub(super) fn text(&self, id: u32) -> &str {
        self.texts.get(id as usize).map(|text| &**text).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Who {
    pub(super) principal: u32,
    pub(super) client: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct What {
    pub(super) route: u32,
    pub(super) upstream: u32,
    pub(super) method: u32,
    pub(super) name: u32,
    pub(super) class: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Why {
    pub(super) effect: u32,
    pub(super) reason: u32,
    pub(super) rules: u32,
    pub(super) policy: u32,
    /// Refused, and not only observed to be.
    pub(super) denies: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    pub(super) status: u32,
    pub(super) reason: u32,
    pub(super) error: u32,
    pub(super) http: u32,
    /// Policy, a limit or the door said no.
    pub(super) refused: bool,
    /// Something failed or took too long.
    pub(super) failed: bool,
}

/// Everything a row says in words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) who: Who,
    pub(super) what: What,
    pub(super) why: Why,
    pub(super) end: End,
}

impl Facts {
    pub(super) fn denied(&self) -> bool {
        self.end.refused || self.why.denies
    }

    pub(super) fn reason(&self) -> u32 {
        if self.end.reason > 0 { self.end.reason } else { self.why.reason }
    }
}

/// The labels of all texts seen so far.
#[derive(Default)]
pub(super) struct Facets {
    pub(super) labels: Labels,
    who: Vec<Option<Who>>,
    what: Vec<Option<What>>,
    why: Vec<Option<Why>>,
    end: Vec<Option<End>>,
}

impl Facets {
    pub(super) fn of(&mut self, row: &Row, words: &Words) -> Facts {
        let labels = &mut self.labels;
        Facts {
            who: known(&mut self.who, row.who, || who(row.who, words, labels)),
            what: known(&mut self.what, row.what, || what(row.what, words, labels)),
            why: known(&mut self.why, row.why, || why(row.why, words, labels)),
            end: known(&mut self.end, row.end, || end(row.end, words, labels)),
        }
    }

    /// The label of a row in one respect; of times and kinds, a number that [`Self::label`] knows.
    pub(super) fn key(by: By, row: &Row, facts: &Facts) -> u32 {
        match by {
            By::Principal => facts.who.principal,
            By::Client => facts.who.client,
            By::Tool => facts.what.name,
            By::Upstream => facts.what.upstream,
            By::Method => facts.what.method,
            By::Route => facts.what.route,
            By::Class => facts.what.class,
            By::Kind => row.kind as u32,
            By::Effect => facts.why.effect,
            By::Status => facts.end.status,
            By::Reason => facts.reason(),
            By::Rule => facts.why.rules,
            By::Policy => facts.why.policy,
            By::Error => facts.end.error,
            By::Http => facts.end.http,
            By::Approval => row.state.into(),
            By::Hour => u32::try_from(row.time_ms / HOUR_MS).unwrap_or(0),
            By::Day => u32::try_from(row.time_ms / (24 * HOUR_MS)).unwrap_or(0),
        }
    }

    pub(super) fn label(&self, by: By, key: u32) -> String {
        let byte = || u8::try_from(key).unwrap_or(u8::MAX);
        match by {
            By::Kind => super::scan::RowKind::from_byte(byte()).as_str().to_owned(),
            By::Approval => state_word(byte()).to_owned(),
            By::Hour => clock(u64::from(key) * HOUR_MS, 13),
            By::Day => clock(u64::from(key) * 24 * HOUR_MS, 10),
            _ => self.labels.text(key).to_owned(),
        }
    }
}

/// The first so many characters of a time.
fn clock(unix_ms: u64, length: usize) -> String {
    crate::audit::index::report::time(unix_ms).chars().take(length).collect()
}

fn known<T: Copy + Default>(all: &mut Vec<Option<T>>, id: u32, read: impl FnOnce() -> T) -> T {
    if id == 0 {
        return T::default();
    }
    let at = id as usize;
    match all.get(at) {
        Some(Some(known)) => *known,
        _ => {
            if all.len() <= at {
                all.resize(at + 1, None);
            }
            let found = read();
            if let Some(slot) = all.get_mut(at) {
                *slot = Some(found);
            }
            found
        }
    }
}

/// What stands for a text that cannot be told.
fn unknown(id: u32, labels: &mut Labels) -> u32 {
    labels.id(if id == OVERFLOW { OTHER } else { UNREADABLE })
}

fn who(id: u32, words: &Words, labels: &mut Labels) -> Who {
    #[derive(Deserialize)]
    struct Principal {
        #[serde(default)]
        iss: String,
        sub: String,
        client_id: Option<String>,
    }
    let Ok(who) = serde_json::from_slice::<Principal>(words.text(id)) else {
        return Who { principal: unknown(id, labels), client: 0 };
    };
    // As policies name a subject.
    let principal = if who.iss.is_empty() { who.sub } else { format!("{}#{}", who.iss, who.sub) };
    Who { principal: labels.id(&principal), client: labels.id(&who.client_id.unwrap_or_default()) }
}

fn what(id: u32, words: &Words, labels: &mut Labels) -> What {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Target {
        route: String,
        upstream: String,
        method: String,
        name: String,
        class: String,
    }
    let Ok(what) = serde_json::from_slice::<Target>(words.text(id)) else {
        return What { name: unknown(id, labels), ..What::default() };
    };
    What {
        route: labels.id(&what.route),
        upstream: labels.id(&what.upstream),
        method: labels.id(&what.method),
        name: labels.id(&what.name),
        class: labels.id(&what.class),
    }
}

fn why(id: u32, words: &Words, labels: &mut Labels) -> Why {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Decision {
        effect: String,
        mode: String,
        reason: String,
        rules: Vec<String>,
        policy: String,
    }
    let Ok(why) = serde_json::from_slice::<Decision>(words.text(id)) else {
        return Why { rules: unknown(id, labels), ..Why::default() };
    };
    Why {
        effect: labels.id(&why.effect),
        reason: labels.id(&why.reason),
        rules: labels.id(&why.rules.join(",")),
        policy: labels.id(&why.policy),
        denies: why.effect == "deny" && why.mode != "observe",
    }
}

fn end(id: u32, words: &Words, labels: &mut Labels) -> End {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Outcome {
        status: String,
        reason: String,
        error_kind: String,
        http: Option<u64>,
    }
    let Ok(end) = serde_json::from_slice::<Outcome>(words.text(id)) else {
        return End { status: unknown(id, labels), ..End::default() };
    };
    End {
        status: labels.id(&end.status),
        reason: labels.id(&end.reason),
        error: labels.id(&end.error_kind),
        http: labels.id(&end.http.map(|http| http.to_string()).unwrap_or_default()),
        refused: matches!(end.status.as_str(), "denied" | "refused"),
        failed: matches!(end.status.as_str(), "faulted" | "timed_out" | "panicked"),
    }
}
