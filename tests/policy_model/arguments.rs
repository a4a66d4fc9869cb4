//! Section 9: pointers, and the truth of criteria.

use crate::json::Json;
use crate::language::Matcher;
use crate::number::{self, exact};
use crate::text;
use crate::truth::Truth::{self, False, True, Unknown};
use crate::truth::{all, any, seen};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Something a pointer selected.
enum Selected<'a> {
    Value(&'a Json),
    Key(&'a str),
    /// Nothing of the name, but a key that is the same after folding.
    Disguise,
}

/// The truth of `arguments` of a rule.
pub(crate) fn truth(criteria: &[(&'static str, Vec<Matcher>)], args: Option<&Json>, allow: bool) -> Truth {
    if criteria.is_empty() {
        return True;
    }
    if args.is_some_and(collides) {
        seen("arguments", "colliding keys");
        return Unknown;
    }
    let truths: Vec<Truth> = criteria.iter().map(|(pointer, matchers)| criterion(pointer, matchers, args, allow)).collect();
    all(&truths)
}

/// Whether two keys of one object are the same after folding, or one has a NUL.
pub(crate) fn collides(value: &Json) -> bool {
    match value {
        Json::Map(members) => {
            let folded: BTreeSet<String> = members.iter().map(|(key, _)| fold_key(key)).collect();
            let odd = |(key, value): &(String, Json)| key.contains('\0') || collides(value);
            folded.len() < members.len() || members.iter().any(odd)
        }
        Json::List(items) => items.iter().any(collides),
        _ => false,
    }
}

pub(crate) fn fold(key: &str) -> String {
    let key = key.replace('İ', "i").replace('ẞ', "ß");
    let plain = |c: char| if ('\u{ff01}'..='\u{ff5e}').contains(&c) { char::from_u32(c as u32 - 0xfee0).unwrap() } else { c };
    key.chars().map(plain).collect::<String>().to_uppercase().chars().flat_map(char::to_lowercase).collect()
}

/// What lenient readers make of a key.
pub(crate) fn fold_key(key: &str) -> String {
    let hidden = |c: &char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    fold(key.chars().filter(|c| !hidden(c)).collect::<String>().trim())
}

/// Whether an object has no member `name`, but one that is the same after folding.
pub(crate) fn is_disguised(members: &[(String, Json)], name: &str) -> bool {
    let same = |key: &str| fold_key(key) == fold_key(name);
    members.iter().all(|(key, _)| key != name) && members.iter().any(|(key, _)| same(key))
}

fn criterion(pointer: &str, matchers: &[Matcher], args: Option<&Json>, allow: bool) -> Truth {
    let mut selected = Vec::new();
    if let Some(args) = args {
        let steps: Vec<&str> = pointer.split('/').skip(1).collect();
        select(&steps, args, &mut selected);
    }
    let effect = if allow { "allow" } else { "deny" };
    if let [Matcher::Absent] = matchers {
        let truth = match selected.as_slice() {
            [] => True,
            all if all.iter().all(|selected| matches!(selected, Selected::Disguise)) => Unknown,
            _ => False,
        };
        seen("matcher", &format!("absent {effect} {truth:?}"));
        return truth;
    }
    if selected.is_empty() {
        matchers.iter().for_each(|matcher| seen("matcher", &format!("{} {effect} nothing", matcher.key())));
        return False;
    }
    let deep = pointer.split('/').any(|segment| segment == "**");
    let satisfied = |selected: &Selected<'_>| {
        let one = |matcher: &Matcher| {
            let truth = matches(matcher, selected, deep, allow);
            seen("matcher", &format!("{} {effect} {truth:?}", matcher.key()));
            truth
        };
        all(&matchers.iter().map(one).collect::<Vec<_>>())
    };
    let truths: Vec<Truth> = selected.iter().map(satisfied).collect();
    if allow { all(&truths) } else { any(&truths) }
}

fn select<'a>(steps: &[&str], value: &'a Json, out: &mut Vec<Selected<'a>>) {
    let children: Vec<(Option<&str>, &Json)> = match value {
        Json::Map(members) => members.iter().map(|(key, value)| (Some(key.as_str()), value)).collect(),
        Json::List(items) => items.iter().map(|value| (None, value)).collect(),
        _ => Vec::new(),
    };
    match steps {
        [] => out.push(Selected::Value(value)),
        ["**"] => {
            if !matches!(value, Json::Map(_) | Json::List(_)) {
                out.push(Selected::Value(value));
            }
            for (key, child) in children {
                out.extend(key.map(Selected::Key));
                select(steps, child, out);
            }
        }
        ["**", rest @ ..] => {
            select(rest, value, out);
            children.iter().for_each(|(_, child)| select(steps, child, out));
        }
        ["*", rest @ ..] => children.iter().for_each(|(_, child)| select(rest, child, out)),
        [name, rest @ ..] => {
            let name = name.replace("~1", "/").replace("~0", "~");
            let is_index = name == "0" || (!name.starts_with('0') && name.parse::<usize>().is_ok());
            let found = match value {
                Json::Map(members) if is_disguised(members, &name) => {
                    seen("arguments", "a disguise");
                    return out.push(Selected::Disguise);
                }
                Json::Map(members) => members.iter().find(|(key, _)| *key == name).map(|(_, value)| value),
                Json::List(items) if is_index => items.get(name.parse::<usize>().unwrap()),
                _ => None,
            };
            found.into_iter().for_each(|value| select(rest, value, out));
        }
    }
}

/// A value as the matchers of text read it.
fn readable(selected: &Selected<'_>, deep: bool) -> Option<String> {
    match selected {
        Selected::Disguise => None,
        Selected::Key(key) => Some((*key).to_owned()),
        Selected::Value(Json::Text(text)) => Some(text.clone()),
        Selected::Value(Json::Number(token)) if deep => number::read(token).map(|number| number.spelling()),
        Selected::Value(Json::Bool(value)) if deep => Some(value.to_string()),
        Selected::Value(Json::Null) if deep => Some("null".to_owned()),
        Selected::Value(_) => None,
    }
}

fn matches(matcher: &Matcher, selected: &Selected<'_>, deep: bool, allow: bool) -> Truth {
    let doubt = if allow { False } else { Unknown };
    let of_text = |truth: &dyn Fn(&str) -> Truth| readable(selected, deep).map_or(Unknown, |text| truth(&text));
    match matcher {
        _ if matches!(selected, Selected::Disguise) => Unknown,
        Matcher::Equals(wanted) => equals(wanted, selected),
        Matcher::OneOf(wanted) => any(&wanted.iter().map(|wanted| equals(wanted, selected)).collect::<Vec<_>>()),
        Matcher::Glob(globs) => of_text(&|text| globs.iter().any(|glob| text::glob(glob, text)).into()),
        Matcher::Matches(regexes) => of_text(&|text| regexes.iter().any(|regex| text::found(regex, text)).into()),
        Matcher::Under(directories) => of_text(&|text| text::is_under(directories, text).map_or(doubt, Truth::from)),
        Matcher::Url(want) => of_text(&|text| match text::url(text).map_or(Unknown, |url| text::url_is(want, url)) {
            Unknown => doubt,
            truth => truth,
        }),
        Matcher::Cidr(networks) => of_text(&|text| match text::is_in(networks, text) {
            Unknown => doubt,
            truth => truth,
        }),
        Matcher::Min(bound) => compare(selected, bound, Ordering::is_ge),
        Matcher::Max(bound) => compare(selected, bound, Ordering::is_le),
        Matcher::MaxLength(most) => match selected {
            Selected::Value(Json::List(items)) => Truth::from(items.len() <= *most),
            _ => of_text(&|text| Truth::from(text.chars().count() <= *most)),
        },
        Matcher::Type(types) => types.iter().any(|wanted| is_type(wanted, selected)).into(),
        Matcher::Present => True,
        Matcher::Absent => False,
    }
}

fn compare(selected: &Selected<'_>, bound: &str, holds: fn(Ordering) -> bool) -> Truth {
    let Selected::Value(Json::Number(token)) = selected else { return Unknown };
    let Some(number) = number::read(token) else { return Unknown };
    holds(number.compare(&number::read(bound).unwrap())).into()
}

fn is_type(wanted: &str, selected: &Selected<'_>) -> bool {
    let value = match selected {
        Selected::Key(_) => return wanted == "string",
        Selected::Disguise => return false,
        Selected::Value(value) => value,
    };
    match value {
        Json::Null => wanted == "null",
        Json::Bool(_) => wanted == "boolean",
        Json::Number(token) => wanted == "number" || (wanted == "integer" && exact(token).is_whole()),
        Json::Text(_) => wanted == "string",
        Json::List(_) => wanted == "array",
        Json::Map(_) => wanted == "object",
    }
}

fn equals(wanted: &Json, selected: &Selected<'_>) -> Truth {
    match (wanted, selected) {
        (Json::Text(wanted), Selected::Key(key)) => (wanted == key).into(),
        (_, Selected::Key(_)) => False,
        (_, Selected::Disguise) => Unknown,
        (wanted, Selected::Value(value)) => same(wanted, value),
    }
}

pub(crate) fn same(wanted: &Json, value: &Json) -> Truth {
    match (wanted, value) {
        (Json::Number(wanted), Json::Number(value)) => match (number::read(wanted), number::read(value)) {
            (Some(wanted), Some(value)) => (wanted == value).into(),
            _ => Unknown,
        },
        (Json::List(wanted), Json::List(value)) if wanted.len() == value.len() => {
            all(&wanted.iter().zip(value).map(|(wanted, value)| same(wanted, value)).collect::<Vec<_>>())
        }
        (Json::Map(wanted), Json::Map(value)) if wanted.len() == value.len() => {
            let member = |(key, value): &(String, Json)| match wanted.iter().find(|(other, _)| other == key) {
                Some((_, wanted)) => same(wanted, value),
                None if wanted.iter().any(|(other, _)| fold_key(other) == fold_key(key)) => Unknown,
                None => False,
            };
            all(&value.iter().map(member).collect::<Vec<_>>())
        }
        (Json::List(_) | Json::Map(_), _) => False,
        (wanted, value) => (wanted == value).into(),
    }
}
