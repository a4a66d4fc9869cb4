//! `arguments` of a rule: pointers and what must hold for the values they select.

use super::address::{Block, Reach};
use super::bounds::REGEXES_MAX;
use super::glob::Glob;
use super::literal::Literal;
use super::matcher::shape::Shapes;
use super::matcher::{Criterion, Matcher};
use super::number;
use super::path::Directory;
use super::pattern::Pattern;
use super::pointer::Pointer;
use super::read::{read_globs, tidy};
use super::report::{Report, key_path};
use super::url::UrlTest;
use super::yaml::{Node, Value};

/// The matchers.
pub(super) const MATCHER_KEYS: &[&str] = &[
    "equals",
    "one_of",
    "glob",
    "matches",
    "path_under",
    "url",
    "cidr",
    "min",
    "max",
    "max_length",
    "type",
    "present",
    "absent",
];
/// Keys of `url`.
pub(super) const URL_KEYS: &[&str] = &["scheme", "host", "port", "path", "address"];

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
    let Value::Map(entries) = &node.value else {
        report.map(node, path);
        return Box::default();
    };
    report.fields(node, path, MATCHER_KEYS, &[]);
    let mut matchers = Vec::new();
    for entry in entries {
        matchers.extend(read_matcher(report, &entry.key, &entry.node, &key_path(path, &entry.key)));
    }
    if entries.is_empty() {
        report.wrong(node, path, "no matcher", format!("one of: {}", MATCHER_KEYS.join(", ")));
    }
    if matchers.contains(&Matcher::Absent) && matchers.len() > 1 {
        report.at(node.place, path, "", "`absent` stands alone: where nothing is, nothing else holds", "leave the others out");
    }
    if matchers.len() > 1 {
        // Any other matcher wants something there as well.
        matchers.retain(|matcher| *matcher != Matcher::Present);
    }
    let criterion = Criterion { pointer: Pointer::default(), matchers: tidy(matchers) };
    let bounds: Vec<_> = criterion.matchers.iter().filter(|m| matches!(m, Matcher::Min(_) | Matcher::Max(_))).cloned().collect();
    if bounds.len() > 1 && (Criterion { pointer: Pointer::default(), matchers: bounds.into() }).is_impossible() {
        report.at(node.place, path, "", "`min` is greater than `max`: no number is both", "exchange them");
    }
    criterion.matchers
}

fn read_matcher(report: &mut Report<'_>, key: &str, node: &Node, path: &str) -> Option<Matcher> {
    Some(match key {
        "equals" => Matcher::OneOf(Box::new([Literal::read(report, node, path)?])),
        "one_of" => {
            let items = report.list(node, path).iter().enumerate();
            let literals = items.filter_map(|(i, item)| Literal::read(report, item, &format!("{path}[{i}]"))).collect();
            Matcher::OneOf(tidy(literals))
        }
        "glob" => Matcher::Glob(tidy(read_globs(report, node, path))),
        "matches" => Matcher::Matches(read_patterns(report, node, path)),
        "path_under" => Matcher::PathUnder(read_each(report, node, path, |text| {
            Directory::parse(text).map_err(|m| (m.into(), "for example /srv/public"))
        })),
        "url" => Matcher::Url(Box::new(read_url(report, node, path)?)),
        "cidr" => Matcher::Cidr(read_each(report, node, path, |text| {
            Block::parse(text).map_err(|m| (m.into(), "for example 10.0.0.0/8 or 2001:db8::/32; one address needs no prefix"))
        })),
        "min" => Matcher::Min(read_number(report, node, path)?),
        "max" => Matcher::Max(read_number(report, node, path)?),
        "max_length" => {
            let most = matches!(node.value, Value::Number).then(|| report.token(node).parse().ok()).flatten();
            if most.is_none() {
                report.wrong(node, path, "expected a whole number from 0", "characters of a text, elements of a list");
            }
            Matcher::MaxLength(most?)
        }
        "type" => Matcher::Type(Shapes::of(read_words(report, node, path, &Shapes::WORDS))),
        "present" => read_true(report, node, path, "absent").then_some(Matcher::Present)?,
        "absent" => read_true(report, node, path, "present").then_some(Matcher::Absent)?,
        // Reported as unknown.
        _ => return None,
    })
}

/// `present` and `absent` say one thing each, so that no file says the opposite of what its words say.
fn read_true(report: &mut Report<'_>, node: &Node, path: &str, other: &str) -> bool {
    let yes = matches!(node.value, Value::Bool(true));
    if !yes {
        report.wrong(node, path, "only `true` is said here", format!("for the opposite write `{other}: true`"));
    }
    yes
}

