//! Dashboards and alert rules speak of metrics and labels that the gateway really emits, and of nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis::telemetry::metrics::families::Points;
use portcullis::telemetry::metrics::{Metrics, Tool};
use portcullis::vocab::{Class, Reason};
use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// Names of series, and the labels of each, of metrics that all have a value.
fn emitted() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new();
    let (tool, name) = (Tool::new("files__read".into()), Arc::<str>::from("files"));
    metrics.decided(true, Reason::Allowed, Some(&tool), Some(Class::Read));
    metrics.served("tools/call", Some(&tool), "", Duration::from_millis(1), None);
    metrics.called(&name, "tools/call", Some(&tool), "", Duration::from_millis(1), None);
    metrics.delivered(&tool, 1);
    metrics.set_upstream_up(&name, true);
    metrics.set_list_stale(&name, false);
    metrics.set_key_used(&name, 1);
    metrics.shed("overloaded");
    metrics.link("linked");
    metrics.set_approvals("pending", 1);
    metrics.notice(&name, "delivered");
    metrics.page("authorize", Reason::Allowed);
    metrics.telemetry_dropped("traces", "queue_full", 1);
    metrics.audit.sink("siem");
    let mut all = BTreeMap::new();
    for family in metrics.families() {
        let labels = |more: &[&str], of: Option<&Vec<(String, String)>>| -> BTreeSet<String> {
            let own = of.unwrap_or_else(|| panic!("{} has no value here", family.name)).iter().map(|(key, _)| key.clone());
            own.chain(more.iter().chain(&["instance", "job"]).map(|label| (*label).to_owned())).collect()
        };
        match &family.points {
            Points::Counter(points) => {
                all.insert(format!("{}_total", family.name), labels(&[], points.first().map(|point| &point.0)));
            }
            Points::Gauge(points) => {
                all.insert(family.name.clone(), labels(&[], points.first().map(|point| &point.0)));
            }
            Points::Histogram(points) => {
                for suffix in ["_sum", "_count", "_bucket"] {
                    all.insert(format!("{}{suffix}", family.name), labels(&["le"], points.first().map(|point| &point.0)));
                }
            }
        }
    }
    all.insert("up".to_owned(), ["instance", "job"].map(str::to_owned).into());
    all
}

/// Every expression below `value`, with where it stands.
fn expressions(place: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| match value {
            Value::String(text) if key == "expr" || (key == "query" && text.contains('(')) => {
                found.push((place.to_owned(), text.clone()));
            }
            value => expressions(&format!("{place}/{key}"), value, found),
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| expressions(&format!("{place}/{at}"), value, found))
        }
        _ => {}
    }
}

/// Metrics that an expression names, and the labels that it asks of each. A name is what stands before braces or brackets, or has
/// a prefix of ours.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let pattern = regex::Regex::new(r"\b((?:portcullis|mcp)_[a-z_]+|up)\b(\{[^}]*\})?").unwrap();
    let label = regex::Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*""#).unwrap();
    let found = pattern.captures_iter(expression).map(|found| {
        let labels = found.get(2).map_or("", |braces| braces.as_str());
        (found[1].to_owned(), label.captures_iter(labels).map(|found| found[1].to_owned()).collect())
    });
    // Labels look like metrics where results are grouped by them.
    found.filter(|(name, _): &(String, Vec<String>)| !["mcp_method_name"].contains(&name.as_str())).collect()
}

/// What results are grouped by, each time with the metric that is grouped: it stands behind `sum by (..) (`, or before `) by (..)`.
fn grouped(expression: &str) -> Vec<(String, Vec<String>)> {
    let pattern = regex::Regex::new(r"\b(by|without)\s*\(([^)]*)\)(\s*\()?").unwrap();
    let found = pattern.captures_iter(expression).map(|found| {
        let whole = found.get(0).unwrap();
        let (before, after) = (expression.split_at(whole.start()).0, expression.split_at(whole.end()).1);
        let metric = if found.get(3).is_some() { named(after).into_iter().next() } else { named(before).pop() };
        let (metric, _) = metric.unwrap_or_else(|| panic!("nothing is grouped in {expression}"));
        let labels = found[2].split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        (metric, labels.collect())
    });
    found.collect()
}

/// Labels that every result of an expression has, as far as its parts say.
fn kept(expression: &str, emitted: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let groups = grouped(expression);
    let of_metrics = || named(expression).into_iter().filter_map(|(name, _)| emitted.get(&name).cloned()).collect();
    let parts: Vec<BTreeSet<String>> = if groups.is_empty() {
        of_metrics()
    } else {
        groups.into_iter().map(|(_, labels)| labels.into_iter().collect()).collect()
    };
    parts.into_iter().reduce(|all, part| &all & &part).unwrap_or_default()
}

