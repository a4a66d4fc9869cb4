//! The parts of a rule with a small language of their own: scopes, limits.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::{LIMIT_PER_S_MAX, LIMITS_MAX};
use super::obligation::{By, Quota};
use super::read::tidy;
use super::report::{Report, key_path};
use super::yaml::{Node, Value};

/// Keys of a limit.
pub(super) const LIMIT_KEYS: &[&str] = &["calls", "per", "concurrent", "by"];

/// `scope`: one, or a list of which all are needed.
pub(super) fn read_scopes(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Arc<str>]> {
    let texts = match &node.value {
        Value::Text(text) => vec![(text.as_str(), node, path.to_owned())],
        _ => report.texts(node, path),
    };
    let mut scopes = Vec::with_capacity(texts.len());
    for (text, node, here) in texts {
        // The characters of RFC 6749 section 3.3.
        if text.is_empty() || !text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            report.wrong(node, &here, "not a scope", "a list for several: [a, b]");
        } else {
            scopes.push(text.into());
        }
    }
    tidy(scopes)
}

/// `limit`: a list of quotas.
pub(super) fn read_limits(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[(Quota, Box<[By]>)]> {
    let items = report.list(node, path);
    if items.len() > LIMITS_MAX {
        report.wrong(node, path, format!("more than {LIMITS_MAX} limits in one rule"), "");
    }
    let mut limits = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        limits.extend(read_limit(report, item, &format!("{path}[{i}]")));
    }
    tidy(limits)
}

fn read_limit(report: &mut Report<'_>, node: &Node, path: &str) -> Option<(Quota, Box<[By]>)> {
    let fields = report.fields(node, path, LIMIT_KEYS, &[])?;
    let by_path = key_path(path, "by");
    let by = match fields.get("by").map(|node| (&node.value, node)) {
        Some((Value::List(items), _)) => {
            let words = items.iter().enumerate().filter_map(|(i, n)| report.word(n, &format!("{by_path}[{i}]"), &By::WORDS));
            words.collect()
        }
        Some((_, node)) => report.word(node, &by_path, &By::WORDS).into_iter().collect(),
        None => {
            let hint = "by: [principal] counts each on their own, by: [] counts all together";
            report.at(fields.place, &by_path, "", "is required and not given", hint);
            Vec::new()
        }
    };
    let calls = fields.get("calls").map(|node| report.count(node, &key_path(path, "calls")));
    let per = fields.get("per").map(|node| read_window(report, node, &key_path(path, "per")));
    let concurrent = fields.get("concurrent").map(|node| report.count(node, &key_path(path, "concurrent")));
    let quota = match (calls, per, concurrent) {
        (Some(calls), Some(per), None) => Quota::Calls { calls: calls?, per: per? },
        (None, None, Some(concurrent)) => Quota::Concurrent(concurrent?),
        _ => {
            report.at(fields.place, path, "", "not a limit", "either calls and per, or concurrent");
            return None;
        }
    };
    Some((quota, tidy(by)))
}

fn read_window(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Duration> {
    let text = report.text(node, path)?;
    let window = humantime::parse_duration(text).ok();
    let fits = |w: &Duration| *w >= Duration::from_millis(1) && *w <= Duration::from_secs(LIMIT_PER_S_MAX);
    let window = window.filter(fits);
    if window.is_none() {
        report.wrong(node, path, "not a length of time a limit can have", "for example 1s, 1m, 1h; at most 31 days");
    }
    window
}
