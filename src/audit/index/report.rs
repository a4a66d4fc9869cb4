//! The first questions of an incident, answered in one pass over the rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facets::{By, Facets, Facts};
use super::filter::Span;
use super::row::Row;
use super::scan::{RowKind, state_word};
pub use super::table::{Count, Figures};
use super::table::{MixMap, Table};
use super::words::Words;
use super::{Cursor, Cut, Index, IndexError};

/// Intents without an outcome that are kept in mind.
const OPEN_MAX: usize = 1_000_000;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// When.
    pub span: Span,
    /// Labels to count by; none asks the usual questions.
    pub by: Vec<By>,
    /// Lines of each answer.
    pub top: usize,
}

/// The answers. Lists have the most first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Lines of the log in the time asked about, and of all times.
    pub records: u64,
    #[expect(missing_docs, reason = "as above")]
    pub records_ever: u64,
    /// Lines that are no record this build can read. They have no time: all are counted.
    pub unreadable: u64,
    /// Files whose end is missing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<Cut>,
    /// Times of the first and the last record asked about, RFC 3339; empty for none.
    pub first: String,
    #[expect(missing_docs, reason = "as above")]
    pub last: String,
    /// Records by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// What was asked to be counted by, and the counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as above")]
    pub groups: Option<Vec<Count>>,
    /// How many more lines the lists would have, by their names.
    pub more: BTreeMap<&'static str, usize>,
    /// Principal, tool.
    pub calls: Vec<Count>,
    /// Reason, rules, tool.
    pub denied: Vec<Count>,
    /// Upstream, kind of error.
    pub errors: Vec<Count>,
    /// Tools, by what 99 percent of the calls take at most.
    pub slowest: Vec<Count>,
    /// Tools, by the bytes of their answers.
    pub heaviest: Vec<Count>,
    /// Records about approvals, by the state they tell.
    pub approvals: BTreeMap<&'static str, u64>,
    /// Who and what was never seen before the time asked about.
    pub new_principals: Vec<NewName>,
    #[expect(missing_docs, reason = "as above")]
    pub new_tools: Vec<NewName>,
    /// Intents whose outcome is not in the log, and the oldest of them.
    pub open_intents: u64,
    #[expect(missing_docs, reason = "as above")]
    pub oldest_open: Vec<OpenIntent>,
    /// Digests of the policies that decided.
    pub policies: Vec<Count>,
    /// Kind, method, principal: what operators did and what drifted.
    pub actions: Vec<Count>,
}

/// Somebody or something that was not there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewName {
    /// Who or what.
    pub name: String,
    /// When it was seen first and last, RFC 3339.
    pub first: String,
    #[expect(missing_docs, reason = "as above")]
    pub last: String,
}

/// An intent without an outcome: running, or cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenIntent {
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub principal: String,
    /// What.
    pub tool: String,
}

/// Answers `asked` about a log.
///
/// # Errors
/// The log cannot be read.
pub fn stats(index: &mut Index, asked: &Asked) -> Result<Report, IndexError> {
    let (tally, _) = index.gather(Cursor::default(), || Tally::new(asked), |tally, row, _, words| tally.add(row, words))?;
    Ok(Report { cut: index.cuts().to_vec(), ..tally.finish() })
}

/// RFC 3339 in UTC; empty for 0.
pub(super) fn time(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms.min(253_402_300_799_999));
    if unix_ms == 0 { String::new() } else { humantime::format_rfc3339_millis(at).to_string() }
}

/// When something was seen first and last, by label.
#[derive(Default)]
struct Seen(Vec<(u64, u64)>);

impl Seen {
    fn add(&mut self, label: u32, time_ms: u64) {
        let at = label as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, (u64::MAX, 0));
        }
        if let Some((first, last)) = self.0.get_mut(at) {
            (*first, *last) = ((*first).min(time_ms), (*last).max(time_ms));
        }
    }

    /// What was first seen in `span`, the latest first.
    fn new_in(&self, span: Span, facets: &Facets, top: usize) -> (Vec<NewName>, usize) {
        if span.since_ms.is_none() {
            return (Vec::new(), 0);
        }
        let new = |(first, last): &(u64, u64)| *last > 0 && span.holds(*first);
        let mut new: Vec<_> = (0_u32..).zip(&self.0).skip(1).filter(|(_, times)| new(times)).collect();
        new.sort_by_key(|(label, (first, _))| (std::cmp::Reverse(*first), *label));
        let more = new.len().saturating_sub(top);
        let named = |(label, (first, last)): (u32, &(u64, u64))| NewName {
            name: facets.labels.text(label).to_owned(),
            first: time(*first),
            last: time(*last),
        };
        (new.into_iter().take(top).map(named).collect(), more)
    }
}

struct Tally {
    asked: Asked,
    facets: Facets,
    report: Report,
    first_ms: u64,
    last_ms: u64,
    /// Records by the byte of their kind.
    kinds: [u64; RowKind::COUNT],
    groups: Option<Table>,
    calls: Table,
    denied: Table,
    errors: Table,
    tools: Table,
    policies: Table,
    actions: Table,
    principals_seen: Seen,
    tools_seen: Seen,
    /// Time, principal and tool of an intent, by number.
    open: MixMap<u64, (u64, u32, u32)>,
}

