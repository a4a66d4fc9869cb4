//! The house rules that a compiler does not check: layers, budgets, proofs, advisories.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up. A module may use those of lower lines, never its neighbours on the same line.
const LAYERS: &[&[&str]] = &[
    &["vocab"],
    &["mcp", "private_file", "scrub"],
    &["config", "policy", "net", "seal", "signer", "store", "telemetry", "web"],
    &["audit", "oauth", "vault"],
    &["approval", "identity", "limit", "inspect", "upstream", "bridge"],
    &["catalog", "notice", "signin"],
    &["authserver", "connect", "export"],
    &["pipeline"],
    &["server", "admin"],
    &["app"],
    &["demo"],
    &["cli"],
];

/// Modules without I/O: what they may not name.
const PURE: &[&str] = &["mcp", "policy", "scrub"];
const IMPURE: &[&str] = &["tokio", "hyper", "tracing", "std::fs", "std::net", "std::time::Instant", "std::time::SystemTime"];

/// Files over the usual length, with what they may have at most. This list only shrinks.
const LONG_FILES: &[(&str, usize)] = &[];
const FILE_LINES_MAX: usize = 350;
/// Tests, benches and fuzz targets are read from top to bottom and may be longer.
const TEST_LINES_MAX: usize = 480;
/// Directories that a build or an installation makes.
const INSTALLED: &[&str] = &["node_modules", ".venv", "target"];
const FUNCTION_LINES_MAX: usize = 70;

/// Proofs are made in one place.
const PROOFS: &[(&str, &str)] = &[
    ("Lease::assertion(", "src/limit/"),
    ("Grant::assertion(", "src/approval/"),
    ("Receipt::assertion(", "src/audit/"),
    ("ObserveOnly::assertion", "src/app/load.rs"),
    (".permit_observed(", "src/pipeline/authorize.rs"),
    (".permit_lists_observed(", "src/catalog/mod.rs"),
    // An answer that nobody inspected exists in one place only, which does not hand it on.
    ("Inspector::of(", "src/pipeline/watch.rs"),
    ("upstream.call(permit, &who, &outgoing, deadline", "src/pipeline/watch.rs"),
];

/// Names that say nothing.
const GRAB_BAGS: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "types", "misc"];

/// Versions below these have published advisories.
const FLOORS: &[(&str, &str)] = &[
    ("rustls", "0.23.45"),
    ("rustls-webpki", "0.103.13"),
    ("aws-lc-sys", "0.39.0"),
    ("h2", "0.4.16"),
    ("jsonwebtoken", "10.3.0"),
    ("rmcp", "3.9.0"),
];
const BANNED: &[&str] = &["openssl", "rsa", "serde_yaml", "serde_yml", "yaml-rust"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `src`, as path relative to the root, and text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    assert!(files.len() > 50, "the sources were not found");
    files
}

/// Every Rust file beside the product: tests, benches and fuzz targets. What is installed below them is not ours.
fn beside() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for dir in ["tests", "benches", "fuzz/fuzz_targets"] {
        walk(&root().join(dir), &mut files);
    }
    assert!(files.len() > 100, "the tests were not found");
    files
}

