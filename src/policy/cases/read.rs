//! Case files, read into cases.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::super::literal::Literal;
use super::super::obligation::WORDS as OBLIGATIONS;
use super::super::report::{Fields, Report, key_path};
use super::super::who::{ANONYMOUS, KEY_PREFIX};
use super::super::yaml::{Node, Place, Value, parse};
use super::super::{Effect, PolicySet};
use super::{AS_KEYS, CASE_KEYS};
use crate::mcp::RawJson;
use crate::vocab::principal::KEY_ISSUER;
use crate::vocab::{Principal, Problem, Reason};

/// One promise.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) who: Principal,
    /// In milliseconds since the Unix epoch; `None` for when the cases are run.
    pub(super) at_unix_ms: Option<i64>,
    pub(super) route: String,
    pub(super) ask: Ask,
}

/// What is asked, and what is expected.
pub(super) enum Ask {
    Operation { operation: Operation, expect: Expect },
    List { what: Listed, visible: Vec<String> },
}

pub(super) enum Operation {
    Call { name: String, args: Option<RawJson> },
    Read { uri: String },
    Get { name: String, args: Option<RawJson> },
}

#[derive(Clone, Copy)]
pub(super) enum Listed {
    Tools,
    Resources,
    Prompts,
}

pub(super) struct Expect {
    pub(super) effect: Effect,
    pub(super) reason: Option<Reason>,
    pub(super) rules: Option<Vec<String>>,
    pub(super) obligations: Option<Vec<String>>,
}

/// Reads a file of cases.
pub(super) fn read_cases(file: &str, text: &str, set: &PolicySet) -> Result<Vec<Case>, Vec<Problem>> {
    let mut report = Report::new(file, text);
    let mut cases = Vec::new();
    match parse(text) {
        Ok(root) => {
            for (i, node) in report.list(&root, "").iter().enumerate() {
                cases.extend(read_case(&mut report, node, &format!("[{i}]"), set));
            }
        }
        Err(broken) => report.at(broken.place, "", "", broken.message, ""),
    }
    let problems = report.into_problems();
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

fn read_case(report: &mut Report<'_>, node: &Node, path: &str, set: &PolicySet) -> Option<Case> {
    let fields = report.fields(node, path, CASE_KEYS, &[])?;
    let who = fields.get("as").and_then(|node| read_who(report, node, &key_path(path, "as"), set));
    if fields.get("as").is_none() {
        report.at(fields.place, &key_path(path, "as"), "", "is required and not given", "as: { sub: alice }, or as: anonymous");
    }
    let at = fields.get("at").map(|node| read_at(report, node, &key_path(path, "at")));
    let route = fields.get("route").map(|node| read_route(report, node, &key_path(path, "route")));
    let asks = ["call", "read", "get", "list"].iter().filter(|key| fields.get(key).is_some()).count();
    if asks != 1 {
        report.at(fields.place, path, "", "a case asks one thing", "one of: call, read, get, list");
        return None;
    }
    let ask = if fields.get("list").is_some() { read_list(report, &fields, path) } else { read_operation(report, &fields, path) };
    let name = fields.get("name").and_then(|node| report.text(node, &key_path(path, "name")));
    let name = name.map_or_else(|| format!("case {path}"), str::to_owned);
    let route = route.unwrap_or_else(|| Some(ROUTE.to_owned()));
    Some(Case { name, place: fields.place, who: who?, at_unix_ms: at.flatten(), route: route?, ask: ask? })
}

/// The route of cases that name none.
pub const ROUTE: &str = "/mcp";

fn read_at(report: &mut Report<'_>, node: &Node, path: &str) -> Option<i64> {
    let text = report.text(node, path)?;
    let at = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond).filter(|ms| *ms > 0);
    if at.is_none() {
        report.wrong(node, path, "not a time since 1970 with its offset (RFC 3339)", "for example 2026-11-21T14:00:00Z");
    }
    at
}

fn read_route(report: &mut Report<'_>, node: &Node, path: &str) -> Option<String> {
    let text = report.text(node, path)?;
    if !text.starts_with('/') {
        report.wrong(node, path, "not a path of a route", "for example /mcp");
        return None;
    }
    Some(text.to_owned())
}

fn read_list(report: &mut Report<'_>, fields: &Fields<'_>, path: &str) -> Option<Ask> {
    let words = [("tools", Listed::Tools), ("resources", Listed::Resources), ("prompts", Listed::Prompts)];
    let what = fields.get("list").and_then(|node| report.word(node, &key_path(path, "list"), &words));
    for key in ["args", "expect", "reason", "rules", "obligations"] {
        if let Some(node) = fields.get(key) {
            report.wrong(node, &key_path(path, key), format!("a list has no `{key}`"), "give `visible`");
        }
    }
    let visible = match fields.get("visible").map(|node| (&node.value, node)) {
        Some((Value::List(items), _)) if items.is_empty() => Some(Vec::new()),
        Some((_, node)) => Some(texts(report, node, &key_path(path, "visible"))),
        None => {
            report.at(fields.place, &key_path(path, "visible"), "", "is required and not given", "visible: [], or the names");
            None
        }
    };
    Some(Ask::List { what: what?, visible: visible? })
}

