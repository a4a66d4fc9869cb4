//! Why a condition of a rule holds or does not, in words for the person who wrote it.

use super::address::Block;
use super::arguments::Tree;
use super::asked::Family;
use super::aspect::{Aspect, entry_possible};
use super::bounds::{ARGUMENT_VALUES_MAX, SHOWN_CHARS_MAX};
use super::glob::Glob;
use super::known::{Given, Known};
use super::literal::Literal;
use super::matcher::{Criterion, Matcher, Quantifier};
use super::path::Directory;
use super::pointer::Selected;
use super::report::printable;
use super::rule::Rule;
use super::set::PolicySet;
use super::tri::Tri;
use super::when::When;
use super::who::Who;
use crate::mcp::json::{Kind, unquote};
use crate::vocab::{Class, Principal};

/// Why `aspect` of `rule` comes out as it does.
pub(super) fn why(set: &PolicySet, rule: &Rule, aspect: Aspect<'_>, known: &Known<'_>) -> String {
    match aspect {
        Aspect::Principals => principals(rule, known),
        Aspect::Targets => targets(rule, known),
        Aspect::Classes => classes(set, rule, known),
        Aspect::Argument(criterion) => argument(criterion, rule.quantifier(), known),
        Aspect::Schedule(schedule) => hours(known.schedule(schedule).known(), known),
        Aspect::When(when) => condition(known.when(when).known(), when),
    }
}

fn hours(open: Option<Tri>, known: &Known<'_>) -> String {
    let at = known.now_unix_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map_or_else(|| "the time".to_owned(), |at| at.to_string());
    match open {
        Some(Tri::True) => format!("{at} is within its hours"),
        Some(Tri::False) => format!("{at} is outside of its hours"),
        Some(Tri::Unknown) | None => "the clock cannot be read".to_owned(),
    }
}

fn condition(truth: Option<Tri>, when: &When) -> String {
    let text = printable(when.canonical());
    match truth {
        Some(Tri::True) => format!("{text} is true"),
        Some(Tri::False) => format!("{text} is false"),
        Some(Tri::Unknown) | None => {
            format!("{text} cannot be evaluated: something it reads is missing, of another type, or too much")
        }
    }
}

fn principals(rule: &Rule, known: &Known<'_>) -> String {
    let sub = plain(&known.who.sub);
    if let Some(entry) = rule.who.iter().find(|entry| entry_possible(entry, known).known() == Some(Tri::True)) {
        return format!("{sub} is {}", entry_text(entry));
    }
    let entries: Vec<String> =
        rule.who.iter().map(|entry| format!("{}{}", entry_text(entry), lacking(entry, known.who))).collect();
    format!("{sub} is not {}", entries.join(", nor "))
}

/// An entry of `principals` as a policy writes it.
pub(super) fn entry_text(entry: &Who) -> String {
    match entry {
        Who::Any => "any".to_owned(),
        Who::Group(group) => format!("group:{}", group.name),
        Who::Sub { issuer: Some(issuer), glob } => format!("sub:{issuer}#{}", glob.canonical()),
        Who::Sub { issuer: None, glob } => format!("sub:{}", glob.canonical()),
        Who::Client(glob) => format!("client:{}", glob.canonical()),
        Who::Scope(scope) => format!("scope:{scope}"),
    }
}

fn lacking(entry: &Who, who: &Principal) -> String {
    if who.anonymous {
        return " (nobody signed in)".to_owned();
    }
    match entry {
        Who::Group(group) => match &group.claim {
            _ if !group.issuers.is_empty() && !group.issuers.iter().any(|issuer| **issuer == *who.iss) => {
                format!(" (of {}, and the issuer is {})", list(group.issuers.iter().map(|i| plain(i))), plain(&who.iss))
            }
            Some((claim, values)) if !who.claim_strings(claim).any(|held| values.iter().any(|value| **value == *held)) => {
                let held: Vec<String> = who.claim_strings(claim).map(plain).collect();
                let held = if held.is_empty() { "is missing or empty".to_owned() } else { format!("holds {}", list(held)) };
                format!(" (claim {claim} {held}, not {})", list(values.iter().map(|value| plain(value))))
            }
            _ => client(who),
        },
        Who::Client(_) => client(who),
        Who::Scope(_) if who.scopes.is_empty() => " (no scopes)".to_owned(),
        Who::Scope(_) => format!(" (scopes: {})", list(who.scopes.iter().map(|scope| plain(scope)))),
        Who::Any | Who::Sub { .. } => String::new(),
    }
}

