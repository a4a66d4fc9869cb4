//! Collects every problem of a file and knows where each dotted path stands in it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::limits::{PROBLEMS_MAX, SHOWN_CHARS_MAX};
use super::yaml::{Kind, Node, Place};
use crate::scrub;
use crate::vocab::Problem;

/// Keys below which every value may be a secret and none is ever shown.
const SECRET_KEYS: [&str; 16] = [
    "args",
    "bearer",
    "client_secret",
    "subject_token",
    "credential",
    "env",
    "hash",
    "introspection",
    "keys",
    "otlp",
    "password",
    "secret",
    "state",
    "token",
    "value",
    "webhook",
];

/// The problems found so far, and the places of every key and value.
pub(super) struct Report {
    file: String,
    places: HashMap<String, (Place, String)>,
    broken: HashSet<String>,
    problems: Vec<Problem>,
}

impl Report {
    /// A report on `file`, with no place known yet.
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.display().to_string(), places: HashMap::new(), broken: HashSet::new(), problems: Vec::new() }
    }

    /// Learns where everything stands.
    pub(super) fn index(&mut self, root: &Node) {
        self.index_node(String::new(), root, None, false);
    }

    /// A mistake at `path`. Says nothing if the value there could not even be read, which has been said.
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        if self.is_broken(path) {
            return;
        }
        let (place, value) = self.entry(path);
        self.push(place, path, value, message.into(), hint.into());
    }

    /// A mistake whose value must not be shown.
    pub(super) fn problem_unshown(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        if self.is_broken(path) {
            return;
        }
        let (place, _) = self.entry(path);
        self.push(place, path, String::new(), message.into(), hint.into());
    }

    /// The value at `path` has the wrong shape; nothing more will be said about it.
    pub(super) fn broken(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problem(path, message, hint);
        self.broken.insert(path.to_owned());
    }

    /// A mistake at a known place that no path leads to.
    pub(super) fn at(&mut self, place: Place, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.push(place, path, String::new(), message.into(), hint.into());
    }

    /// A key of the contract that this build does not have. `detail` narrows it to one value of the key.
    pub(super) fn not_built(&mut self, path: &str, detail: &str, hint: &str) {
        let space = if detail.is_empty() { "" } else { " " };
        self.problem_unshown(path, format!("not built yet: {path}{space}{detail}"), hint);
    }

    /// A required key is absent.
    pub(super) fn missing(&mut self, path: &str, hint: impl Into<String>) {
        self.problem_unshown(path, "is required and not given", hint);
    }

    /// Takes over the problems of another file.
    pub(super) fn absorb(&mut self, problems: Vec<Problem>) {
        let room = PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(problems.into_iter().take(room));
    }

    /// Whether anything was wrong so far.
    pub(super) fn any(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether the value at `path` is one that [`Report::broken`] spoke about.
    pub(super) fn is_broken(&self, path: &str) -> bool {
        self.broken.contains(path) || ancestors(path).any(|above| self.broken.contains(above))
    }

    /// Whether anything was wrong at or below `path`.
    pub(super) fn any_below(&self, path: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        self.problems.iter().any(|problem| problem.path.strip_prefix(path).is_some_and(is_below))
    }

    /// Every problem, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        for problem in &mut self.problems {
            // A secret may stand where none belongs, or have come there by a reference.
            for text in [&mut problem.path, &mut problem.value, &mut problem.message, &mut problem.hint] {
                if let Cow::Owned(clean) = scrub::unknown_name(text) {
                    *text = clean;
                }
            }
        }
        self.problems
    }

    fn push(&mut self, place: Place, path: &str, value: String, message: String, hint: String) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let Place { line, column } = place;
        let (file, path) = (self.file.clone(), path.to_owned());
        self.problems.push(Problem { file, line, column, path, value, message, hint });
    }

    /// Where `path` stands, or the nearest thing above it that the file does have.
    fn entry(&self, path: &str) -> (Place, String) {
        if let Some((place, shown)) = self.places.get(path) {
            return (*place, shown.clone());
        }
        let place = ancestors(path).find_map(|above| self.places.get(above)).map(|(place, _)| *place);
        (place.unwrap_or_default(), String::new())
    }

    fn index_node(&mut self, path: String, node: &Node, key: Option<Place>, secret: bool) {
        let scalar = !matches!(node.kind, Kind::Null | Kind::Seq(_) | Kind::Map(_));
        // A block collection begins below its key, and nothing has no place: the key says more.
        let place = if scalar { node.place } else { key.unwrap_or(node.place) };
        match &node.kind {
            Kind::Seq(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.index_node(item_path(&path, i), item, None, secret);
                }
            }
            Kind::Map(entries) => {
                for (key, key_place, value) in entries {
                    let secret = secret || SECRET_KEYS.contains(&key.as_str());
                    self.index_node(key_path(&path, key), value, Some(*key_place), secret);
                }
            }
            _ => {}
        }
        let shown = if secret { String::new() } else { shown(&node.kind) };
        self.places.insert(path, (place, shown));
    }
}

/// The path of `key` inside the map at `path`. Unusual keys are quoted, so that they cannot pass for a path.
pub(super) fn key_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key: String = key.chars().take(SHOWN_CHARS_MAX).collect();
    match (plain, path.is_empty()) {
        (true, true) => key,
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

/// The path of item `index` of the list at `path`.
pub(super) fn item_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Whether what is at or below `path` may be a secret.
pub(super) fn is_secret(path: &str) -> bool {
    path.split(['.', '[']).any(|key| SECRET_KEYS.contains(&key))
}

/// A path inside the config, resolved against `base`.
pub(super) fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

/// A text made fit for a terminal: bounded, without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut out: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

/// The paths above `path`, nearest first, the root last.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path).filter(|p| !p.is_empty());
    std::iter::from_fn(move || {
        let cut = rest?.rfind(['.', '[']).unwrap_or(0);
        let above = rest?.get(..cut)?;
        rest = Some(above).filter(|p| !p.is_empty());
        Some(above)
    })
}

fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Bool(value) => value.to_string(),
        Kind::Number(value) => value.to_string(),
        // Credentials hide in the user and query parts of URLs.
        Kind::Text(text) if text.contains("://") && text.contains(['@', '?']) => String::new(),
        Kind::Text(text) => printable(&scrub::unknown_name(text)),
        _ => String::new(),
    }
}