fn read_operation(report: &mut Report<'_>, fields: &Fields<'_>, path: &str) -> Option<Ask> {
    let mut text = |key: &str| fields.get(key).and_then(|node| report.text(node, &key_path(path, key))).map(str::to_owned);
    let (call, read, get) = (text("call"), text("read"), text("get"));
    let args_path = key_path(path, "args");
    let args = fields.get("args").and_then(|node| {
        report.map(node, &args_path)?;
        Some(RawJson::of_ours(Literal::read(report, node, &args_path)?.to_json().into_bytes()))
    });
    if let (Some(node), Some(_)) = (fields.get("args"), &read) {
        report.wrong(node, &args_path, "a resource takes no arguments", "");
    }
    if let Some(node) = fields.get("visible") {
        report.wrong(node, &key_path(path, "visible"), "only a list has `visible`", "");
    }
    let effects = [("allow", Effect::Allow), ("deny", Effect::Deny)];
    let effect = fields.get("expect").and_then(|node| report.word(node, &key_path(path, "expect"), &effects));
    if fields.get("expect").is_none() {
        report.at(fields.place, &key_path(path, "expect"), "", "is required and not given", "allow or deny");
    }
    let reason = fields.get("reason").and_then(|node| read_reason(report, node, &key_path(path, "reason")));
    let mut list = |key: &str| {
        fields.get(key).map(|node| match &node.value {
            Value::List(items) if items.is_empty() => Vec::new(),
            _ => texts(report, node, &key_path(path, key)),
        })
    };
    let (rules, obligations) = (list("rules"), list("obligations"));
    if let (Some(node), Some(words)) = (fields.get("obligations"), &obligations) {
        for strange in words.iter().filter(|word| !OBLIGATIONS.contains(&word.as_str())) {
            let hint = format!("one of: {}", OBLIGATIONS.join(", "));
            report.at(node.place, &key_path(path, "obligations"), strange, "no such obligation", hint);
        }
    }
    let operation = match (call, read, get) {
        (Some(name), _, _) => Operation::Call { name, args },
        (_, Some(uri), _) => Operation::Read { uri: full_uri(uri) },
        (_, _, Some(name)) => Operation::Get { name, args },
        _ => return None,
    };
    Some(Ask::Operation { operation, expect: Expect { effect: effect?, reason, rules, obligations } })
}

/// What a decision of rules can come to. Whether obligations are met shows when a call is made, and is no decision of rules.
pub(super) const DECIDED: [Reason; 7] = [
    Reason::UnknownName,
    Reason::NotVisible,
    Reason::ScopeRequired,
    Reason::RuleDenied,
    Reason::Indeterminate,
    Reason::NoRule,
    Reason::Allowed,
];

fn read_reason(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Reason> {
    let text = report.text(node, path)?;
    let reason: Option<Reason> = serde_json::from_value(Json::String(text.to_owned())).ok();
    let (message, hint) = match reason {
        Some(reason) if DECIDED.contains(&reason) => return Some(reason),
        Some(Reason::Quarantined | Reason::ArgumentsInvalid | Reason::ContentBlocked) => {
            (format!("not built yet: {path}"), "leave the case out".to_owned())
        }
        known => {
            let message = if known.is_some() { "no decision has this reason" } else { "no such reason" };
            let hint = format!("one of: {}; what a call owes is under `obligations`", DECIDED.map(Reason::as_str).join(", "));
            (message.to_owned(), hint)
        }
    };
    report.wrong(node, path, message, hint);
    None
}

fn texts(report: &mut Report<'_>, node: &Node, path: &str) -> Vec<String> {
    report.texts(node, path).into_iter().map(|(text, ..)| text.to_owned()).collect()
}

/// The public form `upstream+URI` means the same as the full name `upstream__URI`.
pub fn full_uri(uri: String) -> String {
    match uri.split_once('+') {
        Some((upstream, rest))
            if !upstream.is_empty() && upstream.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) =>
        {
            format!("{upstream}__{rest}")
        }
        _ => uri,
    }
}

/// A principal as a case has it under `as`.
pub(super) fn read_who(report: &mut Report<'_>, node: &Node, path: &str, set: &PolicySet) -> Option<Principal> {
    if matches!(&node.value, Value::Text(text) if text == ANONYMOUS) {
        return Some(Principal::anonymous());
    }
    let fields = report.fields(node, path, AS_KEYS, &[])?;
    let text = |report: &mut Report<'_>, key: &str| {
        fields.get(key).and_then(|node| report.text(node, &key_path(path, key))).map(Arc::<str>::from)
    };
    let sub = text(report, "sub");
    if fields.get("sub").is_none() {
        report.at(fields.place, &key_path(path, "sub"), "", "is required and not given", "as: anonymous is nobody");
    }
    let sub = sub?;
    let issuer = text(report, "issuer").or_else(|| sub.starts_with(KEY_PREFIX).then(|| Arc::from(KEY_ISSUER)));
    let issuer = issuer.or_else(|| match &*set.issuers {
        [] => Some(Arc::from("https://issuer.example")),
        [one] => Some(Arc::from(&**one)),
        _ => {
            report.at(fields.place, &key_path(path, "issuer"), "", "is required with several issuers", "issuer: URL");
            None
        }
    });
    let mut claims = Map::new();
    if let Some(node) = fields.get("claims") {
        let read =
            report.map(node, &key_path(path, "claims")).and_then(|_| Literal::read(report, node, &key_path(path, "claims")));
        if let Some(Json::Object(read)) = read.and_then(|literal| serde_json::from_str(&literal.to_json()).ok()) {
            claims = read;
        }
    }
    let mut words = |key: &str| fields.get(key).map(|node| texts(report, node, &key_path(path, key)));
    let (groups, scopes) = (words("groups"), words("scopes"));
    if let Some(groups) = groups {
        claims.insert("groups".to_owned(), groups.into());
    }
    if let Some(tenant) = text(report, "tenant") {
        claims.insert("tenant".to_owned(), (&*tenant).into());
    }
    let client_id = text(report, "client_id");
    let scopes = scopes.unwrap_or_default().into_iter().map(String::into_boxed_str).collect();
    Some(Principal { iss: issuer?, sub, client_id, scopes, claims, expires_at_s: None, key_id: None, anonymous: false })
}
