//! Who and what cases speak of, for the tools that ask about everybody and everything.

use std::collections::BTreeSet;

use super::super::PolicySet;
use super::super::report::Report;
use super::super::yaml::parse;
use super::read::{Ask, Operation, read_cases, read_who};
use crate::mcp::json::push_string;
use crate::vocab::{Principal, Problem};

/// Who and what a file of cases speaks of.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// Everybody a case asks as.
    pub people: Vec<Principal>,
    /// Full names of tools.
    pub tools: BTreeSet<String>,
    /// Resources as `upstream__URI`.
    pub resources: BTreeSet<String>,
    /// Full names of prompts.
    pub prompts: BTreeSet<String>,
}

/// Reads the cases of `text`, which stands in `file`, for who and what they speak of.
///
/// # Errors
/// Every mistake in the file.
pub fn gather(set: &PolicySet, file: &str, text: &str) -> Result<Cast, Vec<Problem>> {
    let mut cast = Cast::default();
    for case in read_cases(file, text, set)? {
        cast.people.push(case.who);
        if let Ask::Operation { operation, .. } = case.ask {
            match operation {
                Operation::Call { name, .. } => cast.tools.insert(name),
                Operation::Read { uri } => cast.resources.insert(uri),
                Operation::Get { name, .. } => cast.prompts.insert(name),
            };
        }
    }
    Ok(cast)
}

/// Reads a principal as a case has it under `as`: `anonymous`, JSON, or `sub=alice,groups=eng,groups=sre` in short. `from` says
/// where the text came from.
///
/// # Errors
/// Every mistake in it.
pub fn principal(set: &PolicySet, from: &str, text: &str) -> Result<Principal, Vec<Problem>> {
    let text = if text.trim_start().starts_with('{') || !text.contains('=') { text.to_owned() } else { long_form(text) };
    let mut report = Report::new(from, &text);
    let mut who = None;
    match parse(&text) {
        Ok(node) => who = read_who(&mut report, &node, "", set),
        Err(broken) => report.at(broken.place, "", "", broken.message, "sub=alice,groups=eng, or JSON, or anonymous"),
    }
    let mut problems = report.into_problems();
    // Places in a made-up text would mislead.
    problems.iter_mut().for_each(|problem| (problem.line, problem.column) = (0, 0));
    who.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The short form as JSON. What may be given once only and is given twice becomes a list, which is then complained about.
fn long_form(text: &str) -> String {
    let mut keys: Vec<(&str, Vec<&str>)> = Vec::new();
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match keys.iter_mut().find(|(known, _)| *known == key.trim()) {
            Some((_, values)) => values.push(value),
            None => keys.push((key.trim(), vec![value])),
        }
    }
    let mut out = vec![b'{'];
    for (n, (key, values)) in keys.iter().enumerate() {
        out.extend_from_slice(if n > 0 { b"," } else { b"" });
        push_string(&mut out, key);
        out.push(b':');
        let many = values.len() > 1 || matches!(*key, "groups" | "scopes");
        out.extend_from_slice(if many { b"[" } else { b"" });
        for (n, value) in values.iter().enumerate() {
            out.extend_from_slice(if n > 0 { b"," } else { b"" });
            push_string(&mut out, value);
        }
        out.extend_from_slice(if many { b"]" } else { b"" });
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}
