//! One policy file, read into its parts. Mistakes go to the report, and reading goes on, so that all are found at once.

use super::bounds::NAME_BYTES_MAX;
use super::compile::Facts;
use super::glob::Glob;
use super::read_rule::{RawRule, read_rule};
use super::report::{Report, key_path};
use super::who::Group;
use super::yaml::{Node, Place, Value, parse};
use crate::vocab::Class;
use crate::vocab::principal::{CERTIFICATE_ISSUER, KEY_ISSUER};

/// What one file says. Groups are not looked up yet: they may stand in another file.
#[derive(Default)]
pub(super) struct RawFile {
    pub(super) groups: Vec<(Group, Place, String)>,
    pub(super) classes: Vec<ClassEntry>,
    pub(super) rules: Vec<RawRule>,
    /// What rules are that do not say: in shadow or not.
    pub(super) shadow: bool,
}

/// One entry of `tools`.
pub(super) struct ClassEntry {
    pub(super) globs: Vec<Glob>,
    pub(super) class: Class,
    pub(super) place: Place,
    pub(super) path: String,
}

/// Keys of a file.
pub(super) const FILE_KEYS: &[&str] = &["version", "groups", "tools", "rules", "mode"];
/// The modes, as words, and whether they mean that a rule decides nothing.
pub(super) const MODE_WORDS: &[(&str, bool)] = &[("enforce", false), ("shadow", true)];
/// Keys of a group.
pub(super) const GROUP_KEYS: &[&str] = &["claim", "any_of", "client_id", "issuer"];
/// Keys of an entry of `tools`.
pub(super) const CLASS_KEYS: &[&str] = &["match", "class"];
/// The classes, as words.
pub(super) const CLASS_WORDS: &[(&str, Class)] =
    &[("read", Class::Read), ("write", Class::Write), ("destructive", Class::Destructive)];

/// Reads a file.
pub(super) fn read_file(report: &mut Report<'_>, text: &str, facts: &Facts<'_>) -> RawFile {
    let mut file = RawFile::default();
    let root = match parse(text) {
        Ok(root) => root,
        Err(broken) => {
            report.at(broken.place, "", "", broken.message, "");
            return file;
        }
    };
    let Some(fields) = report.fields(&root, "", FILE_KEYS, &[]) else { return file };
    match fields.get("version") {
        Some(node) if matches!(node.value, Value::Number) && report.token(node) == "1" => {}
        Some(node) => report.wrong(node, "version", "unknown version of the policy language", "write `version: 1`"),
        None => report.at(fields.place, "version", "", "is required and not given", "write `version: 1`"),
    }
    file.shadow = fields.get("mode").and_then(|node| read_mode(report, node, "mode")).unwrap_or(false);
    for entry in fields.get("groups").and_then(|node| report.map(node, "groups")).unwrap_or_default() {
        let path = key_path("groups", &entry.key);
        check_name(report, &entry.key, entry.place, &path);
        if let Some(group) = read_group(report, &entry.key, &entry.node, &path, facts) {
            file.groups.push((group, entry.place, path));
        }
    }
    for (i, node) in fields.get("tools").map_or(&[][..], |node| report.list(node, "tools")).iter().enumerate() {
        read_class(report, node, &format!("tools[{i}]"), &mut file.classes);
    }
    for (i, node) in fields.get("rules").map_or(&[][..], |node| report.list(node, "rules")).iter().enumerate() {
        file.rules.extend(read_rule(report, node, &format!("rules[{i}]"), facts));
    }
    file
}

/// Whether the rules that this is said of are in shadow.
pub(super) fn read_mode(report: &mut Report<'_>, node: &Node, path: &str) -> Option<bool> {
    report.word(node, path, MODE_WORDS)
}

/// Ids of rules and names of groups: short, without spaces or control characters.
pub(super) fn check_name(report: &mut Report<'_>, name: &str, place: Place, path: &str) {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':'));
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain {
        let hint = format!("letters, digits and - _ . / : only, at most {NAME_BYTES_MAX} of them");
        report.at(place, path, name, "not a usable name", hint);
    }
}

/// A list of globs, or one.
pub(super) fn read_globs(report: &mut Report<'_>, node: &Node, path: &str) -> Vec<Glob> {
    let texts = match &node.value {
        Value::Text(text) => vec![(text.as_str(), node, path.to_owned())],
        _ => report.texts(node, path),
    };
    let mut globs = Vec::with_capacity(texts.len());
    for (text, node, here) in texts {
        match Glob::parse(text) {
            Ok(glob) => globs.push(glob),
            Err(message) => report.wrong(node, &here, message, "`*` any run, `?` one character, `\\` escapes"),
        }
    }
    globs
}