fn client(who: &Principal) -> String {
    who.client_id.as_deref().map_or_else(|| " (no client_id)".to_owned(), |id| format!(" (client_id is {})", plain(id)))
}

fn targets(rule: &Rule, known: &Known<'_>) -> String {
    let name = plain(known.name);
    if rule.names_everything() {
        return "the rule is about everything".to_owned();
    }
    let globs = rule.targets.of(known.family);
    if let Some(glob) = globs.iter().find(|glob| glob.matches(known.name)) {
        return if glob.literal().is_some() {
            format!("{name} is named")
        } else {
            format!("{name} matches {}", glob.canonical())
        };
    }
    let family = match known.family {
        Family::Resource => "resource",
        Family::Prompt => "prompt",
        Family::Tool | Family::Lists => "tool",
    };
    match globs {
        [] => format!("the rule names no {family}"),
        globs => format!("{name} matches none of {}", list(globs.iter().map(Glob::canonical))),
    }
}

fn classes(set: &PolicySet, rule: &Rule, known: &Known<'_>) -> String {
    let class = known.class.as_str();
    let unclassified = known.family == Family::Tool && !set.is_classified(known.name);
    let note = if unclassified { ", for no entry of `tools` classifies it" } else { "" };
    let named = [Class::Read, Class::Write, Class::Destructive].into_iter().filter(|class| rule.classes.has(*class));
    let named = list(named.map(|class| class.as_str().to_owned()));
    if rule.classes.has(known.class) {
        format!("{} is {class}{note}", plain(known.name))
    } else {
        format!("{} is {class}{note}; the rule is about {named}", plain(known.name))
    }
}

fn argument(criterion: &Criterion, quantifier: Quantifier, known: &Known<'_>) -> String {
    let pointer = match criterion.pointer.canonical() {
        whole if whole.is_empty() => "the whole of the arguments".to_owned(),
        pointer => pointer,
    };
    let tree = match &known.arguments {
        Given::None => return format!("there are no arguments, so {pointer} selects nothing"),
        Given::Pieces { .. } => return format!("{pointer} was not recorded"),
        Given::All(None) => return format!("the arguments cannot be read, or hold more than {ARGUMENT_VALUES_MAX} values"),
        Given::All(Some(tree)) if tree.collides() => {
            return "two keys of one object differ only by case or folding, so readers may disagree about the arguments"
                .to_owned();
        }
        Given::All(Some(tree)) => tree,
    };
    let mut selected = Vec::new();
    criterion.pointer.select(tree, &mut |found| selected.push(found));
    if tree.is_spent() {
        return "the arguments hold more than can be judged in the time there is".to_owned();
    }
    let judged = selected.iter().map(|found| (*found, judge(criterion, tree, *found, quantifier)));
    let judged: Vec<(Selected<'_>, Tri, Option<&Matcher>)> = judged.map(|(found, (truth, by))| (found, truth, by)).collect();
    let worst = |wanted: Tri| judged.iter().find(|(_, truth, _)| *truth == wanted);
    let order = match quantifier {
        Quantifier::Every => [Tri::False, Tri::Unknown, Tri::True],
        Quantifier::Some => [Tri::True, Tri::Unknown, Tri::False],
    };
    let Some((found, truth, by)) = order.into_iter().find_map(worst) else {
        let note = if criterion.is_absent() { ", as it should" } else { "" };
        return format!("{pointer} selects nothing{note}");
    };
    let subject = match (found, judged.len()) {
        (Selected::Disguise(key), _) => {
            return format!("{pointer} selects nothing, but readers may take the key {} for it", plain(key));
        }
        (Selected::Key(key), _) => format!("a key at {pointer} is {}", plain(key)),
        (Selected::Value(at), 1) => format!("{pointer} is {}", value(tree, *at)),
        (Selected::Value(at), many) if *truth == order.last().copied().unwrap_or(Tri::Unknown) => {
            format!("each of the {many} values at {pointer}, such as {},", value(tree, *at))
        }
        (Selected::Value(at), _) => format!("a value at {pointer} is {}", value(tree, *at)),
    };
    let each = subject.ends_with(',');
    let which = if each { " " } else { ", which " };
    match by {
        Some(matcher) => format!("{subject}{which}{}", predicate(matcher, *truth)),
        None => {
            let all: Vec<String> = criterion.matchers.iter().map(|matcher| predicate(matcher, Tri::True)).collect();
            format!("{subject}{which}{}", all.join(" and "))
        }
    }
}

/// Whether one value satisfies a criterion, and the matcher that says no or does not know.
fn judge<'c>(
    criterion: &'c Criterion,
    tree: &Tree<'_>,
    found: Selected<'_>,
    quantifier: Quantifier,
) -> (Tri, Option<&'c Matcher>) {
    let searches = criterion.pointer.searches();
    let all = || criterion.matchers.iter().map(|matcher| (matcher.satisfied(tree, found, quantifier, searches), matcher));
    for wanted in [Tri::False, Tri::Unknown] {
        if let Some((truth, matcher)) = all().find(|(truth, _)| *truth == wanted) {
            return (truth, Some(matcher));
        }
    }
    (Tri::True, None)
}

