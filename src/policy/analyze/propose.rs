//! The class a tool most likely has, for an operator to look at. Nothing decides by this.

use crate::policy::Hints;
use crate::vocab::Class;

/// First words of names that only look.
const READ_VERBS: &[&str] = &[
    "get", "list", "read", "search", "find", "fetch", "show", "describe", "view", "query", "lookup", "count", "stat", "head",
    "tail", "peek", "browse", "check", "compare", "diff", "status", "info", "whoami", "ping",
];
/// Words anywhere in a name that cannot be taken back.
const DESTRUCTIVE_VERBS: &[&str] = &[
    "delete",
    "remove",
    "destroy",
    "drop",
    "purge",
    "erase",
    "wipe",
    "truncate",
    "reset",
    "revoke",
    "kill",
    "terminate",
    "uninstall",
    "overwrite",
    "exec",
    "execute",
    "run",
    "eval",
    "shell",
    "sudo",
    "rm",
    "format",
    "shutdown",
];
/// Words that make a name which begins like reading something else.
const WRITE_VERBS: &[&str] = &[
    "create", "write", "update", "set", "add", "insert", "edit", "move", "rename", "send", "post", "put", "patch", "push",
    "upload", "merge", "replace", "save", "copy", "append", "apply", "assign", "close", "open", "publish", "enable", "disable",
    "or",
];

/// The class to propose for a tool by its own name (without the upstream) and the upstream's hints. Read only where the hint says
/// so or the name begins with a plain verb of reading, and nothing speaks against it; what is unclear is a write.
pub fn propose(name: &str, hints: Hints) -> Class {
    let words = words(name);
    let has = |verbs: &[&str]| words.iter().any(|word| verbs.contains(&word.as_str()));
    if hints.destructive == Some(true) || has(DESTRUCTIVE_VERBS) {
        return Class::Destructive;
    }
    let begins = words.first().is_some_and(|word| READ_VERBS.contains(&word.as_str()));
    let reads = hints.read_only == Some(true) || (begins && hints.read_only.is_none());
    if reads && !has(WRITE_VERBS) { Class::Read } else { Class::Write }
}

/// `readFile`, `read_file`, `read-file` and `read.file` are two words each.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && !before.is_uppercase();
        if (begins || !c.is_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_needs_a_reason() {
        let hints = |read_only, destructive| Hints { read_only, destructive };
        let none = hints(None, None);
        for (name, hints, expected) in [
            ("read_file", none, Class::Read),
            ("listIssues", none, Class::Read),
            ("get-me", none, Class::Read),
            ("search.code", none, Class::Read),
            ("directory_tree", none, Class::Write),
            ("directory_tree", hints(Some(true), None), Class::Read),
            ("readiness", none, Class::Write),
            ("write_file", none, Class::Write),
            ("write_file", hints(None, Some(false)), Class::Write),
            ("delete_file", none, Class::Destructive),
            ("bulkDelete", hints(Some(true), Some(false)), Class::Destructive),
            ("get_or_create", none, Class::Write),
            ("get_thing", hints(Some(false), None), Class::Write),
            ("get_thing", hints(None, Some(true)), Class::Destructive),
            ("get_thing", hints(Some(true), Some(true)), Class::Destructive),
            ("run_query", none, Class::Destructive),
            ("create_issue", hints(Some(true), None), Class::Write),
            ("", none, Class::Write),
        ] {
            assert_eq!(propose(name, hints), expected, "{name} {hints:?}");
        }
    }
}
