//! Limits that can never be hit, for another one of the same rule is hit first.

use super::Cx;
use crate::policy::obligation::{Limit, Quota};

pub(super) fn find(cx: &mut Cx<'_>) {
    for entry in cx.rules {
        let limits = &entry.rule.limits;
        let idle = limits.iter().filter_map(|limit| Some((limit, limits.iter().find(|other| comes_first(other, limit))?)));
        for (limit, other) in idle.collect::<Vec<_>>() {
            let message = format!("a limit of rule `{}` can never be hit: {} is hit first", entry.rule.id, said(other));
            cx.warn("idle_limit", entry, &said(limit), message, "leave it out, or make it the stricter one");
        }
    }
}

/// Whether `a` refuses whatever `b` would refuse, and refuses it earlier. It counts at least the same calls together, so its
/// counter is never behind.
fn comes_first(a: &Limit, b: &Limit) -> bool {
    if a.index == b.index || !a.by.iter().all(|by| b.by.contains(by)) {
        return false;
    }
    let equal = a.quota == b.quota && a.by == b.by;
    match (a.quota, b.quota) {
        _ if equal => a.index < b.index,
        (Quota::Calls { calls, per }, Quota::Calls { calls: more, per: shorter }) => calls <= more && per >= shorter,
        (Quota::Concurrent(few), Quota::Concurrent(more)) => few <= more,
        (Quota::Bytes { bytes, per }, Quota::Bytes { bytes: more, per: shorter }) => bytes <= more && per >= shorter,
        (Quota::ResponseTokens { tokens, per }, Quota::ResponseTokens { tokens: more, per: shorter }) => {
            tokens <= more && per >= shorter
        }
        _ => false,
    }
}

fn said(limit: &Limit) -> String {
    let by: Vec<String> = limit.by.iter().map(|by| format!("{by:?}").to_lowercase()).collect();
    let by = if by.is_empty() { "all together".to_owned() } else { format!("by {}", by.join(", ")) };
    match limit.quota {
        Quota::Calls { calls, per } => format!("{calls} calls per {} {by}", humantime::format_duration(per)),
        Quota::Concurrent(calls) => format!("{calls} at a time {by}"),
        Quota::Bytes { bytes, per } => format!("{bytes} bytes per {} {by}", humantime::format_duration(per)),
        Quota::ResponseTokens { tokens, per } => format!("{tokens} tokens per {} {by}", humantime::format_duration(per)),
    }
}
