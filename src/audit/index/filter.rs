//! Which records are asked for.

use super::facets::{Facets, Facts};
use super::part::read_one;
use super::row::Row;
use super::scan::{RowKind, mark};
use super::words::{OVERFLOW, Words};
use super::{Cursor, Index, IndexError, Place};
use crate::policy::Glob;
use std::collections::VecDeque;

/// From when and until when, in milliseconds since the Unix epoch: the start is in it, the end is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From then on.
    pub since_ms: Option<u64>,
    /// Before then.
    pub until_ms: Option<u64>,
}

impl Span {
    /// Whether a time is in it.
    pub fn holds(&self, time_ms: u64) -> bool {
        self.since_ms.is_none_or(|since| time_ms >= since) && self.until_ms.is_none_or(|until| time_ms < until)
    }
}

/// What records are asked for: all that is given must hold.
#[derive(Debug, Default)]
pub struct Filter {
    /// When.
    pub span: Span,
    /// The subject, or `ISSUER#SUBJECT`.
    pub principal: Option<Glob>,
    /// The full name.
    pub tool: Option<Glob>,
    /// The upstream.
    pub upstream: Option<String>,
    /// The reason of the outcome or the decision.
    pub reason: Option<String>,
    /// One of the rules that decided.
    pub rule: Option<String>,
    /// The word for how it ended.
    pub status: Option<String>,
    /// The kind.
    pub kind: Option<RowKind>,
    /// Only what was refused.
    pub denied: bool,
    /// The trace, as 32 hexadecimal digits.
    pub trace: Option<String>,
}

/// What ties records together. Marks may be shared by chance: the lines tell.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// By number.
    pub seqs: Vec<u64>,
    ids: Vec<u32>,
    traces: Vec<u32>,
    approvals: Vec<u32>,
}

impl Links {
    /// The record of a number, and what names it as its intent.
    pub fn seq(seq: u64) -> Self {
        Self { seqs: vec![seq], ..Self::default() }
    }

    /// The records of an id.
    pub fn id(id: &str) -> Self {
        Self { ids: vec![mark(id.as_bytes())], ..Self::default() }
    }

    /// Adds what has the same id, trace or request for approval, the intent, and what names this as its intent.
    pub fn add(&mut self, row: &Row) {
        let push = |list: &mut Vec<u32>, mark: u32| {
            if mark > 0 && !list.contains(&mark) {
                list.push(mark);
            }
        };
        push(&mut self.ids, row.id);
        push(&mut self.traces, row.trace);
        push(&mut self.approvals, row.approval);
        for seq in [row.seq, row.intent] {
            if seq > 0 && !self.seqs.contains(&seq) {
                self.seqs.push(seq);
            }
        }
    }

    fn holds(&self, row: &Row) -> bool {
        self.ids.contains(&row.id)
            || self.seqs.contains(&row.seq)
            || (row.intent > 0 && self.seqs.contains(&row.intent))
            || (row.trace > 0 && self.traces.contains(&row.trace))
            || (row.approval > 0 && self.approvals.contains(&row.approval))
    }
}

/// Answers of a filter about texts that were asked for before.
#[derive(Default)]
struct Sieve {
    facets: Facets,
    /// By label: whether the principal or the tool fits.
    principals: Vec<Option<bool>>,
    tools: Vec<Option<bool>>,
}

impl Filter {
    fn holds(&self, sieve: &mut Sieve, row: &Row, words: &Words) -> bool {
        if !self.span.holds(row.time_ms) || self.kind.is_some_and(|kind| kind != row.kind) {
            return false;
        }
        if self.trace.as_ref().is_some_and(|trace| mark(trace.as_bytes()) != row.trace) {
            return false;
        }
        let facts = sieve.facets.of(row, words);
        let labels = &sieve.facets.labels;
        let is = |wanted: &Option<String>, label: u32| wanted.as_ref().is_none_or(|wanted| labels.text(label) == wanted);
        let fits = is(&self.reason, facts.reason()) || is(&self.reason, facts.why.reason);
        fits && is(&self.upstream, facts.what.upstream)
            && is(&self.status, facts.end.status)
            && self.rule.as_ref().is_none_or(|rule| labels.text(facts.why.rules).split(',').any(|decided| decided == rule))
            && (!self.denied || facts.denied())
            && self.names(sieve, &facts)
    }

    fn names(&self, sieve: &mut Sieve, facts: &Facts) -> bool {
        let labels = &sieve.facets.labels;
        let principal = self.principal.as_ref().is_none_or(|glob| {
            known(&mut sieve.principals, facts.who.principal, || {
                let text = labels.text(facts.who.principal);
                glob.matches(text) || text.split_once('#').is_some_and(|(_, subject)| glob.matches(subject))
            })
        });
        principal
            && self
                .tool
                .as_ref()
                .is_none_or(|glob| known(&mut sieve.tools, facts.what.name, || glob.matches(labels.text(facts.what.name))))
    }

    /// Whether a line itself is asked for. To be asked about rows whose texts had no room in the dictionary.
    pub fn confirms(&self, line: &[u8]) -> bool {
        let mut words = Words::default();
        let row = read_one(line, &mut words);
        self.holds(&mut Sieve::default(), &row, &words)
    }
}

fn known(all: &mut Vec<Option<bool>>, label: u32, ask: impl FnOnce() -> bool) -> bool {
    let at = label as usize;
    if all.len() <= at {
        all.resize(at + 1, None);
    }
    all.get_mut(at).is_some_and(|slot| *slot.get_or_insert_with(ask))
}

impl Index {
    /// The last `limit` records that `filter` asks for, the oldest first, from `from` on, and how far was read. Candidates whose
    /// texts had no room are among them: [`Filter::confirms`] tells.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn find(&mut self, filter: &Filter, from: Cursor, limit: usize) -> Result<(Vec<(Row, Place)>, Cursor), IndexError> {
        let make = || (Sieve::default(), VecDeque::new());
        let ((_, found), cursor) = self.gather(from, make, |(sieve, found), row, place, words| {
            let untold = [row.who, row.what, row.why, row.end].contains(&OVERFLOW);
            if untold || filter.holds(sieve, row, words) {
                if found.len() >= limit {
                    found.pop_front();
                }
                found.push_back((*row, place));
            }
        })?;
        Ok((found.into(), cursor))
    }

    /// The first `limit` records that are tied to `links`, the oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn tied(&mut self, links: &Links, limit: usize) -> Result<Vec<(Row, Place)>, IndexError> {
        let (found, _) = self.gather(Cursor::default(), Vec::new, |found: &mut Vec<(Row, Place)>, row, place, _| {
            if row.kind != RowKind::Unreadable && found.len() < limit && links.holds(row) {
                found.push((*row, place));
            }
        })?;
        Ok(found)
    }
}