impl Tally {
    fn new(asked: &Asked) -> Self {
        let groups = (!asked.by.is_empty()).then(|| Table::by(&asked.by, true));
        Self {
            asked: asked.clone(),
            facets: Facets::default(),
            report: Report { by: asked.by.iter().map(|by| by.as_str()).collect(), ..Report::default() },
            first_ms: u64::MAX,
            last_ms: 0,
            kinds: [0; RowKind::COUNT],
            groups,
            calls: Table::by(&[By::Principal, By::Tool], false),
            denied: Table::by(&[By::Reason, By::Rule, By::Tool], false),
            errors: Table::by(&[By::Upstream, By::Error], false),
            tools: Table::by(&[By::Tool], true),
            policies: Table::by(&[By::Policy], false),
            actions: Table::by(&[By::Kind, By::Method, By::Principal], false),
            principals_seen: Seen::default(),
            tools_seen: Seen::default(),
            open: MixMap::default(),
        }
    }

    fn add(&mut self, row: &Row, words: &Words) {
        self.report.records_ever += 1;
        if row.kind == RowKind::Unreadable {
            self.report.unreadable += 1;
            return;
        }
        let facts = self.facets.of(row, words);
        if self.groups.is_none() {
            self.principals_seen.add(facts.who.principal, row.time_ms);
            self.tools_seen.add(facts.what.name, row.time_ms);
            if row.intent > 0 {
                self.open.remove(&row.intent);
            }
        }
        if self.asked.span.holds(row.time_ms) {
            self.report.records += 1;
            (self.first_ms, self.last_ms) = (self.first_ms.min(row.time_ms), self.last_ms.max(row.time_ms));
            if let Some(count) = self.kinds.get_mut(row.kind as usize) {
                *count += 1;
            }
            self.count(row, &facts);
        }
    }

    fn count(&mut self, row: &Row, facts: &Facts) {
        match (row.kind, &mut self.groups) {
            (RowKind::Intent, None) => {
                if self.open.len() < OPEN_MAX {
                    self.open.insert(row.seq, (row.time_ms, facts.who.principal, facts.what.name));
                }
                return;
            }
            (RowKind::Intent | RowKind::Checkpoint, _) => return,
            (_, Some(groups)) => return groups.add(row, facts),
            (RowKind::Outcome, None) => {
                self.calls.add(row, facts);
                if facts.what.name > 0 {
                    self.tools.add(row, facts);
                }
            }
            (RowKind::Approval, None) => *self.report.approvals.entry(state_word(row.state)).or_default() += 1,
            (RowKind::Admin | RowKind::Drift, None) => self.actions.add(row, facts),
            _ => {}
        }
        if facts.denied() {
            self.denied.add(row, facts);
        }
        if facts.end.error > 0 {
            self.errors.add(row, facts);
        }
        if facts.why.policy > 0 {
            self.policies.add(row, facts);
        }
    }

    fn finish(mut self) -> Report {
        let (facets, top, mut report) = (&self.facets, self.asked.top, self.report);
        (report.first, report.last) =
            if self.last_ms > 0 { (time(self.first_ms), time(self.last_ms)) } else { Default::default() };
        let kinds = (0_u8..).map(|byte| RowKind::from_byte(byte).as_str()).zip(self.kinds);
        report.kinds = kinds.filter(|(_, count)| *count > 0).collect();
        let mut more = BTreeMap::new();
        let mut keep = |name, (list, left): (Vec<Count>, usize)| {
            if left > 0 {
                more.insert(name, left);
            }
            list
        };
        if let Some(groups) = &self.groups {
            report.groups = Some(keep("groups", groups.top(facets, top, |f| f.records)));
            report.more = more;
            return report;
        }
        report.calls = keep("calls", self.calls.top(facets, top, |f| f.records));
        report.denied = keep("denied", self.denied.top(facets, top, |f| f.records));
        report.errors = keep("errors", self.errors.top(facets, top, |f| f.records));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds of a call")]
        let slow = |f: &Figures| (f.p99_ms.unwrap_or(0.0) * 1_000.0) as u64;
        report.slowest = keep("slowest", self.tools.top(facets, top, slow));
        report.heaviest = keep("heaviest", self.tools.top(facets, top, |f| f.bytes_out));
        report.policies = keep("policies", self.policies.top(facets, top, |f| f.last.clone()));
        report.actions = keep("actions", self.actions.top(facets, top, |f| f.records));
        let (principals, unnamed) = self.principals_seen.new_in(self.asked.span, facets, top);
        let (tools, untold) = self.tools_seen.new_in(self.asked.span, facets, top);
        (report.new_principals, report.new_tools) = (principals, tools);
        for (name, left) in [("new_principals", unnamed), ("new_tools", untold)] {
            if left > 0 {
                more.insert(name, left);
            }
        }
        report.more = more;
        report.open_intents = self.open.len() as u64;
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_unstable();
        let intent = |(seq, (ms, who, what)): (u64, (u64, u32, u32))| OpenIntent {
            seq,
            time: time(ms),
            principal: facets.labels.text(who).to_owned(),
            tool: facets.labels.text(what).to_owned(),
        };
        report.oldest_open = open.into_iter().take(top).map(intent).collect();
        report
    }
}
