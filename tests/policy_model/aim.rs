//! Requests aimed at a rule, for chance alone hardly ever meets one.

use crate::facts::{NUMBERS, PROMPTS, RESOURCES, TEXTS, TOOLS, URLS, WILD_NUMBERS};
use crate::generate::{ask, value};
use crate::json::{Json, text};
use crate::language::{Ask, Family, Matcher, Policy, Rule};
use crate::random::Random;

const TRIES: usize = 24;

/// A request, in most cases one that some rule of `policy` is about.
pub(crate) fn at(policy: &Policy, r: &mut Random) -> Ask {
    let mut made = ask(r);
    if policy.rules.is_empty() || r.one_in(8) {
        return made;
    }
    let rule = &policy.rules[r.below(policy.rules.len())];
    for _ in 0..TRIES {
        if policy.is_about(rule, &made) {
            break;
        }
        let other = ask(r);
        let (family, name) = target(rule, r);
        made = Ask { family, name, ..other };
    }
    if made.family == Family::Resource {
        made.args = None;
    } else if !r.one_in(6) {
        made.args = Some(arguments(policy, &made, r));
    }
    made
}

fn target(rule: &Rule, r: &mut Random) -> (Family, &'static str) {
    let lists = [
        (Family::Tool, &rule.tools, TOOLS),
        (Family::Resource, &rule.resources, RESOURCES),
        (Family::Prompt, &rule.prompts, PROMPTS),
    ];
    let named: Vec<_> = lists.into_iter().filter(|(_, globs, _)| !globs.is_empty() || rule.names_everything()).collect();
    let (family, _, names) = if named.is_empty() { lists[0] } else { r.pick(&named) };
    (family, r.pick(names))
}

/// Arguments that meet the criteria of the rules about the operation, more or less.
fn arguments(policy: &Policy, ask: &Ask, r: &mut Random) -> Json {
    let mut args = match &ask.args {
        Some(args) if r.one_in(2) => args.clone(),
        _ => Json::Map(Vec::new()),
    };
    let about: Vec<&Rule> = policy.rules.iter().filter(|rule| policy.is_about(rule, ask)).collect();
    for (pointer, matchers) in about.iter().flat_map(|rule| &rule.arguments) {
        if r.one_in(5) {
            continue;
        }
        let Some(suggested) = suggest(&matchers[r.below(matchers.len())], r) else { continue };
        let steps: Vec<&str> = pointer.split('/').skip(1).collect();
        put(&mut args, &steps, suggested, r);
    }
    if matches!(args, Json::Map(_)) { args } else { Json::Map(Vec::new()) }
}

/// A value that may well satisfy a matcher, or just miss it.
fn suggest(matcher: &Matcher, r: &mut Random) -> Option<Json> {
    if r.one_in(8) {
        return Some(value(r, 1));
    }
    let of = |r: &mut Random, keep: fn(&str) -> bool| {
        let texts: Vec<&str> = TEXTS.iter().copied().filter(|text| keep(text)).collect();
        text(r.pick(&texts))
    };
    Some(match matcher {
        Matcher::Absent => return None,
        Matcher::Equals(Json::Number(_)) | Matcher::OneOf(_) | Matcher::Min(_) | Matcher::Max(_) if r.one_in(4) => {
            Json::Number(r.pick(WILD_NUMBERS))
        }
        Matcher::Equals(Json::Number(_)) | Matcher::Min(_) | Matcher::Max(_) => Json::Number(r.pick(NUMBERS)),
        Matcher::Equals(wanted) => wanted.clone(),
        Matcher::OneOf(wanted) => r.pick(wanted),
        Matcher::Under(_) => of(r, |text| text.contains('/')),
        Matcher::Cidr(_) => of(r, |text| text.contains(['.', ':']) && !text.contains('/')),
        Matcher::Url(_) => text(URLS[r.below(URLS.len())].0),
        Matcher::Glob(_) | Matcher::Matches(_) => of(r, |text| text.len() < 30),
        Matcher::MaxLength(_) if r.one_in(2) => Json::List((0..r.below(6)).map(|_| value(r, 0)).collect()),
        Matcher::MaxLength(_) => of(r, |text| text.len() < 8),
        Matcher::Type(_) | Matcher::Present => value(r, 2),
    })
}

/// Puts a value where a pointer will find it.
fn put(at: &mut Json, steps: &[&str], value: Json, r: &mut Random) {
    let Some((step, rest)) = steps.split_first() else {
        *at = value;
        return;
    };
    let name = match *step {
        "**" if r.one_in(2) => return put(at, rest, value, r),
        "*" | "**" => r.pick(&["a", "k", "x"]).to_owned(),
        name => name.replace("~1", "/").replace("~0", "~"),
    };
    if let (Json::List(items), Ok(index)) = (&mut *at, name.parse::<usize>()) {
        while items.len() <= index {
            items.push(Json::Null);
        }
        return put(&mut items[index], rest, value, r);
    }
    if !matches!(at, Json::Map(_)) {
        *at = if name.parse::<usize>().is_ok() && r.below(4) > 0 { Json::List(Vec::new()) } else { Json::Map(Vec::new()) };
        return put(at, steps, value, r);
    }
    let Json::Map(members) = at else { return };
    let found = members.iter().position(|(key, _)| *key == name).unwrap_or_else(|| {
        members.push((name, Json::Null));
        members.len() - 1
    });
    put(&mut members[found].1, rest, value, r);
}
