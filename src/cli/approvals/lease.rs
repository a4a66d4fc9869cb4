//! A yes to similar calls: its terms on the command line, and as the body of the API.

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::approval::{Typed, typed};
use crate::cli::exit::Failure;
use crate::vocab::limits::LEASE_USES_MAX;

/// The matchers of `--where`.
const MATCHERS: [&str; 4] = ["path_under", "one_of", "equals", "glob"];

#[derive(Debug, Args)]
pub(super) struct Lease {
    /// Say yes to similar calls too, for this long, such as 30m
    #[arg(long = "lease", value_name = "TIME", value_parser = minutes, requires = "uses")]
    minutes: Option<u64>,
    /// How many calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(LEASE_USES_MAX)), requires = "minutes")]
    uses: Option<u32>,
    /// An argument that may differ, and how: path_under, one_of, equals or glob. May be given more than once; all hold. Every other
    /// argument stays as it is
    #[arg(long = "where", value_name = "/POINTER=MATCHER:VALUE", value_parser = clause, requires = "minutes")]
    clauses: Vec<Typed>,
}

/// What is sent with a decision.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Terms>,
}

#[derive(Serialize)]
struct Terms {
    minutes: u64,
    uses: u32,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    within: Option<Box<RawValue>>,
}

/// The body of a decision; `lease` is for a yes.
pub(super) fn body(reason: &str, lease: Option<&Lease>) -> Result<String, Failure> {
    let lease = lease.and_then(|lease| Some((lease.minutes?, lease.uses?, &lease.clauses)));
    let terms = match lease {
        Some((minutes, uses, clauses)) => Some(Terms { minutes, uses, within: within(clauses)? }),
        None => None,
    };
    serde_json::to_string(&Body { reason, lease: terms }).map_err(Failure::fault)
}

/// The clauses as one object. What is said more than once of one pointer with one matcher is a list.
fn within(clauses: &[Typed]) -> Result<Option<Box<RawValue>>, Failure> {
    if clauses.is_empty() {
        return Ok(None);
    }
    let mut joined: Vec<Typed> = Vec::new();
    for clause in clauses {
        match joined.iter_mut().find(|one| (&one.pointer, &one.matcher) == (&clause.pointer, &clause.matcher)) {
            Some(known) if known.matcher == "equals" => {
                return Err(Failure::input(format_args!("{}: equals is one value; several are one_of", known.pointer)));
            }
            Some(known) => known.values.extend(clause.values.iter().cloned()),
            None => joined.push(clause.clone()),
        }
    }
    let raw = typed(&joined).ok_or_else(|| Failure::input("--where cannot be written as JSON"))?;
    RawValue::from_string(raw.as_str().to_owned()).map(Some).map_err(Failure::fault)
}

fn minutes(text: &str) -> Result<u64, &'static str> {
    let time = humantime::parse_duration(text).map_err(|_| "is not a time such as 30m or 2h")?;
    let whole = time.subsec_nanos() == 0 && time.as_secs() % 60 == 0 && time.as_secs() > 0;
    whole.then_some(time.as_secs() / 60).ok_or("is not a number of whole minutes")
}

fn clause(text: &str) -> Result<Typed, String> {
    let wrong = || format!("is not /POINTER=MATCHER:VALUE with one of {}", MATCHERS.join(", "));
    // A pointer may hold anything, also an equals sign: the first that a matcher follows ends it.
    let found = text.match_indices('=').find_map(|(at, _)| {
        let (pointer, rest) = (text.get(..at)?, text.get(at + 1..)?);
        let (matcher, value) = rest.split_once(':')?;
        MATCHERS.contains(&matcher).then_some((pointer, matcher, value))
    });
    let (pointer, matcher, value) = found.ok_or_else(wrong)?;
    if !pointer.starts_with('/') {
        return Err(wrong());
    }
    Ok(Typed { pointer: pointer.to_owned(), matcher: matcher.to_owned(), values: vec![value.to_owned()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(clauses: &[&str]) -> Option<String> {
        let clauses = clauses.iter().map(|text| clause(text).unwrap()).collect();
        let lease = Lease { minutes: Some(30), uses: Some(10), clauses };
        body("because", Some(&lease)).ok()
    }

    #[test]
    fn what_is_said_is_the_body() {
        let with = |within: &str| format!(r#"{{"reason":"because","lease":{{"minutes":30,"uses":10,"where":{within}}}}}"#);
        assert_eq!(said(&["/path=path_under:/srv/docs"]), Some(with(r#"{"/path":{"path_under":["/srv/docs"]}}"#)));
        assert_eq!(
            said(&["/a=glob:x:*", "/a=glob:=y", "/b=c=equals:1.0"]),
            Some(with(r#"{"/a":{"glob":["x:*","=y"]},"/b=c":{"equals":1.0}}"#))
        );
        assert_eq!(said(&["/a=equals:1", "/a=equals:2"]), None);
        assert_eq!(said(&[]), Some(r#"{"reason":"because","lease":{"minutes":30,"uses":10}}"#.to_owned()));
        assert_eq!(body("", None).unwrap(), "{}");
        for wrong in ["/a", "/a=x", "/a=under:x", "a=equals:1", "=equals:1", "/a=path_under"] {
            assert!(clause(wrong).is_err(), "{wrong}");
        }
        for (text, expect) in [("30m", Some(30)), ("2h", Some(120)), ("90s", None), ("0m", None), ("30", None)] {
            assert_eq!(minutes(text).ok(), expect, "{text}");
        }
    }
}
