//! What a rule requires: scopes, approval, limits, redaction, a deadline, arguments to record.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::{
    APPROVAL_MS_DEFAULT, APPROVAL_MS_MAX, APPROVAL_MS_MIN, APPROVAL_QUORUM_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN,
    LIMIT_PER_S_MAX, LIMITS_MAX, SHOWN_ARGUMENTS_MAX,
};
use super::compile::Facts;
use super::obligation::{By, Quota};
use super::pointer::Pointer;
use super::read::tidy;
use super::read_rule::{RawWho, read_one_who};
use super::report::{Fields, Report, key_path};
use super::yaml::{Node, Value};

/// Keys of `require`.
pub(super) const REQUIRE_KEYS: &[&str] = &["scope", "approval", "limit", "redact", "deadline", "audit"];
/// Keys of a limit.
pub(super) const LIMIT_KEYS: &[&str] = &["calls", "concurrent", "bytes", "response_tokens", "per", "by"];
/// Keys of `approval`.
pub(super) const APPROVAL_KEYS: &[&str] = &["from", "quorum", "requester", "expires"];
/// The approver who is whoever asks.
pub(super) const CALLER: &str = "caller";
/// What `redact` can name.
pub(super) const REDACT_WORDS: &[(&str, ())] = &[("secrets", ())];

/// `require` whose groups are not looked up yet.
#[derive(Default)]
pub(super) struct RawRequire {
    pub(super) scopes: Box<[Arc<str>]>,
    pub(super) limits: Box<[(Quota, Box<[By]>)]>,
    pub(super) approval: Option<RawApproval>,
    pub(super) redact: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) audit: Box<[Arc<str>]>,
}

/// `approval` whose groups are not looked up yet.
pub(super) struct RawApproval {
    /// Whether `caller` is among `from`.
    pub(super) caller: bool,
    pub(super) from: Vec<RawWho>,
    pub(super) quorum: u8,
    pub(super) requester: bool,
    pub(super) expires: Duration,
}

/// Reads `require` of the rule at `path`.
pub(super) fn read_require(report: &mut Report<'_>, fields: &Fields<'_>, path: &str, facts: &Facts<'_>) -> RawRequire {
    let path = key_path(path, "require");
    let mut require = RawRequire::default();
    let Some(node) = fields.get("require") else { return require };
    let Some(fields) = report.fields(node, &path, REQUIRE_KEYS, &[]) else { return require };
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        report.wrong(node, &path, "no requirement", format!("one of: {}", REQUIRE_KEYS.join(", ")));
    }
    let at = |key: &str| fields.get(key).map(|node| (node, key_path(&path, key)));
    if let Some((node, path)) = at("scope") {
        require.scopes = read_scopes(report, node, &path);
    }
    if let Some((node, path)) = at("approval") {
        require.approval = read_approval(report, node, &path, facts);
    }
    if let Some((node, path)) = at("limit") {
        require.limits = read_limits(report, node, &path);
    }
    if let Some((node, path)) = at("redact") {
        for (index, item) in report.list(node, &path).iter().enumerate() {
            require.redact |= report.word(item, &format!("{path}[{index}]"), REDACT_WORDS).is_some();
        }
    }
    if let Some((node, path)) = at("deadline") {
        let hint = "for example 500ms, 10s, 2m; from 100ms to 1h";
        require.deadline = read_duration(report, node, &path, (DEADLINE_MS_MIN, DEADLINE_MS_MAX), hint);
    }
    if let Some((node, path)) = at("audit") {
        require.audit = read_shown(report, node, &path);
    }
    require
}

fn read_approval(report: &mut Report<'_>, node: &Node, path: &str, facts: &Facts<'_>) -> Option<RawApproval> {
    let fields = report.fields(node, path, APPROVAL_KEYS, &[])?;
    let from_path = key_path(path, "from");
    let (mut caller, mut from) = (false, Vec::new());
    match fields.get("from") {
        Some(node) => {
            for (text, node, here) in report.texts(node, &from_path) {
                match text {
                    CALLER => caller = true,
                    text => from.extend(read_one_who(report, (text, node, &here), facts)),
                }
            }
        }
        None => {
            let hint = "say who may approve: from: [\"group:NAME\"]; from: [caller] lets who asks confirm";
            report.at(fields.place, &from_path, "", "is required and not given", hint);
        }
    }
    let mut quorum = 1;
    if let Some(node) = fields.get("quorum") {
        let path = key_path(path, "quorum");
        let count = report.count(node, &path);
        let fits = count.and_then(|count| u8::try_from(count).ok()).filter(|count| *count <= APPROVAL_QUORUM_MAX);
        if count.is_some() && fits.is_none() {
            report.wrong(node, &path, format!("more than {APPROVAL_QUORUM_MAX} approvers"), "");
        }
        quorum = fits.unwrap_or(1);
    }
    let requester = fields.get("requester").and_then(|node| read_flag(report, node, &key_path(path, "requester")));
    let range = (APPROVAL_MS_MIN, APPROVAL_MS_MAX);
    let hint = "for example 5m, 1h; from 1m to 24h";
    let expires = fields.get("expires").and_then(|node| read_duration(report, node, &key_path(path, "expires"), range, hint));
    let expires = expires.unwrap_or(Duration::from_millis(APPROVAL_MS_DEFAULT));
    Some(RawApproval { caller, from, quorum, requester: requester.unwrap_or(false), expires })
}

