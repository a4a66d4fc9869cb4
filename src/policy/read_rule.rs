//! One rule of a policy file.

use std::sync::Arc;

use super::compile::Facts;
use super::decision::Effect;
use super::glob::Glob;
use super::matcher::Criterion;
use super::read::{CLASS_WORDS, check_issuer, check_name, read_mode, read_names, tidy};
use super::read_matchers::read_arguments;
use super::read_require::{RawRequire, read_require};
use super::report::{Fields, Report, key_path};
use super::rule::{Capability, Classes, Targets};
use super::schedule::{Schedule, read_schedule};
use super::when::When;
use super::who::{ANONYMOUS, KEY_PREFIX, Who};
use super::yaml::{Node, Place};
use crate::vocab::Class;

/// A rule whose groups are not looked up yet.
pub(super) struct RawRule {
    pub(super) id: Arc<str>,
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) effect: Effect,
    pub(super) who: Vec<RawWho>,
    pub(super) targets: Targets,
    pub(super) classes: Classes,
    pub(super) arguments: Box<[Criterion]>,
    pub(super) schedule: Schedule,
    pub(super) when: Option<Arc<When>>,
    pub(super) require: RawRequire,
    /// What the rule itself says of its mode: whether it is in shadow.
    pub(super) shadow: Option<bool>,
}

/// An entry of `principals`.
pub(super) enum RawWho {
    Ready(Who),
    Group { name: String, place: Place, path: String },
}

/// Keys of a rule.
pub(super) const RULE_KEYS: &[&str] = &[
    "id",
    "effect",
    "principals",
    "tools",
    "resources",
    "prompts",
    "capabilities",
    "classes",
    "arguments",
    "schedule",
    "when",
    "require",
    "mode",
];

/// Reads a rule; `None` if it has no usable id or effect, which the report then says.
pub(super) fn read_rule(report: &mut Report<'_>, node: &Node, path: &str, facts: &Facts<'_>) -> Option<RawRule> {
    let fields = report.fields(node, path, RULE_KEYS, &[])?;
    let id = required(report, &fields, path, "id", "every rule has an id of its own");
    let id = id.and_then(|node| Some((report.text(node, &key_path(path, "id"))?, node.place)));
    if let Some((id, place)) = id {
        check_name(report, id, place, &key_path(path, "id"));
    }
    let effect = required(report, &fields, path, "effect", "allow or deny");
    let words = [("allow", Effect::Allow), ("deny", Effect::Deny)];
    let effect = effect.and_then(|node| report.word(node, &key_path(path, "effect"), &words));
    let shadow = fields.get("mode").and_then(|node| read_mode(report, node, &key_path(path, "mode")));
    let who = fields.get("principals").map(|node| read_who(report, node, &key_path(path, "principals"), facts));
    let targets = read_targets(report, &fields, path);
    let classes = fields.get("classes").map(|node| read_classes(report, node, &key_path(path, "classes")));
    let arguments_path = key_path(path, "arguments");
    let arguments = fields.get("arguments").map_or_else(Box::default, |node| read_arguments(report, node, &arguments_path));
    let schedule = fields.get("schedule").map(|node| read_schedule(report, node, &key_path(path, "schedule")));
    let when = fields.get("when").and_then(|node| read_when(report, node, &key_path(path, "when")));
    let require = read_require(report, &fields, path, facts);
    let ((id, place), effect) = id.zip(effect)?;
    check_shape(report, &fields, path, effect, who.is_some());
    let classes = classes.unwrap_or(match effect {
        Effect::Allow => Classes::of([Class::Read]),
        Effect::Deny => Classes::EVERY,
    });
    let who = who.unwrap_or_else(|| vec![RawWho::Ready(Who::Any)]);
    let schedule = schedule.unwrap_or_default();
    Some(RawRule {
        id: id.into(),
        place,
        path: path.to_owned(),
        effect,
        who,
        targets,
        classes,
        arguments,
        schedule,
        when,
        require,
        shadow,
    })
}

/// What the parts of a rule demand of each other.
fn check_shape(report: &mut Report<'_>, fields: &Fields<'_>, path: &str, effect: Effect, has_who: bool) {
    let named = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some());
    if effect == Effect::Allow && !has_who {
        let hint = "say whom it allows: group:NAME, sub:GLOB, client:GLOB, scope:NAME or any";
        report.at(fields.place, &key_path(path, "principals"), "", "is required in an allow rule", hint);
    }
    if effect == Effect::Allow && !named(&["tools", "resources", "prompts", "capabilities"]) {
        report.at(fields.place, path, "", "an allow rule names what it allows", "add tools, resources, prompts or capabilities");
    }
    if let Some(node) = fields.get("require").filter(|_| effect == Effect::Deny) {
        report.wrong(node, &key_path(path, "require"), "a deny rule requires nothing", "move it to an allow rule");
    }
    if named(&["capabilities"]) {
        for key in ["arguments", "when", "require", "classes"] {
            if let Some(node) = fields.get(key) {
                let hint = "give capabilities a rule of their own";
                report.wrong(node, &key_path(path, key), format!("capabilities have no `{key}`"), hint);
            }
        }
    }
}