/// Globs over full names: without wildcards they must name an upstream.
pub(super) fn read_names(report: &mut Report<'_>, node: &Node, path: &str) -> Vec<Glob> {
    let globs = match node.value {
        Value::List(_) => read_globs(report, node, path),
        _ => {
            report.list(node, path);
            Vec::new()
        }
    };
    for glob in &globs {
        if glob.literal().is_some_and(|name| !name.contains("__")) {
            let hint = "names are UPSTREAM__NAME, two underscores between, whatever the route calls them";
            report.at(node.place, path, &glob.canonical(), "can never match", hint);
        }
    }
    globs
}

/// Sorts and drops doubles, so that spelling leaves no trace.
pub(super) fn tidy<T: Ord>(mut items: Vec<T>) -> Box<[T]> {
    items.sort();
    items.dedup();
    items.into()
}

/// Checks that an issuer is one of the configured ones.
pub(super) fn check_issuer(report: &mut Report<'_>, issuer: &str, node: &Node, path: &str, facts: &Facts<'_>) {
    let known: Vec<&str> = facts.issuers.iter().map(String::as_str).chain([KEY_ISSUER, CERTIFICATE_ISSUER]).collect();
    if !known.contains(&issuer) {
        let hint = match super::report::nearest(issuer, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("configured: {}", known.join(", ")),
        };
        report.wrong(node, path, "no such issuer is configured", hint);
    }
}

fn read_group(report: &mut Report<'_>, name: &str, node: &Node, path: &str, facts: &Facts<'_>) -> Option<Group> {
    let fields = report.fields(node, path, GROUP_KEYS, &[])?;
    let claim_path = key_path(path, "claim");
    let claim = fields.get("claim").and_then(|node| report.text(node, &claim_path));
    let any_of_path = key_path(path, "any_of");
    let any_of = fields.get("any_of").map(|node| report.texts(node, &any_of_path));
    let claim = match (claim, any_of) {
        (Some(claim), Some(values)) => Some((claim.into(), tidy(values.into_iter().map(|(v, ..)| v.into()).collect()))),
        (None, None) => None,
        (Some(_), None) => {
            report.at(fields.place, path, "", "`claim` without `any_of`", "say which values of the claim count");
            None
        }
        (None, Some(_)) => {
            report.at(fields.place, path, "", "`any_of` without `claim`", "say which claim holds the values");
            None
        }
    };
    let clients = fields.get("client_id").map(|node| read_globs(report, node, &key_path(path, "client_id")));
    if fields.get("claim").is_none() && fields.get("any_of").is_none() && clients.is_none() {
        report.at(fields.place, path, "", "the group says nothing", "give `claim` and `any_of`, or `client_id`");
    }
    let issuer_path = key_path(path, "issuer");
    let issuers = fields.get("issuer").map(|node| report.texts(node, &issuer_path));
    if issuers.is_none() && facts.issuers.len() > 1 {
        let hint = "with several issuers a claim means nothing until it is said whose: issuer: [URL]";
        report.at(fields.place, &issuer_path, "", "is required and not given", hint);
    }
    for (issuer, node, here) in issuers.iter().flatten() {
        check_issuer(report, issuer, node, here, facts);
    }
    let issuers = issuers.into_iter().flatten().map(|(issuer, ..)| issuer.into()).collect();
    Some(Group { name: name.into(), issuers: tidy(issuers), claim, clients: tidy(clients.unwrap_or_default()) })
}

fn read_class(report: &mut Report<'_>, node: &Node, path: &str, classes: &mut Vec<ClassEntry>) {
    let Some(fields) = report.fields(node, path, CLASS_KEYS, &[]) else { return };
    let globs = fields.get("match").map(|node| read_names(report, node, &key_path(path, "match")));
    let class = fields.get("class").map(|node| report.word(node, &key_path(path, "class"), CLASS_WORDS));
    if globs.is_none() {
        report.at(fields.place, &key_path(path, "match"), "", "is required and not given", "match: [\"UPSTREAM__NAME\"]");
    }
    if class.is_none() {
        report.at(fields.place, &key_path(path, "class"), "", "is required and not given", "read, write or destructive");
    }
    if let (Some(globs), Some(Some(class))) = (globs, class) {
        classes.push(ClassEntry { globs, class, place: fields.place, path: path.to_owned() });
    }
}