fn read_flag(report: &mut Report<'_>, node: &Node, path: &str) -> Option<bool> {
    if let Value::Bool(flag) = node.value {
        return Some(flag);
    }
    report.wrong(node, path, format!("expected true or false, found {}", node.kind()), "");
    None
}

fn read_duration(report: &mut Report<'_>, node: &Node, path: &str, (least, most): (u64, u64), hint: &str) -> Option<Duration> {
    let text = report.text(node, path)?;
    let range = Duration::from_millis(least)..=Duration::from_millis(most);
    let duration = humantime::parse_duration(text).ok().filter(|duration| range.contains(duration));
    if duration.is_none() {
        report.wrong(node, path, "not a length of time that fits here", hint);
    }
    duration
}

/// `audit`: pointers that each lead to one place.
fn read_shown(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Arc<str>]> {
    let texts = report.texts(node, path);
    if texts.len() > SHOWN_ARGUMENTS_MAX {
        report.wrong(node, path, format!("more than {SHOWN_ARGUMENTS_MAX} arguments in one rule"), "");
    }
    let mut shown: Vec<Arc<str>> = Vec::with_capacity(texts.len());
    for (text, node, here) in texts {
        let starred = text.split('/').any(|segment| matches!(segment, "*" | "**"));
        match Pointer::parse(text) {
            Ok(pointer) if !text.is_empty() && !starred => shown.push(pointer.canonical().into()),
            Ok(_) => report.wrong(node, &here, "not a pointer to one argument", "name each argument: /path, /options/mode"),
            Err(message) => report.wrong(node, &here, message, "RFC 6901, without `*`: /path, /options/mode"),
        }
    }
    tidy(shown)
}

/// `scope`: one, or a list of which all are needed.
fn read_scopes(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Arc<str>]> {
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
fn read_limits(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[(Quota, Box<[By]>)]> {
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
    let by = read_by(report, &fields, &key_path(path, "by"));
    let at = |key: &str| fields.get(key).map(|node| (node, key_path(path, key)));
    let calls = at("calls").map(|(node, path)| report.count(node, &path));
    let concurrent = at("concurrent").map(|(node, path)| report.count(node, &path));
    let bytes = at("bytes").map(|(node, path)| read_bytes(report, node, &path));
    let tokens = at("response_tokens").map(|(node, path)| report.count(node, &path));
    let per = at("per").map(|(node, path)| read_window(report, node, &path));
    let quota = match (calls, concurrent, bytes, tokens, per) {
        (Some(calls), None, None, None, Some(per)) => Quota::Calls { calls: calls?, per: per? },
        (None, Some(most), None, None, None) => Quota::Concurrent(most?),
        (None, None, Some(bytes), None, Some(per)) => Quota::Bytes { bytes: bytes?, per: per? },
        (None, None, None, Some(tokens), Some(per)) => Quota::ResponseTokens { tokens: tokens?.into(), per: per? },
        _ => {
            let hint = "one of: calls and per, bytes and per, response_tokens and per, concurrent";
            report.at(fields.place, path, "", "not a limit", hint);
            return None;
        }
    };
    Some((quota, tidy(by)))
}

fn read_by(report: &mut Report<'_>, fields: &Fields<'_>, path: &str) -> Vec<By> {
    match fields.get("by").map(|node| (&node.value, node)) {
        Some((Value::List(items), _)) => {
            let words = items.iter().enumerate().filter_map(|(i, n)| report.word(n, &format!("{path}[{i}]"), &By::WORDS));
            words.collect()
        }
        Some((_, node)) => report.word(node, path, &By::WORDS).into_iter().collect(),
        None => {
            let hint = "by: [principal] counts each on their own, by: [] counts all together";
            report.at(fields.place, path, "", "is required and not given", hint);
            Vec::new()
        }
    }
}

/// A number of bytes, plain or with a unit.
fn read_bytes(report: &mut Report<'_>, node: &Node, path: &str) -> Option<u64> {
    let text = match &node.value {
        Value::Number => report.token(node),
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let factor: Option<u64> = match unit.trim_start() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let bytes = bytes.filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        report.wrong(node, path, "expected a number of bytes from 1", "for example 512KiB, 10MiB, 1GiB");
    }
    bytes
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