/// What a matcher says about a value, as the end of a sentence.
pub(super) fn predicate(matcher: &Matcher, truth: Tri) -> String {
    let (yes, no, what) = match matcher {
        Matcher::OneOf(values) => match &**values {
            [one] => ("equals", "does not equal", literal(one)),
            many => ("is one of", "is none of", list(many.iter().map(literal))),
        },
        Matcher::Glob(globs) => ("matches", "does not match", list(globs.iter().map(Glob::canonical))),
        Matcher::PathUnder(directories) => ("is under", "is not under", list(directories.iter().map(directory))),
        Matcher::Matches(patterns) => ("matches", "does not match", list(patterns.iter().map(|p| printable(p.as_str())))),
        Matcher::Url(test) => ("is a URL of", "is no URL of", printable(&test.canonical())),
        Matcher::Cidr(blocks) => ("is in", "is not in", list(blocks.iter().map(Block::canonical))),
        Matcher::Min(least) => ("is at least", "is less than", least.to_string()),
        Matcher::Max(most) => ("is at most", "is more than", most.to_string()),
        Matcher::MaxLength(most) => ("is not longer than", "is longer than", most.to_string()),
        Matcher::Type(shapes) => ("is of type", "is not of type", printable(&format!("{:?}", shapes.canonical()))),
        Matcher::Present => ("is present", "is absent", String::new()),
        Matcher::Absent => ("is absent", "is present", String::new()),
    };
    let what = what.trim();
    match truth {
        Tri::True => format!("{yes} {what}").trim_end().to_owned(),
        Tri::False => format!("{no} {what}").trim_end().to_owned(),
        Tri::Unknown => format!("cannot be told to be one that {yes} {what}").trim_end().to_owned(),
    }
}

fn directory(directory: &Directory) -> String {
    if directory.as_str().is_empty() { "/".to_owned() } else { directory.as_str().to_owned() }
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => plain(text),
        other => printable(&other.to_json()),
    }
}

fn value(tree: &Tree<'_>, at: usize) -> String {
    let Some(item) = tree.item(at) else { return String::new() };
    match item.kind {
        Kind::String => unquote(item.raw).map_or_else(|_| printable(item.raw), |text| plain(&text)),
        _ => printable(item.raw),
    }
}

/// A text, in quotes where it could be taken for something else.
fn plain(text: &str) -> String {
    let obvious = !text.is_empty()
        && text.chars().count() <= SHOWN_CHARS_MAX
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | ',' | '\\'))
        && serde_json::from_str::<serde_json::Value>(text).is_err();
    if obvious { text.to_owned() } else { format!("\"{}\"", printable(text)) }
}

fn list(items: impl IntoIterator<Item = impl Into<String>>) -> String {
    let items: Vec<String> = items.into_iter().map(Into::into).collect();
    let (shown, rest) = items.split_at(items.len().min(LIST_SHOWN_MAX));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    format!("{}{more}", shown.join(", "))
}

/// Items of a list that are spelled out.
const LIST_SHOWN_MAX: usize = 8;
