//! `policies`: which files are policy. A rule in a file that is passed over would be a rule not applied, so nothing is
//! passed over silently.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Cx;
use super::files;
use crate::config::limits::{POLICY_DEPTH_MAX, POLICY_ENTRIES_MAX};
use crate::config::report::{item_path, resolve};

pub(super) fn check(raw: Option<Vec<String>>, cx: &mut Cx<'_>) -> Vec<PathBuf> {
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        cx.report.missing("policies", "name a policy file or a directory of them; without a rule nothing is allowed");
    }
    let mut found: HashMap<PathBuf, PathBuf> = HashMap::new();
    for (i, text) in raw.iter().enumerate() {
        let path = item_path("policies", i);
        for file in entry(&path, text, cx) {
            let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
            if found.insert(identity, file.clone()).is_some() {
                cx.report.problem(&path, format!("names {} a second time", file.display()), "load each file once");
            }
        }
    }
    let mut policies: Vec<PathBuf> = found.into_values().collect();
    policies.sort();
    policies
}

fn entry(path: &str, text: &str, cx: &mut Cx<'_>) -> Vec<PathBuf> {
    let full = resolve(&cx.dir, text);
    if !text.is_empty() && full.is_dir() {
        return directory(path, &full, cx).unwrap_or_default();
    }
    let Some(file) = files::readable(path, text, cx) else { return Vec::new() };
    match kind(&file) {
        Kind::Policy => vec![file],
        Kind::Cases => cx.refuse(path, "holds cases, not policy", "run cases with `portcullis test`").unwrap_or_default(),
        Kind::LooksLikeYaml | Kind::Other => {
            cx.refuse(path, "is not named .yaml or .yml", "rename it, or name another").unwrap_or_default()
        }
    }
}

fn directory(path: &str, dir: &Path, cx: &mut Cx<'_>) -> Option<Vec<PathBuf>> {
    let mut walk = Walk::default();
    if let Err(why) = walk.enter(dir, 0) {
        return cx.refuse(path, why, format!("looked into {}", dir.display()));
    }
    for stray in &walk.stray {
        let message = format!("holds {}, which would not be loaded", stray.display());
        cx.report.problem(path, message, "put policy directly into the directory, named .yaml or .yml, or name it here too");
    }
    if walk.policies.is_empty() && walk.stray.is_empty() {
        return cx.refuse(path, "holds no policy file", format!("looked for *.yaml and *.yml in {}", dir.display()));
    }
    for file in &walk.policies {
        // Opened now, so that an unreadable one is reported with the rest.
        files::readable(path, file.to_str().unwrap_or_default(), cx);
    }
    cx.watched.extend(walk.directories);
    Some(walk.policies)
}

/// What lies in a directory of policies.
#[derive(Debug)]
pub struct PolicyFiles {
    /// The policy files directly in it.
    pub policies: Vec<PathBuf>,
    /// The files of cases in and below it.
    pub cases: Vec<PathBuf>,
}

/// Looks through a directory as `policies` of a config does.
///
/// # Errors
/// Why it cannot be used.
pub fn policy_files(dir: &Path) -> Result<PolicyFiles, String> {
    let mut walk = Walk::default();
    walk.enter(dir, 0)?;
    if let Some(stray) = walk.stray.first() {
        return Err(format!("holds {}, which would not be loaded", stray.display()));
    }
    walk.policies.sort();
    walk.cases.sort();
    Ok(PolicyFiles { policies: walk.policies, cases: walk.cases })
}

/// Whether a file is one of cases, by its name.
pub fn is_cases(path: &Path) -> bool {
    matches!(kind(path), Kind::Cases)
}

#[derive(Default)]
struct Walk {
    policies: Vec<PathBuf>,
    cases: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    stray: Vec<PathBuf>,
    seen: usize,
}

impl Walk {
    fn enter(&mut self, dir: &Path, depth: usize) -> Result<(), String> {
        if depth > POLICY_DEPTH_MAX {
            return Err(format!("has directories more than {POLICY_DEPTH_MAX} deep, or a loop of links"));
        }
        self.directories.push(dir.to_owned());
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.seen += 1;
            if self.seen > POLICY_ENTRIES_MAX {
                return Err(format!("holds more than {POLICY_ENTRIES_MAX} files"));
            }
            // Dot files belong to editors, version control, and to the mounts of Kubernetes, which link to them.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.enter(&path, depth + 1)?;
                continue;
            }
            match (kind(&path), depth) {
                (Kind::Policy, 0) if path.to_str().is_some() => self.policies.push(path),
                (Kind::Policy | Kind::LooksLikeYaml, _) => self.stray.push(path),
                (Kind::Cases, _) => self.cases.push(path),
                (Kind::Other, _) => {}
            }
        }
        Ok(())
    }
}

enum Kind {
    Policy,
    Cases,
    /// `.YAML` and the like, which the pattern does not take.
    LooksLikeYaml,
    Other,
}

fn kind(path: &Path) -> Kind {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((stem, extension)) = name.rsplit_once('.') else { return Kind::Other };
    match extension {
        "yaml" | "yml" if stem.ends_with(".cases") || stem.contains(".cases.") => Kind::Cases,
        "yaml" | "yml" => Kind::Policy,
        _ if extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml") => Kind::LooksLikeYaml,
        _ => Kind::Other,
    }
}