fn walk(dir: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !INSTALLED.iter().any(|dir| path.ends_with(dir)) {
                walk(&path, files);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn is_test(file: &str) -> bool {
    !file.starts_with("src/") || file.contains("/tests/") || file.ends_with("/tests.rs")
}

/// The text without its `mod tests` and without comments.
fn program(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module(file: &str) -> &str {
    file.trim_start_matches("src/").split(['/', '.']).next().unwrap()
}

#[test]
fn modules_use_lower_layers_only() {
    let layer_of: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(at, names)| names.iter().map(move |name| (*name, at))).collect();
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let from = module(&file);
        if ["lib", "main"].contains(&from) {
            continue;
        }
        let own = *layer_of.get(from).unwrap_or_else(|| panic!("{file}: module {from} has no layer"));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                match layer_of.get(name.as_str()) {
                    Some(layer) if *layer >= own && name != from => wrong.push(format!("{file}:{}: uses {name}", number + 1)),
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "layers:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io() {
    let mut wrong = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| PURE.contains(&module(file)) && !is_test(file)) {
        for word in IMPURE {
            if program(text).contains(&format!("{word}::")) || program(text).contains(&format!("use {word};")) {
                wrong.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "pure modules:\n{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_stay_short() {
    let mut wrong = Vec::new();
    let tests = beside();
    for (file, text) in sources().iter().chain(&tests) {
        let lines = text.lines().count();
        let usual = if is_test(file) { TEST_LINES_MAX } else { FILE_LINES_MAX };
        let allowed = LONG_FILES.iter().find(|(name, _)| *name == file).map_or(usual, |(_, lines)| *lines);
        if lines > allowed {
            wrong.push(format!("{file}: {lines} lines"));
        }
        for (name, lines) in functions(text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX && !is_test(file)) {
            wrong.push(format!("{file}: fn {name}: {lines} lines"));
        }
    }
    for (file, lines) in LONG_FILES {
        let now = fs::read_to_string(root().join(file)).map_or(0, |text| text.lines().count());
        if now <= FILE_LINES_MAX {
            wrong.push(format!("{file}: short enough now, take it off the list ({lines} allowed)"));
        }
    }
    assert!(wrong.is_empty(), "budgets:\n{}", wrong.join("\n"));
}

/// Functions and their lengths. rustfmt closes a function at the indentation where it opened.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let words = trimmed.split("fn ").next().unwrap_or_default();
        let opens = trimmed.contains("fn ")
            && words
                .split_whitespace()
                .all(|w| w.starts_with("pub") || ["async", "const", "unsafe", "in", "super)"].contains(&w));
        if !opens || line.ends_with('}') {
            continue;
        }
        let indent = &line[..line.len() - trimmed.len()];
        let end = lines[at..].iter().position(|l| *l == format!("{indent}}}"));
        let name = trimmed.split("fn ").nth(1).unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
        if let Some(end) = end {
            found.push((name.to_owned(), end + 1));
        }
    }
    found
}

#[test]
fn proofs_are_made_in_one_place() {
    for (call, place) in PROOFS {
        let makers: Vec<String> = sources()
            .iter()
            .filter(|(file, _)| !is_test(file))
            .flat_map(|(file, text)| vec![file.clone(); program(text).matches(call).count()])
            .collect();
        assert_eq!(makers.len(), 1, "{call} is called in {makers:?}");
        assert!(makers[0].starts_with(place), "{call} is called in {makers:?}");
    }
}

#[test]
fn lints_are_expected_never_allowed() {
    for (file, text) in sources() {
        assert!(!text.contains("#[allow(") && !text.contains("#![allow("), "{file} allows a lint");
        for name in GRAB_BAGS {
            assert!(!file.split(['/', '.']).any(|part| part == *name), "{file} is a grab bag");
        }
    }
}

#[test]
fn dependencies_are_above_their_advisories() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<(&str, &str)> =
        lock.split("[[package]]").filter_map(|part| Some((field(part, "name")?, field(part, "version")?))).collect();
    assert!(packages.len() > 100);
    for (name, floor) in FLOORS {
        for (_, version) in packages.iter().filter(|(n, _)| n == name) {
            assert!(numbers(version) >= numbers(floor), "{name} {version} is below {floor}");
        }
    }
    for name in BANNED {
        assert!(packages.iter().all(|(n, _)| n != name), "{name} is banned");
    }
    // OpenSSL is librdkafka's alone, and neither is in what is built by default.
    let users: Vec<_> = lock.split("[[package]]").filter(|part| part.contains("\n \"openssl-sys\",")).collect();
    assert!(users.iter().all(|part| field(part, "name") == Some("rdkafka-sys")), "{users:?}");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\ndefault = [\"demo\"]\n") && manifest.contains("\ndemo = [\"dep:rmcp\"]\n"));
    assert!(manifest.lines().any(|line| line.starts_with("rdkafka = ") && line.contains("optional = true")));
}

fn field<'a>(part: &'a str, key: &str) -> Option<&'a str> {
    part.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))?.strip_suffix('"'))
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|n| n.parse().ok()).collect()
}
