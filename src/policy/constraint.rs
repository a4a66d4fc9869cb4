//! Arguments bounded by somebody who looks at one call and lets similar ones through: some values are put under matchers, all others stay
//! as they are in that call.

use std::collections::BTreeSet;

use super::arguments::Tree;
use super::bounds::{CONSTRAINT_BYTES_MAX, CONSTRAINT_POINTERS_MAX};
use super::matcher::{Criterion, Matcher, Quantifier};
use super::pointer::Selected;
use super::read_matchers::read_arguments;
use super::report::Report;
use super::tri::Tri;
use super::yaml;
use crate::mcp::json::{Kind, push_string, unquote};
use crate::mcp::{RawJson, canonical};

/// Pointers into arguments, each with what must hold for every value that it selects; as `arguments` of a rule that allows, with the
/// matchers `equals`, `one_of`, `glob` and `path_under`, and without `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraints {
    criteria: Box<[Criterion]>,
    text: Box<str>,
}

impl Constraints {
    /// Reads an object such as `{"/path": {"path_under": ["/srv/docs"]}}`, of at most 2 KiB and eight pointers.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence for who wrote it.
    pub fn read(raw: &RawJson) -> Result<Self, String> {
        let text = String::from_utf8(canonical::canonical(raw)).unwrap_or_default();
        if text.len() > CONSTRAINT_BYTES_MAX {
            return Err(format!("longer than {CONSTRAINT_BYTES_MAX} bytes"));
        }
        // JSON is YAML, so that a matcher is read here as in a policy file.
        let node = yaml::parse(&text).map_err(|broken| broken.message)?;
        let mut report = Report::new("", &text);
        let criteria = read_arguments(&mut report, &node, "");
        if let Some(problem) = report.into_problems().into_iter().next() {
            let hint = if problem.hint.is_empty() { String::new() } else { format!(" ({})", problem.hint) };
            return Err(format!("{}: {}{hint}", problem.path, problem.message));
        }
        if criteria.is_empty() || criteria.len() > CONSTRAINT_POINTERS_MAX {
            return Err(format!("from one pointer to {CONSTRAINT_POINTERS_MAX}"));
        }
        for Criterion { pointer, matchers } in &criteria {
            let named = pointer.canonical();
            if named.is_empty() || pointer.searches() {
                return Err(format!("`{named}`: a pointer leads to one value, or by `*` to those of one level"));
            }
            if !matchers.iter().all(|matcher| matches!(matcher, Matcher::OneOf(_) | Matcher::Glob(_) | Matcher::PathUnder(_))) {
                return Err(format!("{named}: only equals, one_of, glob and path_under"));
            }
        }
        Ok(Self { criteria, text: text.into() })
    }

    /// The object, in its one canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What these arguments are besides the values that are constrained, in one spelling; `None` where a constraint does not hold, or
    /// could be read in two ways. Two arguments with equal rests differ in constrained values only: no member, no element and no
    /// other value is there more or less.
    pub fn rest(&self, arguments: &RawJson) -> Option<Vec<u8>> {
        let tree = Tree::read(arguments.as_str()).filter(|tree| !tree.collides())?;
        let mut covered = BTreeSet::new();
        for criterion in &self.criteria {
            if criterion.holds(&tree, Quantifier::Every) != Tri::True {
                return None;
            }
            criterion.pointer.select(&tree, &mut |selected| {
                if let Selected::Value(at) = selected {
                    covered.insert(at);
                }
            });
        }
        let mut out = Vec::with_capacity(arguments.as_bytes().len());
        write(&tree, 0, &covered, &mut out)?;
        Some(out)
    }
}

/// As [`canonical::canonical`], with a sign that is no JSON for every value that is covered.
fn write(tree: &Tree<'_>, at: usize, covered: &BTreeSet<usize>, out: &mut Vec<u8>) -> Option<()> {
    if covered.contains(&at) {
        out.push(b'?');
        return Some(());
    }
    let item = tree.item(at)?;
    match item.kind {
        Kind::Object => {
            let mut members: Vec<(&str, usize)> = Vec::new();
            for (child, member) in tree.children(at) {
                members.push((member.key.as_deref()?, child));
            }
            members.sort_unstable();
            out.push(b'{');
            for (nth, (key, child)) in members.into_iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                push_string(out, key);
                out.push(b':');
                write(tree, child, covered, out)?;
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (nth, (child, _)) in tree.children(at).enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                write(tree, child, covered, out)?;
            }
            out.push(b']');
        }
        Kind::String => push_string(out, &unquote(item.raw).ok()?),
        Kind::Number | Kind::Bool | Kind::Null => out.extend_from_slice(item.raw.as_bytes()),
    }
    Some(())
}

#[cfg(test)]
mod tests;
