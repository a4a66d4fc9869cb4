//! Collects every problem of one file, and reads its values with the complaint that fits.

use super::bounds::{LIST_ENTRIES_MAX, PROBLEMS_MAX, SHOWN_CHARS_MAX};
use super::yaml::{Entry, Node, Place, Value};
use crate::vocab::Problem;

/// The problems of one file found so far.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Report<'a> {
    /// Nothing found yet in `file`, which holds `text`.
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: Vec::new(), warnings: Vec::new() }
    }

    /// A mistake at a place.
    pub(super) fn at(&mut self, place: Place, path: &str, value: &str, message: impl Into<String>, hint: impl Into<String>) {
        let problem = self.problem(place, path, value, message.into(), hint.into());
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// What looks like a mistake but is none for certain.
    pub(super) fn warn(&mut self, place: Place, path: &str, value: &str, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.problem(place, path, value, message.into(), hint.into());
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(warning);
        }
    }

    /// The warnings so far; they are handed out once.
    pub(super) fn take_warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }

    fn problem(&self, place: Place, path: &str, value: &str, message: String, hint: String) -> Problem {
        let Place { line, column } = place;
        Problem { file: self.file.to_owned(), line, column, path: path.to_owned(), value: printable(value), message, hint }
    }

    /// A mistake in a value, which is shown if it is a scalar.
    pub(super) fn wrong(&mut self, node: &Node, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let shown = self.scalar(node);
        self.at(node.place, path, &shown, message, hint);
    }

    /// Every problem, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        self.problems
    }

    /// The digits of a number as the file has them.
    pub(super) fn token(&self, node: &Node) -> &'a str {
        node.token(self.text)
    }

    /// The members of a map whose keys are all in `known`. Keys in `later` belong to the language but not to this build.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: &str, known: &[&str], later: &[&str]) -> Option<Fields<'n>> {
        let entries = self.map(node, path)?;
        for entry in entries {
            let here = key_path(path, &entry.key);
            if later.contains(&entry.key.as_str()) {
                self.at(entry.place, &here, "", format!("not built yet: {here}"), "leave it out");
            } else if !known.contains(&entry.key.as_str()) {
                let hint = nearest(&entry.key, known)
                    .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
                self.at(entry.place, &here, "", format!("unknown key `{}`", printable(&entry.key)), hint);
            }
        }
        Some(Fields { entries, place: node.place })
    }

    /// The members of a map with free keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Entry]> {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, path, format!("expected a map, found {}", node.kind()), "");
            return None;
        };
        if entries.len() > LIST_ENTRIES_MAX {
            self.at(node.place, path, "", format!("more than {LIST_ENTRIES_MAX} entries"), "split it");
            return None;
        }
        Some(entries)
    }

    /// The items of a list that may not be empty: an empty list hides whether "all" or "nothing" was meant.
    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        let Value::List(items) = &node.value else {
            self.wrong(node, path, format!("expected a list, found {}", node.kind()), "write it as [..]");
            return &[];
        };
        if items.is_empty() {
            self.at(node.place, path, "", "the list is empty", "leave the key out, or name at least one");
        }
        if items.len() > LIST_ENTRIES_MAX {
            self.at(node.place, path, "", format!("more than {LIST_ENTRIES_MAX} entries"), "split it");
            return &[];
        }
        items
    }

    /// A text.
    pub(super) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if let Value::Text(text) = &node.value {
            return Some(text);
        }
        self.wrong(node, path, format!("expected a text, found {}", node.kind()), "put it in quotes");
        None
    }

    /// A list of texts, each with its node and path.
    pub(super) fn texts<'n>(&mut self, node: &'n Node, path: &str) -> Vec<(&'n str, &'n Node, String)> {
        let items = self.list(node, path);
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let here = format!("{path}[{index}]");
            if let Some(text) = self.text(item, &here) {
                texts.push((text, item, here));
            }
        }
        texts
    }

    /// One of a closed set of words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.wrong(node, path, "no such word here", format!("one of: {}", names.join(", ")));
        None
    }

    /// A whole number from 1 that fits 32 bits.
    pub(super) fn count(&mut self, node: &Node, path: &str) -> Option<u32> {
        let count = matches!(node.value, Value::Number).then(|| self.token(node).parse().ok()).flatten();
        let count = count.filter(|n| *n > 0);
        if count.is_none() {
            self.wrong(node, path, "expected a whole number from 1", "");
        }
        count
    }

    fn scalar(&self, node: &Node) -> String {
        match &node.value {
            Value::Text(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number => self.token(node).to_owned(),
            Value::Null | Value::List(_) | Value::Map(_) => String::new(),
        }
    }
}

/// The members of one map.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    /// Where the map begins.
    pub(super) place: Place,
}

impl<'n> Fields<'n> {
    /// The value of `key`, if the map has it.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }
}

/// The path of `key` inside the map at `path`. Unusual keys are quoted, so that they cannot pass for a path.
pub(super) fn key_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[\"{}\"]", printable(key)),
    }
}

/// The known word a person most likely meant: about a third of it wrong at most.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word: Vec<char> = word.chars().take(SHOWN_CHARS_MAX).collect();
    let rated = known.iter().map(|candidate| (distance(&word, candidate), *candidate));
    rated.filter(|(off, candidate)| *off <= candidate.len() / 3 + 1).min().map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements between two words.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, cb) in b.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, ca) in row.iter_mut().skip(1).zip(a) {
            let replaced = diagonal + usize::from(*ca != cb);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// A text made fit for a terminal: bounded, without control characters.
pub(super) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut out: String = text.chars().take(SHOWN_CHARS_MAX).map(clean).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}