#[test]
fn alerts_speak_of_labels_that_their_results_have() {
    let emitted = emitted();
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(deploy("prometheus/alerts.yaml")).unwrap()).unwrap();
    let label = regex::Regex::new(r"\$labels\.([a-z_]+)").unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let kept = kept(rule["expr"].as_str().unwrap(), &emitted);
        for text in rule["annotations"].as_object().unwrap().values() {
            for found in label.captures_iter(text.as_str().unwrap()) {
                seen += 1;
                if !kept.contains(&found[1]) {
                    wrong.push(format!("{}: its results have no label {}", rule["alert"], &found[1]));
                }
            }
        }
    }
    assert!(seen > 15 && wrong.is_empty(), "{seen}: {}", wrong.join("\n"));
}

fn all_expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut boards = 0;
    for entry in std::fs::read_dir(deploy("grafana")).unwrap() {
        let path = entry.unwrap().path();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        expressions(path.file_name().unwrap().to_str().unwrap(), &board, &mut found);
        boards += 1;
    }
    assert_eq!(boards, 4);
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(deploy("prometheus/alerts.yaml")).unwrap()).unwrap();
    let before = found.len();
    expressions("alerts.yaml", &rules, &mut found);
    assert!(before > 30 && found.len() - before > 10, "the files were not understood");
    found
}

#[test]
fn dashboards_and_rules_name_what_is_emitted() {
    let (emitted, mut wrong, mut used) = (emitted(), Vec::new(), BTreeSet::new());
    for (place, expression) in all_expressions() {
        let names = named(&expression);
        if names.is_empty() {
            wrong.push(format!("{place}: no metric in {expression}"));
        }
        for (name, labels) in names {
            match emitted.get(&name) {
                None => wrong.push(format!("{place}: no such metric: {name}")),
                Some(known) => wrong.extend(
                    labels
                        .iter()
                        .filter(|label| !known.contains(*label))
                        .map(|label| format!("{place}: {name} has no label {label}")),
                ),
            }
            used.insert(name);
        }
        for (name, labels) in grouped(&expression) {
            let known = emitted.get(&name).cloned().unwrap_or_default();
            let unknown = labels.into_iter().filter(|label| !known.contains(label));
            wrong.extend(unknown.map(|label| format!("{place}: {name} has no label {label} to group by")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And nothing that is emitted is shown nowhere.
    let unseen: Vec<&String> = emitted.keys().filter(|name| !used.contains(*name) && !name.ends_with("_sum")).collect();
    assert!(unseen.is_empty(), "on no dashboard: {unseen:?}");
}

#[test]
fn dashboards_have_ids_of_their_own() {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(deploy("grafana")).unwrap() {
        let board: Value = serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        assert!(seen.insert(board["uid"].as_str().unwrap().to_owned()));
        let panels = board["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{}", board["title"]);
        assert!(
            panels.iter().all(|panel| panel["title"].is_string() && panel["targets"].as_array().is_some_and(|t| !t.is_empty()))
        );
    }
}

#[test]
fn the_search_for_groups_finds_what_is_grouped() {
    let expression =
        "sum by (a, b) (rate(portcullis_x_total{c=\"d\"}[5m])) > 2 * max(portcullis_y) by (e) and count(portcullis_z)";
    let expect = [("portcullis_x_total", vec!["a", "b"]), ("portcullis_y", vec!["e"])];
    assert_eq!(
        grouped(expression),
        expect.map(|(name, labels)| (name.to_owned(), labels.into_iter().map(str::to_owned).collect()))
    );
    let labels = |all: &[&str]| all.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(kept("sum by (a, b) (portcullis_x) / sum by (b) (portcullis_x)", &BTreeMap::new()), labels(&["b"]));
    let emitted = [("portcullis_x".to_owned(), labels(&["a", "b"])), ("portcullis_y".to_owned(), labels(&["b", "c"]))].into();
    assert_eq!(kept("portcullis_x > 0 and portcullis_y > 0", &emitted), labels(&["b"]));
}

#[test]
fn the_search_for_names_finds_what_is_wrong() {
    let found = named("sum by (le) (rate(portcullis_nonsense_total{effect=\"deny\", toool=~\"$x\"}[5m])) / up");
    let expect = [("portcullis_nonsense_total", vec!["effect", "toool"]), ("up", vec![])];
    assert_eq!(found, expect.map(|(name, labels)| (name.to_owned(), labels.into_iter().map(str::to_owned).collect())));
}