fn read_when(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Arc<When>> {
    let flaws = match When::parse(report.text(node, path)?) {
        Ok(when) => return Some(Arc::new(when)),
        Err(flaws) => flaws,
    };
    for flaw in flaws {
        let place = flaw.at.map_or(node.place, |at| report.place_within(node, at));
        report.at(place, path, &flaw.value, flaw.message, flaw.hint);
    }
    None
}

fn required<'n>(report: &mut Report<'_>, fields: &Fields<'n>, path: &str, key: &str, hint: &str) -> Option<&'n Node> {
    let found = fields.get(key);
    if found.is_none() {
        report.at(fields.place, &key_path(path, key), "", "is required and not given", hint);
    }
    found
}

fn read_who(report: &mut Report<'_>, node: &Node, path: &str, facts: &Facts<'_>) -> Vec<RawWho> {
    let texts = report.texts(node, path);
    texts.iter().filter_map(|(text, node, here)| read_one_who(report, (text, node, here), facts)).collect()
}

/// One entry of a list of principals: its text, where it stands, and its path.
pub(super) fn read_one_who(
    report: &mut Report<'_>,
    (text, node, path): (&str, &Node, &str),
    facts: &Facts<'_>,
) -> Option<RawWho> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let ready = match (kind, rest) {
        ("any", "") if text == "any" => Some(Who::Any),
        ("group", name) if !name.is_empty() => {
            return Some(RawWho::Group { name: name.to_owned(), place: node.place, path: path.to_owned() });
        }
        ("scope", name) if !name.is_empty() => Some(Who::Scope(name.into())),
        ("client", glob) => read_glob(report, glob, node, path).map(Who::Client),
        ("sub", rest) => read_sub(report, rest, node, path, facts),
        _ => {
            let hint = "group:NAME, sub:GLOB, client:GLOB, scope:NAME or any";
            report.wrong(node, path, "no such kind of principal", hint);
            None
        }
    };
    ready.map(RawWho::Ready)
}

/// `GLOB` or `ISSUER#GLOB`. With several issuers a bare subject could be anybody's, except for the names only the gateway gives.
fn read_sub(report: &mut Report<'_>, text: &str, node: &Node, path: &str, facts: &Facts<'_>) -> Option<Who> {
    if let Some((issuer, glob)) =
        text.split_once('#').filter(|(issuer, _)| issuer.contains(':') && !issuer.starts_with(KEY_PREFIX))
    {
        check_issuer(report, issuer, node, path, facts);
        return read_glob(report, glob, node, path).map(|glob| Who::Sub { issuer: Some(issuer.into()), glob });
    }
    let glob = read_glob(report, text, node, path)?;
    let ours = glob.literal() == Some(ANONYMOUS) || glob.literal_prefix().starts_with(KEY_PREFIX);
    if facts.issuers.len() > 1 && !ours {
        report.wrong(node, path, "with several issuers a subject names its own", "write sub:ISSUER#GLOB");
    }
    Some(Who::Sub { issuer: None, glob })
}

fn read_glob(report: &mut Report<'_>, text: &str, node: &Node, path: &str) -> Option<Glob> {
    Glob::parse(text).map_err(|message| report.wrong(node, path, message, "")).ok()
}

fn read_targets(report: &mut Report<'_>, fields: &Fields<'_>, path: &str) -> Targets {
    let mut names = |key: &str| {
        let globs = fields.get(key).map(|node| read_names(report, node, &key_path(path, key)));
        tidy(globs.unwrap_or_default())
    };
    let (tools, resources, prompts) = (names("tools"), names("resources"), names("prompts"));
    let node = fields.get("capabilities");
    let capabilities = node.map(|node| read_capabilities(report, node, &key_path(path, "capabilities")));
    Targets { tools, resources, prompts, capabilities: capabilities.unwrap_or_default() }
}

fn read_capabilities(report: &mut Report<'_>, node: &Node, path: &str) -> Box<[(Glob, Capability)]> {
    let mut out = Vec::new();
    for (text, node, here) in report.texts(node, path) {
        let (upstream, word) = text.split_once(':').unwrap_or((text, ""));
        let capability = Capability::WORDS.iter().find(|(name, _)| *name == word);
        match (Glob::parse(upstream), capability) {
            (Ok(glob), Some((_, capability))) => out.push((glob, *capability)),
            _ => {
                let hint = "UPSTREAM:elicitation.form, elicitation.url, sampling or roots; UPSTREAM may be a glob";
                report.wrong(node, &here, "not a capability", hint);
            }
        }
    }
    tidy(out)
}

fn read_classes(report: &mut Report<'_>, node: &Node, path: &str) -> Classes {
    let mut classes = Vec::new();
    for (i, item) in report.list(node, path).iter().enumerate() {
        classes.extend(report.word(item, &format!("{path}[{i}]"), CLASS_WORDS));
    }
    Classes::of(classes)
}
