//! The corpus of paths that try to leave `/srv/public`, against rules about arguments and about resources.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;
use crate::vocab::Reason;

#[derive(Deserialize)]
struct Escape {
    class: String,
    leads_to: String,
    path: Box<RawValue>,
}

#[derive(Deserialize)]
struct Honest {
    path: String,
    uri: Option<String>,
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn escapes() -> Vec<Escape> {
    lines(include_str!("../../../tests/data/traversal/escapes.jsonl"))
}

fn honest() -> Vec<Honest> {
    lines(include_str!("../../../tests/data/traversal/honest.jsonl"))
}

impl Escape {
    fn arguments(&self) -> String {
        format!("{{\"path\":{}}}", self.path)
    }

    fn text(&self) -> String {
        serde_json::from_str(self.path.get()).unwrap()
    }

    /// The same attack as the URI of a resource.
    fn uri(&self) -> String {
        let text = self.text();
        let is_uri =
            text.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphabetic()));
        if is_uri { format!("docs__{text}") } else { format!("docs__file://{text}") }
    }
}

const ALLOW: &str = "version: 1\ntools: [{ match: [x__read], class: read }]\nrules:\n\
    - { id: files, effect: allow, principals: [any], tools: [x__read], arguments: { /path: { path_under: [/srv/public] } } }\n\
    - { id: docs, effect: allow, principals: [any], resources: ['docs__file:///srv/public/*'] }\n";

fn read(set: &PolicySet, uri: &str) -> Reason {
    decide(set, &alice(&[]), &Asked { kind: Kind::Resource { uri }, known: true, now_unix_ms: 1, route: "/mcp" }).reason()
}

#[test]
fn the_corpus_is_whole() {
    let (escapes, honest) = (escapes(), honest());
    let distinct: BTreeSet<&str> = escapes.iter().map(|e| e.path.get()).collect();
    let classes: BTreeSet<&str> = escapes.iter().map(|e| &*e.class).collect();
    assert!(distinct.len() == escapes.len() && escapes.len() >= 220, "{}", escapes.len());
    assert!(classes.len() >= 20, "{classes:?}");
    assert!(honest.len() >= 40 && honest.iter().filter(|h| h.uri.is_some()).count() >= 30);
}

#[test]
fn no_escape_passes_a_rule_that_allows_one_directory() {
    let set = set(ALLOW);
    let passed: Vec<String> = escapes()
        .iter()
        .filter(|escape| call(&set, &alice(&[]), "x__read", &escape.arguments()).effect() == Effect::Allow)
        .map(|escape| format!("{}: {}", escape.class, escape.path))
        .collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn no_escape_gets_past_a_rule_that_forbids_where_it_leads() {
    let mut sets: BTreeMap<String, PolicySet> = BTreeMap::new();
    let mut passed = Vec::new();
    for escape in escapes() {
        let forbid = |directory: &str| {
            set(&format!(
                "version: 1\ntools: [{{ match: [x__read], class: read }}]\nrules:\n\
                 - {{ id: all, effect: allow, principals: [any], tools: [x__read] }}\n\
                 - {{ id: never, effect: deny, arguments: {{ /path: {{ path_under: {} }} }} }}\n",
                json!(directory)
            ))
        };
        let set = sets.entry(escape.leads_to.clone()).or_insert_with(|| forbid(&escape.leads_to));
        if call(set, &alice(&[]), "x__read", &escape.arguments()).effect() == Effect::Allow {
            passed.push(format!("{} to {}: {}", escape.class, escape.leads_to, escape.path));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn no_escape_passes_a_rule_about_resources() {
    let set = set(ALLOW);
    let passed: Vec<String> = escapes()
        .iter()
        .map(Escape::uri)
        .filter(|uri| read(&set, uri) == Reason::Allowed || visible(&set, &alice(&[]), &Kind::Resource { uri }, NOW))
        .collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn a_second_spelling_of_a_forbidden_resource_does_not_pass() {
    let set = set("version: 1\nrules:\n- { id: all, effect: allow, principals: [any], resources: ['docs__*'] }\n\
        - { id: never, effect: deny, resources: ['docs__file:///etc/*', 'docs__file:///etc', 'docs__file:///srv/private/*'] }\n");
    let mut tried = 0;
    for escape in escapes().iter().filter(|escape| ["percent-letters", "file-uris"].contains(&&*escape.class)) {
        let uri = escape.uri();
        if uri.to_ascii_lowercase().starts_with("docs__file:") {
            assert_ne!(read(&set, &uri), Reason::Allowed, "{uri}");
            tried += 1;
        }
    }
    assert!(tried >= 30, "{tried}");
    assert_eq!(read(&set, "docs__file:///srv/public/a"), Reason::Allowed);
}

#[test]
fn honest_paths_pass() {
    let set = set(ALLOW);
    for Honest { path, uri } in honest() {
        let arguments = json!({ "path": path }).to_string();
        assert_eq!(call(&set, &alice(&[]), "x__read", &arguments).reason(), Reason::Allowed, "{path}");
        if let Some(uri) = uri {
            assert_eq!(read(&set, &format!("docs__{uri}")), Reason::Allowed, "{uri}");
        }
    }
}
