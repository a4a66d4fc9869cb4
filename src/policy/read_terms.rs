//! The argument criteria of a rule.

use super::literal::Literal;
use super::matcher::{Criterion, Matcher};
use super::path::Directory;
use super::pointer::Pointer;
use super::read::{read_globs, tidy};
use super::report::{Report, key_path};
use super::yaml::{Node, Value};

/// The matchers of this build.
pub(super) const MATCHER_KEYS: &[&str] = &["equals", "one_of", "glob", "path_under"];
const MATCHER_KEYS_LATER: &[&str] = &["matches", "url", "cidr", "min", "max", "max_length", "type", "present", "absent"];

/// `arguments`: pointers, each with its matchers.
pub(super) fn read_arguments(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Criterion]> {
    let mut criteria = Vec::new();
    let entries = report.map(node, path).unwrap_or_default();
    if entries.is_empty() {
        report.wrong(node, path, "no criterion", "name a pointer and a matcher, or leave `arguments` out");
    }
    for entry in entries {
        let here = key_path(path, &entry.key);
        let pointer = Pointer::parse(&entry.key);
        let matchers = read_matchers(report, &entry.node, &here);
        match pointer {
            Ok(pointer) => criteria.push(Criterion { pointer, matchers }),
            Err(message) => {
                report.at(entry.place, &here, &entry.key, message, "RFC 6901, plus `*` and `**`: /path, /items/*/id, /**")
            }
        }
    }
    tidy(criteria)
}

fn read_matchers(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Matcher]> {
    let Some(fields) = report.fields(node, path, MATCHER_KEYS, MATCHER_KEYS_LATER) else { return Box::default() };
    let mut matchers = Vec::new();
    if let Some(node) = fields.get("equals") {
        let literal = Literal::read(report, node, &key_path(path, "equals"));
        matchers.extend(literal.map(|literal| Matcher::OneOf(Box::new([literal]))));
    }
    if let Some(node) = fields.get("one_of") {
        let path = key_path(path, "one_of");
        let items = report.list(node, &path).iter().enumerate();
        let literals = items.filter_map(|(i, item)| Literal::read(report, item, &format!("{path}[{i}]"))).collect();
        matchers.push(Matcher::OneOf(tidy(literals)));
    }
    if let Some(node) = fields.get("glob") {
        matchers.push(Matcher::Glob(tidy(read_globs(report, node, &key_path(path, "glob")))));
    }
    if let Some(node) = fields.get("path_under") {
        matchers.push(Matcher::PathUnder(read_directories(report, node, &key_path(path, "path_under"))));
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        report.wrong(node, path, "no matcher", format!("one of: {}", MATCHER_KEYS.join(", ")));
    }
    tidy(matchers)
}

fn read_directories(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Directory]> {
    let texts = match &node.value {
        Value::Text(text) => vec![(text.as_str(), node, path.to_owned())],
        _ => report.texts(node, path),
    };
    let mut directories = Vec::with_capacity(texts.len());
    for (text, node, here) in texts {
        match Directory::parse(text) {
            Ok(directory) => directories.push(directory),
            Err(message) => report.wrong(node, &here, message, "for example /srv/public"),
        }
    }
    tidy(directories)
}
