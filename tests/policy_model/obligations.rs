//! Section 12: the obligations of every rule that allows, joined.

use crate::language::{Limit, Quota, Rule};
use crate::meaning::Verdict;
use crate::truth::seen;

pub(crate) fn join(verdict: Verdict, allows: &[&Rule]) -> Verdict {
    let demands = || allows.iter().map(|rule| (&rule.id, &rule.require));
    let approvals = || demands().filter_map(|(id, require)| Some((id, require.approval.as_ref()?)));
    let expires = approvals().map(|(_, approval)| approval.expires_s.unwrap_or(900)).min().unwrap_or_default();
    let requester = approvals().all(|(_, approval)| approval.requester == Some(true));
    let each = |(id, approval): (&String, &crate::language::Approval)| {
        format!("{id} quorum {} requester {requester} expires {expires}s", approval.quorum.unwrap_or(1))
    };
    let approvals = sorted(approvals().map(each).collect());
    let limits = demands().flat_map(|(id, require)| require.limits.iter().map(move |limit| limit_text(id, limit)));
    let limits = sorted(limits.collect());
    let redact = demands().any(|(_, require)| require.redact);
    let deadline_ms = demands().filter_map(|(_, require)| require.deadline_ms).min();
    let audit = sorted(demands().flat_map(|(_, require)| &require.audit).map(|pointer| (*pointer).to_owned()).collect());
    let words = [
        ("approval", !approvals.is_empty()),
        ("limit", !limits.is_empty()),
        ("redact", redact),
        ("deadline", deadline_ms.is_some()),
        ("audit", !audit.is_empty()),
    ];
    let obligations: Vec<&str> = words.into_iter().filter(|(_, there)| *there).map(|(word, _)| word).collect();
    obligations.iter().for_each(|word| seen("obligation", word));
    Verdict { obligations, limits, approvals, deadline_ms, audit, ..verdict }
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items.dedup();
    items
}

/// A limit as one text.
pub(crate) fn limit_text(rule: &str, limit: &Limit) -> String {
    let mut by = limit.by.clone();
    by.sort_unstable();
    by.dedup();
    let quota = match limit.quota {
        Quota::Calls(n, per_s) => format!("{n} calls per {per_s}s"),
        Quota::Concurrent(n) => format!("{n} at once"),
        Quota::Bytes(n, per_s) => format!("{n} bytes per {per_s}s"),
        Quota::Tokens(n, per_s) => format!("{n} tokens per {per_s}s"),
    };
    format!("{rule}: {quota} by {}", by.join("+"))
}
