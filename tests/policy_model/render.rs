//! Policies as YAML, in random order and spelling, in one file or several.

use crate::conditions::CONDITIONS;
use crate::generate::left_out;
use crate::json::Json;
use crate::language::*;
use crate::random::Random;
use crate::yaml::Yaml::{self, Bare, List, Map, Set, Text};
use crate::yaml::write;

/// What goes into one file.
#[derive(Default)]
struct Parts {
    shadow: bool,
    rules: Vec<Yaml>,
    classes: Vec<Yaml>,
    groups: Vec<(String, Yaml)>,
}

/// The files of a policy.
pub(crate) fn files(policy: &Policy, r: &mut Random) -> Vec<(String, String)> {
    let count = 1 + r.below(4) / 2;
    let mut parts: Vec<Parts> = Vec::new();
    parts.resize_with(count, || Parts { shadow: r.one_in(4) && !left_out("shadow"), ..Parts::default() });
    let mut order: Vec<&Rule> = policy.rules.iter().collect();
    r.shuffle(&mut order);
    for rule in order {
        let file = &mut parts[r.below(count)];
        file.rules.push(rule_yaml(rule, file.shadow, r));
    }
    for (globs, class) in &policy.classes {
        let entry = Map(vec![("match".to_owned(), texts(globs)), ("class".to_owned(), Bare(class.word().to_owned()))]);
        parts[r.below(count)].classes.push(entry);
    }
    for group in &policy.groups {
        parts[r.below(count)].groups.push((group.name.to_owned(), group_yaml(group)));
    }
    let mut out = Vec::new();
    for (n, file) in parts.into_iter().enumerate() {
        out.push((format!("{n}.yaml"), file_text(file, r)));
    }
    r.shuffle(&mut out);
    out
}

fn file_text(file: Parts, r: &mut Random) -> String {
    let Parts { shadow, rules, classes, groups } = file;
    let mut top = vec![("version", Bare("1".to_owned()))];
    if shadow || r.one_in(4) {
        top.push(("mode", Bare(if shadow { "shadow" } else { "enforce" }.to_owned())));
    }
    for (key, list) in [("rules", rules), ("tools", classes)] {
        if !list.is_empty() {
            top.push((key, List(list)));
        }
    }
    if !groups.is_empty() {
        top.push(("groups", Map(groups)));
    }
    r.shuffle(&mut top);
    let mut out = String::from(if r.one_in(3) { "# a comment\n" } else { "" });
    for (key, value) in top {
        out.push_str(key);
        out.push(':');
        write(&value, 1, r, &mut out);
        out.push('\n');
    }
    out
}

fn group_yaml(group: &Group) -> Yaml {
    let mut out = Vec::new();
    if let Some((claim, any_of)) = &group.claim {
        out.extend([("claim".to_owned(), Text((*claim).to_owned())), ("any_of".to_owned(), texts(any_of))]);
    }
    if !group.clients.is_empty() {
        out.push(("client_id".to_owned(), one_or_many(&group.clients)));
    }
    if !group.issuers.is_empty() {
        out.push(("issuer".to_owned(), texts(&group.issuers)));
    }
    Map(out)
}