fn read_number(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Box<str>> {
    let token = report.token(node);
    let number =
        matches!(node.value, Value::Number).then(|| number::canonical(token).filter(|_| number::is_json(token))).flatten();
    if number.is_none() {
        report.wrong(node, path, "not a number as JSON writes it", "for example 10, -0.5 or 1e6");
    }
    number.map(Into::into)
}

fn read_patterns(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[Pattern]> {
    if matches!(&node.value, Value::List(items) if items.len() > REGEXES_MAX) {
        report.at(node.place, path, "", format!("more than {REGEXES_MAX} expressions"), "join some with `|`");
        return Box::default();
    }
    let hint = "syntax of the Rust crate `regex`: no look-around, no back-references";
    read_each(report, node, path, |text| Pattern::parse(text).map_err(|message| (message, hint)))
}

/// One text or a list of them, each read by `parse`, which says what is wrong and what would be right.
fn read_each<T: Ord>(
    report: &mut Report<'_>,
    node: &Node,
    path: &str,
    parse: impl Fn(&str) -> Result<T, (String, &'static str)>,
) -> Box<[T]> {
    let texts = match &node.value {
        Value::Text(text) => vec![(text.as_str(), node, path.to_owned())],
        _ => report.texts(node, path),
    };
    let mut read = Vec::with_capacity(texts.len());
    for (text, node, here) in texts {
        match parse(text) {
            Ok(one) => read.push(one),
            Err((message, hint)) => report.wrong(node, &here, message, hint),
        }
    }
    tidy(read)
}

/// One word or a list of them.
fn read_words<T: Copy>(report: &mut Report<'_>, node: &Node, path: &str, words: &[(&str, T)]) -> Vec<T> {
    if !matches!(node.value, Value::List(_)) {
        return report.word(node, path, words).into_iter().collect();
    }
    let items = report.list(node, path).iter().enumerate();
    items.filter_map(|(i, item)| report.word(item, &format!("{path}[{i}]"), words)).collect()
}

fn read_url(report: &mut Report<'_>, node: &Node, path: &str) -> Option<UrlTest> {
    let fields = report.fields(node, path, URL_KEYS, &[])?;
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        report.wrong(node, path, "says nothing about the URL", format!("at least one of: {}", URL_KEYS.join(", ")));
    }
    let at = |key: &str| fields.get(key).map(|node| (node, key_path(path, key)));
    let mut test = UrlTest::default();
    if let Some((node, path)) = at("scheme") {
        test.schemes =
            read_each(report, node, &path, |text| read_scheme(text).ok_or(("not a scheme".to_owned(), "in lower case: https")));
    }
    if let Some((node, path)) = at("host") {
        test.hosts = read_each(report, node, &path, read_host);
    }
    if let Some((node, path)) = at("port") {
        let items = if let Value::List(_) = node.value { report.list(node, &path) } else { std::slice::from_ref(node) };
        let read = |node: &Node| {
            let port =
                matches!(node.value, Value::Number).then(|| report.token(node).parse().ok()).flatten().filter(|port| *port > 0);
            if port.is_none() {
                report.wrong(node, &path, "not a port", "a number from 1 to 65535");
            }
            port
        };
        test.ports = tidy(items.iter().filter_map(read).collect());
    }
    if let Some((node, path)) = at("path") {
        let hint = "a glob over the whole path, such as /v1/*";
        test.paths = read_each(report, node, &path, |text| match Glob::parse(text) {
            Ok(_) if !text.starts_with(['/', '*', '?']) => Err(("can never match: a path starts with `/`".to_owned(), hint)),
            other => other.map_err(|message| (message.to_owned(), hint)),
        });
    }
    if let Some((node, path)) = at("address") {
        test.reaches = tidy(read_words(report, node, &path, &Reach::WORDS));
    }
    Some(test)
}

/// RFC 3986 section 3.1, in lower case.
fn read_scheme(text: &str) -> Option<Box<str>> {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    (text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)).then(|| text.into())
}

fn read_host(text: &str) -> Result<Glob, (String, &'static str)> {
    if text.chars().any(|c| c.is_ascii_uppercase() || !c.is_ascii()) {
        return Err((
            "can never match: hosts are compared in lower-case ASCII".to_owned(),
            "write international names in Punycode: xn--..",
        ));
    }
    if text.ends_with('.') || text.contains(['/', '@', '[', ']', '%', ' ']) {
        return Err((
            "can never match: not a host".to_owned(),
            "the host alone, such as *.example.com; ports have a key of their own",
        ));
    }
    if text.contains(':') && !text.contains("::") && text.matches(':').count() < 7 && !text.contains('*') {
        return Err(("can never match: a host has no port".to_owned(), "ports have a key of their own: port: [8443]"));
    }
    Glob::parse(text).map_err(|message| (message.to_owned(), "`*` any run, `?` one character, `\\` escapes"))
}
