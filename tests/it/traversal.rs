//! Every path that tries to leave `/srv/public`, sent through a real gateway: as an argument and as the URI of a resource.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::gate::Gate;
use crate::wire::{Req, Resp};

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
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn escapes() -> Vec<Escape> {
    lines(include_str!("../data/traversal/escapes.jsonl"))
}

/// `up` may be asked about `/srv/public` only, `old` about anything but what is forbidden.
fn policy(forbidden: &BTreeSet<&str>) -> String {
    format!(
        "version: 1\ntools: [{{ match: ['*__echo'], class: read }}]\nrules:\n\
         - {{ id: files, effect: allow, principals: [any], tools: [up__echo], arguments: {{ /path: {{ path_under: [/srv/public] }} }} }}\n\
         - {{ id: docs, effect: allow, principals: [any], resources: ['up__file:///srv/public/*'] }}\n\
         - {{ id: all, effect: allow, principals: [any], tools: [old__echo] }}\n\
         - {{ id: never, effect: deny, tools: [old__echo], arguments: {{ /path: {{ path_under: {} }} }} }}\n",
        json!(forbidden)
    )
}

fn is_refused(answer: &Resp) -> bool {
    let json = answer.json();
    answer.status == 200 && (json["result"]["isError"] == true || json["error"]["code"] == -32602)
}

/// resources/read of a URI given as JSON, quotes and all.
fn read(gate: &Gate, token: &str, uri: &str) -> Req {
    let text: String = serde_json::from_str(uri).unwrap();
    let name = portcullis::mcp::headers::encode_value(&text);
    gate.modern("/mcp", token, "resources/read", &format!("\"uri\":{uri},")).add("Mcp-Name", name.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_escape_reaches_an_upstream() {
    let escapes = escapes();
    assert!(escapes.len() >= 220, "{}", escapes.len());
    // The root forbids everything.
    let forbidden: BTreeSet<&str> = escapes.iter().map(|escape| &*escape.leads_to).filter(|path| *path != "/").collect();
    let gate = Gate::with(|files| files.policy = policy(&forbidden)).await;
    let token = gate.token("alice", &["eng"]);
    for Escape { class, leads_to, path } in &escapes {
        let arguments = format!("{{\"path\":{path}}}");
        let mut requests = vec![gate.call("/mcp", &token, "up__echo", &arguments)];
        if leads_to != "/" {
            requests.push(gate.call("/mcp", &token, "old__echo", &arguments));
        }
        // After the opening quote.
        let text: String = serde_json::from_str(path.get()).unwrap();
        let scheme = if text.to_ascii_lowercase().starts_with("file:") { "" } else { "file://" };
        requests.push(read(&gate, &token, &format!("\"up+{scheme}{}", &path.get()[1..])));
        for request in requests {
            let answer = gate.reach.send(&request).await;
            assert!(is_refused(&answer), "{class} {path}: {}", answer.whole());
        }
    }
    assert_eq!(gate.up.calls().len() + gate.old.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_paths_arrive_as_they_were_sent() {
    let honest: Vec<Honest> = lines(include_str!("../data/traversal/honest.jsonl"));
    assert!(honest.len() >= 40, "{}", honest.len());
    let gate = Gate::with(|files| files.policy = policy(&BTreeSet::from(["/etc"]))).await;
    let token = gate.token("alice", &["eng"]);
    for Honest { path, uri } in &honest {
        // A path with `..` in it is honest below the directory it is allowed in, and doubtful where another one is forbidden.
        let tools: &[&str] = if uri.is_some() { &["up__echo", "old__echo"] } else { &["up__echo"] };
        for tool in tools {
            let answer = gate.reach.send(&gate.call("/mcp", &token, tool, &json!({ "path": path }).to_string())).await;
            assert!(answer.text().contains("did"), "{path}: {}", answer.whole());
        }
        if let Some(uri) = uri {
            let answer = gate.reach.send(&read(&gate, &token, &json!(format!("up+{uri}")).to_string())).await;
            assert!(answer.text().contains("contents"), "{uri}: {}", answer.whole());
        }
    }
    let arrived = |calls: Vec<crate::peer::Seen>, member: &str| -> Vec<String> {
        let found = calls.iter().filter_map(|seen| seen.json()["params"].pointer(member)?.as_str().map(str::to_owned));
        found.collect()
    };
    let paths = |plain: bool| -> Vec<String> {
        honest.iter().filter(|honest| !plain || honest.uri.is_some()).map(|honest| honest.path.clone()).collect()
    };
    let uris: Vec<String> = honest.iter().filter_map(|honest| honest.uri.clone()).collect();
    assert_eq!(arrived(gate.up.calls(), "/arguments/path"), paths(false));
    assert_eq!(arrived(gate.old.calls(), "/arguments/path"), paths(true));
    assert_eq!(arrived(gate.up.calls(), "/uri"), uris);
}
