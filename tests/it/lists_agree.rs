//! What a list shows is what can be called, for every principal, whatever was asked before by whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::peer::{Answer, modern, modern_with, tools};
use crate::wire::Resp;

pub(crate) fn names(list: &Resp, kind: &str, key: &str) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.whole());
    let list = list.json();
    list["result"][kind]
        .as_array()
        .unwrap_or_else(|| panic!("{list}"))
        .iter()
        .map(|item| item[key].as_str().unwrap().to_owned())
        .collect()
}

async fn listed(gate: &Gate, token: &str) -> Vec<String> {
    names(&gate.reach.send(&gate.modern("/mcp", token, "tools/list", "")).await, "tools", "name")
}

fn is_unknown(answer: &Resp) -> bool {
    answer.code() == -32602 && answer.json()["error"]["message"] == "Unknown tool"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_calls_agree() {
    let gate = Gate::start().await;
    let people = [
        ("alice", vec!["eng"]),
        ("otto", vec!["ops"]),
        ("gus", vec!["guests"]),
        ("both", vec!["eng", "ops"]),
        ("nobody", vec![]),
    ];
    let tokens: Vec<(&str, String)> = people.iter().map(|(sub, groups)| (*sub, gate.token(sub, groups))).collect();
    let own: Vec<String> = tools().as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    let mut candidates: BTreeSet<String> = BTreeSet::new();
    for upstream in ["up", "old", "other"] {
        for name in own.iter().map(String::as_str).chain(["nothing", "", "ECHO", "echo ", "__echo"]) {
            candidates.insert(format!("{upstream}__{name}"));
            candidates.insert(format!("{upstream}__{upstream}__{name}"));
            candidates.insert(format!("{upstream}_{name}"));
            candidates.insert(name.to_owned());
        }
    }
    // In both orders, so that nothing known for one is shown to another (SEC-19).
    let mut seen: Vec<(&str, Vec<String>)> = Vec::new();
    for (sub, token) in tokens.iter().chain(tokens.iter().rev()) {
        seen.push((sub, listed(&gate, token).await));
    }
    for (sub, list) in &seen {
        let first = &seen.iter().find(|(other, _)| other == sub).unwrap().1;
        assert_eq!(list, first, "{sub}");
        candidates.extend(list.iter().cloned());
        assert!(list.iter().all(|name| name.len() <= 64), "{list:?}");
    }
    let count = |sub: &str| seen.iter().find(|(other, _)| *other == sub).unwrap().1.len();
    // All but hidden, delete and raised, of both upstreams.
    assert_eq!((count("alice"), count("otto"), count("gus"), count("both"), count("nobody")), (16, 1, 1, 17, 0), "{seen:#?}");
    for (sub, token) in &tokens {
        let shown: BTreeSet<&String> = seen.iter().find(|(other, _)| other == sub).unwrap().1.iter().collect();
        let mut wrong = Vec::new();
        for name in candidates.iter().filter(|name| !name.ends_with(' ')) {
            for arguments in ["{}", r#"{"path":"/srv/x"}"#, r#"{"path":"/etc/x"}"#] {
                let answer = gate.reach.send(&gate.call("/mcp", token, name, arguments)).await;
                if is_unknown(&answer) == shown.contains(name) {
                    wrong.push(format!("{sub} {name} {arguments}: {}", answer.whole()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    // A hidden name reads exactly like one that does not exist.
    let token = &tokens[0].1;
    let hidden = gate.reach.send(&gate.call("/mcp", token, "up__hidden", "{}")).await;
    let nothing = gate.reach.send(&gate.call("/mcp", token, "up__nothing", "{}")).await;
    assert_eq!((hidden.status, hidden.json()), (nothing.status, nothing.json()));
    for call in gate.up.calls() {
        let name = call.json()["params"]["name"].as_str().unwrap().to_owned();
        assert!(own.contains(&name) && name != "hidden" && name != "raised", "{name}");
        assert!(!call.body.contains("/etc/x"), "{}", call.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_names_are_shortened_and_found() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let list = listed(&gate, &token).await;
    let bare = names(&gate.reach.send(&gate.modern("/bare", &token, "tools/list", "")).await, "tools", "name");
    for (own, short) in [("n".repeat(60), false), ("n".repeat(61), true), ("l".repeat(100), true)] {
        let full = format!("up__{own}");
        assert_eq!(list.contains(&full), !short, "{full}");
        let prefix = &full[..51];
        let is_it = |name: &&String| if short { name.starts_with(prefix) && name.as_bytes()[51] == b'_' } else { **name == full };
        let public = list.iter().find(is_it).unwrap();
        let answer = gate.reach.send(&gate.call("/mcp", &token, public, "{}")).await;
        assert!(answer.text().contains("did"), "{}", answer.whole());
        assert_eq!(gate.up.calls().pop().unwrap().json()["params"]["name"], json!(own));
        assert!(bare.contains(&own));
        let answer = gate.reach.send(&gate.call("/bare", &token, &own, "{}")).await;
        assert!(answer.text().contains("did"), "{}", answer.whole());
        if short {
            assert!(is_unknown(&gate.reach.send(&gate.call("/mcp", &token, &full, "{}")).await), "only the public name is one");
        }
    }
    assert!(
        gate.records().iter().any(|record| record["name"] == json!(format!("up__{}", "l".repeat(100)))),
        "records hold the full name"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_are_sealed() {
    let gate = Gate::start().await;
    let many: Value = (0..1_100).map(|i| json!({"name": format!("nnn{i}"), "inputSchema": {"type": "object"}})).collect();
    gate.up.behave(move |seen| modern_with(seen, &many));
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let page = |route: &str, token: &str, method: &str, cursor: &str| {
        gate.modern(route, token, method, &format!("\"cursor\":{},", json!(cursor)))
    };
    let first = gate.reach.send(&gate.modern("/bare", &alice, "tools/list", "")).await.json();
    assert_eq!(first["result"]["cacheScope"], "private");
    let cursor = first["result"]["nextCursor"].as_str().unwrap().to_owned();
    let mut all = BTreeSet::new();
    let mut next = Some(cursor.clone());
    let mut pages = vec![first];
    while let Some(cursor) = next {
        let answer = gate.reach.send(&page("/bare", &alice, "tools/list", &cursor)).await.json();
        next = answer["result"]["nextCursor"].as_str().map(str::to_owned);
        pages.push(answer);
    }
    for page in &pages {
        all.extend(page["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].to_string()));
    }
    assert_eq!((pages.len(), all.len()), (3, 1_100));
    let mut tampered = cursor.clone().into_bytes();
    tampered[10] = if tampered[10] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    let session = gate.session("/bare", &alice, "2025-11-25").await;
    for (what, route, token, method, cursor) in [
        ("another's", "/bare", &bob, "tools/list", &cursor),
        ("another route's", "/mcp", &alice, "tools/list", &cursor),
        ("another list's", "/bare", &alice, "prompts/list", &cursor),
        ("changed", "/bare", &alice, "tools/list", &tampered),
        ("a session id", "/bare", &alice, "tools/list", &session),
        ("empty", "/bare", &alice, "tools/list", &String::new()),
        ("garbage", "/bare", &alice, "tools/list", &"500".to_owned()),
    ] {
        let answer = gate.reach.send(&page(route, token, method, cursor)).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{what}: {}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_and_prompts_agree_too() {
    let gate = Gate::start().await;
    let (alice, nobody) = (gate.token("alice", &["eng"]), gate.token("nobody", &[]));
    let list = |token: &str, method: &str| gate.modern("/mcp", token, method, "");
    let resources = names(&gate.reach.send(&list(&alice, "resources/list")).await, "resources", "uri");
    assert_eq!(resources, ["up+file:///srv/public/a.txt", "old+file:///srv/public/a.txt"]);
    let prompts = names(&gate.reach.send(&list(&alice, "prompts/list")).await, "prompts", "name");
    assert_eq!(prompts, ["up__greet", "old__greet"]);
    assert_eq!(names(&gate.reach.send(&list(&nobody, "resources/list")).await, "resources", "uri"), [""; 0]);
    let read = |token: &str, uri: &str| {
        let encoded = portcullis::mcp::headers::encode_value(uri);
        gate.modern("/mcp", token, "resources/read", &format!("\"uri\":{},", json!(uri)))
            .add("Mcp-Name", encoded.to_str().unwrap())
    };
    for uri in &resources {
        let answer = gate.reach.send(&read(&alice, uri)).await;
        assert_eq!(answer.json()["result"]["contents"][0]["uri"], json!(uri), "{}", answer.whole());
        let refused = gate.reach.send(&read(&nobody, uri)).await;
        assert_eq!((refused.status, refused.code()), (200, -32602), "{}", refused.whole());
    }
    let calls = gate.up.calls().len() + gate.old.calls().len();
    for uri in [
        "up+file:///etc/shadow",
        "up+file:///srv/public/../../etc/shadow",
        "up+file:///srv/public/..",
        "up+file:///srv/public/./a",
        "up+file:///srv/public/%2e%2e/x",
        "up+file:///srv/public/%252e%252e/x",
        "up+file:///srv/public/..%2fx",
        "up+file:///srv/public%2f..%2fx",
        "up+file:///srv/public/a%00",
        "up+file:///srv/public/\\..\\x",
        "up+file:///srv/public/a\nb",
        "up+file://user@srv/public/a",
        "up+https://u:p@h/srv/public/",
        "up+FILE:///srv/public/a.txt",
        "Up+file:///srv/public/a.txt",
        "up+up+file:///srv/public/a.txt",
        "file:///srv/public/a.txt",
        "+file:///srv/public/a.txt",
        "up+",
        "",
        "other+file:///srv/public/a.txt",
        "up+file:///srv/public",
        "up+file:///srv/public/%c0%ae%c0%ae/x",
        "up+file:///srv/public/..;/x",
        "up+file:///srv/public/%u002e%u002e/x",
    ] {
        let answer = gate.reach.send(&read(&alice, uri)).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{uri}: {}", answer.whole());
        assert_eq!(gate.up.calls().len() + gate.old.calls().len(), calls, "{uri}");
    }
    for name in ["up__secret", "up__nothing", "greet", "other__greet"] {
        let request = gate.modern("/mcp", &alice, "prompts/get", &format!("\"name\":\"{name}\",")).add("Mcp-Name", name);
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{name}: {}", answer.whole());
        let complete = format!(r#""ref":{{"type":"ref/prompt","name":"{name}"}},"argument":{{"name":"a","value":"b"}},"#);
        let answer = gate.reach.send(&gate.modern("/mcp", &alice, "completion/complete", &complete)).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{name}: {}", answer.whole());
        assert_eq!(gate.up.calls().len() + gate.old.calls().len(), calls, "{name}");
    }
}

/// A prompt may have any name that ASCII prints; one that people could take for another is neither listed nor asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_in_disguise_is_none() {
    let gate = Gate::with(|files| files.policy = files.policy.replace(r#"prompts: ["*__greet"]"#, r#"prompts: ["*"]"#)).await;
    let hidden = ["gr\u{435}et", "greet ", " greet", "gr\u{200b}eet", "greet\n", "\u{202e}teerg", "gr\u{e9}et"];
    let listed: Vec<Value> = ["greet", "Code Review", "a/b:c"].iter().chain(&hidden).map(|name| json!({"name": name})).collect();
    gate.up.behave(move |seen| match seen.rpc().as_str() {
        "prompts/list" => {
            let result = json!({"resultType": "complete", "prompts": listed, "ttlMs": 60_000, "cacheScope": "private"});
            Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
        }
        _ => modern(seen),
    });
    let alice = gate.token("alice", &["eng"]);
    let prompts = names(&gate.reach.send(&gate.modern("/mcp", &alice, "prompts/list", "")).await, "prompts", "name");
    assert_eq!(prompts, ["up__greet", "up__Code Review", "up__a/b:c", "old__greet", "old__secret"]);
    let get = async |name: &str| {
        let encoded = portcullis::mcp::headers::encode_value(name);
        let request = gate.modern("/mcp", &alice, "prompts/get", &format!("\"name\":{},", json!(name)));
        gate.reach.send(&request.add("Mcp-Name", encoded.to_str().unwrap())).await
    };
    for name in &prompts {
        let answer = get(name).await;
        assert_eq!((answer.status, answer.code()), (200, 0), "{name}: {}", answer.whole());
    }
    let calls = gate.up.calls().len();
    for name in hidden {
        let answer = get(&format!("up__{name}")).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{name:?}: {}", answer.whole());
    }
    assert_eq!(gate.up.calls().len(), calls);
}

/// What leaves is the name and the value that the decision looked at, and the values filled in before; nothing beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_carries_only_what_was_decided_on() {
    let gate = Gate::start().await;
    let alice = gate.token("alice", &["eng"]);
    let complete = r#""ref":{"type":"ref/prompt","name":"up__greet","x":"1"},"argument":{"name":"path","value":"/srv/ok","path":"/etc/x"},"context":{"arguments":{"path":"/etc/shadow","who":"me"},"more":"/etc/passwd"},"#;
    let answer = gate.reach.send(&gate.modern("/mcp", &alice, "completion/complete", complete)).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    let calls = gate.up.calls();
    let params = &calls.last().unwrap().json()["params"];
    assert_eq!(params["argument"], json!({"name": "path", "value": "/srv/ok"}));
    assert_eq!(params["context"], json!({"arguments": {"who": "me"}}));
    assert_eq!(params["ref"], json!({"type": "ref/prompt", "name": "greet"}));
}
