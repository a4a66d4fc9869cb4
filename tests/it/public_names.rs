//! On a route that prefixes names, whatever names a tool, prompt or resource of an upstream says so under its public name, wherever it
//! occurs, and leads back to the upstream's own. On a bare route it is the upstream's own.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::peer::{Answer, Seen, modern};
use crate::wire::Resp;

const OWN: &str = "file:///srv/public/a.txt";
const APP: &str = "ui://app/view";
const TEMPLATE: &str = "file:///srv/public/{name}";

fn long() -> String {
    "p".repeat(80)
}

fn upstream(seen: &Seen) -> Answer {
    let request = seen.json();
    let blocks = json!([
        {"type": "resource_link", "uri": OWN, "name": "a"},
        {"type": "resource", "resource": {"uri": OWN, "text": OWN}},
        {"type": "text", "text": OWN}
    ]);
    let meta = json!({"ui": {"resourceUri": APP, "visibility": ["model"]}, "ui/resourceUri": APP});
    let mut result = match seen.rpc().as_str() {
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}, "_meta": meta}]}),
        "tools/call" => json!({"content": blocks, "structuredContent": {"uri": OWN}}),
        "prompts/list" => json!({"prompts": [{"name": "greet"}, {"name": long()}]}),
        "prompts/get" => {
            let messages: Vec<Value> = blocks.as_array().unwrap().iter().map(|b| json!({"role": "user", "content": b})).collect();
            json!({"messages": messages, "description": request["params"]["name"]})
        }
        "resources/templates/list" => json!({"resourceTemplates": [{"name": "t", "uriTemplate": TEMPLATE}]}),
        "resources/read" => json!({"contents": [{"uri": request["params"]["uri"], "text": OWN}]}),
        "completion/complete" => json!({"completion": {"values": [request["params"]["ref"].to_string()]}}),
        _ => return modern(seen),
    };
    result["resultType"] = "complete".into();
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
}

fn result(answer: &Resp) -> Value {
    let mut answer = answer.json();
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].take()
}

fn policy(text: &str) -> String {
    text.replace("prompts: [\"*__greet\"]", "prompts: [\"*__greet\", \"*__ppp*\"]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_names_are_said_wherever_something_is_named() {
    let gate = Gate::with(|files| files.policy = policy(&files.policy)).await;
    let token = gate.token("alice", &["eng"]);
    gate.up.behave(upstream);
    for (route, name, uri) in [("/mcp", "up__", "up+"), ("/bare", "", "")] {
        let ask = async |method: &str, params: Value, named: &str| {
            let params = params.to_string();
            let members = params.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
            let request =
                gate.modern(route, &token, method, &if members.is_empty() { String::new() } else { format!("{members},") });
            result(&gate.reach.send(&if named.is_empty() { request } else { request.add("Mcp-Name", named) }).await)
        };
        let (own, app, tool) = (format!("{uri}{OWN}"), format!("{uri}{APP}"), format!("{name}echo"));
        let listed = ask("tools/list", json!({}), "").await;
        let mine = listed["tools"].as_array().unwrap().iter().find(|one| one["name"] == json!(tool)).unwrap().clone();
        assert_eq!(mine["_meta"]["ui"], json!({"resourceUri": app, "visibility": ["model"]}));
        assert_eq!(mine["_meta"]["ui/resourceUri"], json!(app));

        let blocks = json!([
            {"type": "resource_link", "uri": own, "name": "a"},
            {"type": "resource", "resource": {"uri": own, "text": OWN}},
            {"type": "text", "text": OWN}
        ]);
        let called = ask("tools/call", json!({"name": tool, "arguments": {}}), &tool).await;
        assert_eq!((&called["content"], &called["structuredContent"]), (&blocks, &json!({"uri": OWN})), "{route}");

        let prompts = ask("prompts/list", json!({}), "").await;
        let names: Vec<&str> = prompts["prompts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let shortened = *names.iter().find(|one| one.contains("ppp")).unwrap();
        assert_eq!(shortened.len(), if name.is_empty() { 80 } else { 64 });
        for (public, own_name) in [(format!("{name}greet"), "greet".to_owned()), (shortened.to_owned(), long())] {
            let got = ask("prompts/get", json!({"name": public}), &public).await;
            let content: Vec<&Value> = got["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
            assert_eq!((json!(content), &got["description"]), (blocks.clone(), &json!(own_name)), "{route}");
            let reference = json!({"type": "ref/prompt", "name": public});
            let completed =
                ask("completion/complete", json!({"ref": reference, "argument": {"name": "a", "value": "b"}}), "").await;
            let told: Value = serde_json::from_str(completed["completion"]["values"][0].as_str().unwrap()).unwrap();
            assert_eq!(told, json!({"type": "ref/prompt", "name": own_name}));
        }

        let templates = ask("resources/templates/list", json!({}), "").await;
        let template = templates["resourceTemplates"][0]["uriTemplate"].as_str().unwrap().to_owned();
        assert_eq!(template, format!("{uri}{TEMPLATE}"));
        let expanded = template.replace("{name}", "a.txt");
        let read = ask("resources/read", json!({"uri": expanded}), &expanded).await;
        assert_eq!(read["contents"], json!([{"uri": own, "text": OWN}]), "{route}");
        assert_eq!(gate.up.calls().pop().unwrap().json()["params"]["uri"], json!(OWN));

        let reference = json!({"type": "ref/resource", "uri": template});
        let completed =
            ask("completion/complete", json!({"ref": reference, "argument": {"name": "name", "value": "a"}}), "").await;
        let told: Value = serde_json::from_str(completed["completion"]["values"][0].as_str().unwrap()).unwrap();
        assert_eq!(told, json!({"type": "ref/resource", "uri": TEMPLATE}));
    }
}