fn rule_yaml(rule: &Rule, file_shadow: bool, r: &mut Random) -> Yaml {
    let effect = if rule.allow { "allow" } else { "deny" };
    let mut out = vec![("id", Text(rule.id.clone())), ("effect", Bare(effect.to_owned()))];
    if !rule.principals.is_empty() {
        out.push(("principals", who(&rule.principals)));
    } else if r.one_in(4) {
        out.push(("principals", who(&[Who::Any])));
    }
    for (key, globs) in [("tools", &rule.tools), ("resources", &rule.resources), ("prompts", &rule.prompts)] {
        if !globs.is_empty() {
            out.push((key, texts(globs)));
        }
    }
    if !rule.capabilities.is_empty() {
        let words = rule.capabilities.iter().map(|(upstream, word)| Text(format!("{upstream}:{word}")));
        out.push(("capabilities", Set(words.collect())));
    }
    let default: &[Class] = if rule.allow { &[Class::Read] } else { &[Class::Write, Class::Read, Class::Destructive] };
    let written = if rule.classes.is_empty() { default } else { &rule.classes[..] };
    if !rule.classes.is_empty() || (rule.capabilities.is_empty() && r.one_in(4)) {
        out.push(("classes", Set(written.iter().map(|class| Bare(class.word().to_owned())).collect())));
    }
    if !rule.arguments.is_empty() {
        let criterion = |(pointer, matchers): &(&str, Vec<Matcher>)| {
            ((*pointer).to_owned(), Map(matchers.iter().map(|m| matcher_yaml(m, matchers.len() == 1, r)).collect()))
        };
        out.push(("arguments", Map(rule.arguments.iter().map(criterion).collect())));
    }
    if let Some(which) = rule.when {
        out.push(("when", Text(CONDITIONS[which].0.to_owned())));
    }
    if !rule.schedule.is_empty() {
        let windows: Vec<Yaml> = rule.schedule.iter().map(|window| window_yaml(window, r)).collect();
        out.push(("schedule", if windows.len() == 1 && r.one_in(2) { windows[0].clone() } else { Set(windows) }));
    }
    if !rule.require.is_empty() {
        out.push(("require", require_yaml(&rule.require)));
    }
    if rule.shadow != file_shadow || r.one_in(4) {
        out.push(("mode", Bare(if rule.shadow { "shadow" } else { "enforce" }.to_owned())));
    }
    Map(out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn who(entries: &[Who]) -> Yaml {
    let text = |entry: &Who| match entry {
        Who::Any => "any".to_owned(),
        Who::Group(name) => format!("group:{name}"),
        Who::Sub(None, glob) => format!("sub:{glob}"),
        Who::Sub(Some(issuer), glob) => format!("sub:{issuer}#{glob}"),
        Who::Client(glob) => format!("client:{glob}"),
        Who::Scope(scope) => format!("scope:{scope}"),
    };
    Set(entries.iter().map(|entry| Text(text(entry))).collect())
}

fn matcher_yaml(matcher: &Matcher, alone: bool, r: &mut Random) -> (String, Yaml) {
    let value = match matcher {
        Matcher::Equals(value) => json(value),
        Matcher::OneOf(values) => Set(values.iter().map(json).collect()),
        Matcher::Glob(items) | Matcher::Matches(items) | Matcher::Under(items) | Matcher::Cidr(items) | Matcher::Type(items) => {
            one_or_many(items)
        }
        Matcher::Url(want) => {
            let ports = want.port.iter().map(|port| Bare(port.to_string())).collect();
            let parts = [("scheme", &want.scheme), ("host", &want.host), ("path", &want.path), ("address", &want.address)];
            let parts = parts.into_iter().filter(|(_, list)| !list.is_empty());
            let mut parts: Vec<_> = parts.map(|(key, list)| (key.to_owned(), one_or_many(list))).collect();
            if !want.port.is_empty() {
                parts.push(("port".to_owned(), Set(ports)));
            }
            Map(parts)
        }
        Matcher::Min(token) | Matcher::Max(token) => Bare((*token).to_owned()),
        Matcher::MaxLength(n) => Bare(n.to_string()),
        Matcher::Present | Matcher::Absent => Bare("true".to_owned()),
    };
    let key = match matcher {
        // The same criterion by the other name.
        Matcher::Equals(_) if alone && r.one_in(4) => return ("one_of".to_owned(), List(vec![value])),
        other => other.key(),
    };
    (key.to_owned(), value)
}

fn window_yaml(window: &Window, r: &mut Random) -> Yaml {
    let mut out = Vec::new();
    if !window.days.is_empty() {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        out.push(("days", Set(window.days.iter().map(|day| Bare(names[usize::from(*day)].to_owned())).collect())));
    }
    if let Some((from, to)) = window.hours {
        let text = |minutes: u32| Text(format!("{:02}:{:02}", minutes / 60, minutes % 60));
        out.extend([("from", text(from)), ("to", text(to))]);
    }
    match window.zone {
        Some(Zone::Kolkata) => out.push(("zone", Text("Asia/Kolkata".to_owned()))),
        Some(Zone::Berlin) => out.push(("zone", Text("Europe/Berlin".to_owned()))),
        Some(Zone::Utc) => out.push(("zone", Text("UTC".to_owned()))),
        None if r.one_in(3) => out.push(("zone", Text("UTC".to_owned()))),
        None => {}
    }
    Map(out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn require_yaml(require: &Require) -> Yaml {
    let mut out = Vec::new();
    if !require.scopes.is_empty() {
        out.push(("scope", one_or_many(&require.scopes)));
    }
    if let Some(approval) = &require.approval {
        let from = if approval.from.is_empty() { List(vec![Bare("caller".to_owned())]) } else { who(&approval.from) };
        let mut parts = vec![("from".to_owned(), from)];
        parts.extend(approval.quorum.map(|n| ("quorum".to_owned(), Bare(n.to_string()))));
        parts.extend(approval.requester.map(|yes| ("requester".to_owned(), Bare(yes.to_string()))));
        parts.extend(approval.expires_s.map(|s| ("expires".to_owned(), Bare(seconds(s)))));
        out.push(("approval", Map(parts)));
    }
    if !require.limits.is_empty() {
        out.push(("limit", Set(require.limits.iter().map(limit_yaml).collect())));
    }
    if require.redact {
        out.push(("redact", List(vec![Bare("secrets".to_owned())])));
    }
    if let Some(ms) = require.deadline_ms {
        out.push(("deadline", Bare(if ms % 1000 == 0 { seconds(ms / 1000) } else { format!("{ms}ms") })));
    }
    if !require.audit.is_empty() {
        out.push(("audit", texts(&require.audit)));
    }
    Map(out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn limit_yaml(limit: &Limit) -> Yaml {
    let of = |key: &str, n: u64, per: Option<u64>| {
        let mut out = vec![(key.to_owned(), Bare(n.to_string()))];
        out.extend(per.map(|per| ("per".to_owned(), Bare(seconds(per)))));
        out
    };
    let mut out = match limit.quota {
        Quota::Calls(n, per) => of("calls", n.into(), Some(per)),
        Quota::Concurrent(n) => of("concurrent", n.into(), None),
        Quota::Bytes(n, per) => of("bytes", n, Some(per)),
        Quota::Tokens(n, per) => of("response_tokens", n, Some(per)),
    };
    out.push(("by".to_owned(), texts(&limit.by)));
    Map(out)
}

fn seconds(s: u64) -> String {
    match s {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn texts(items: &[&str]) -> Yaml {
    Set(items.iter().map(|item| Text((*item).to_owned())).collect())
}

fn one_or_many(items: &[&str]) -> Yaml {
    if let [one] = items { Text((*one).to_owned()) } else { texts(items) }
}

fn json(value: &Json) -> Yaml {
    match value {
        Json::Null => Bare("null".to_owned()),
        Json::Bool(value) => Bare(value.to_string()),
        Json::Number(token) => Bare((*token).to_owned()),
        Json::Text(text) => Text(text.clone()),
        Json::List(items) => List(items.iter().map(json).collect()),
        Json::Map(members) => Map(members.iter().map(|(key, value)| (key.clone(), json(value))).collect()),
    }
}
