//! Headers that repeat the body repeat it truly, or the request is refused before anybody acts on either (2026-07-28).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::gate::{Gate, META};
use crate::wire::Req;

fn sentinel(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

struct Row(&'static str, Req, u16, i64);

async fn hold(gate: &Gate, rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row(what, request, status, code) in rows {
        let calls = gate.up.calls().len() + gate.old.calls().len();
        let answer = gate.reach.send(&request).await;
        let called = gate.up.calls().len() + gate.old.calls().len() - calls;
        let passes = usize::from(status == 200 && code == 0);
        if (answer.status, answer.code(), called) != (status, code, passes) {
            wrong.push(format!("{what}: called {called}: {}", answer.whole()));
        }
        if code != 0 && answer.json()["jsonrpc"] != "2.0" {
            wrong.push(format!("{what}: no JSON-RPC error: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_headers_agree_with_the_body() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = || gate.call("/mcp", &token, "up__echo", "{}");
    let b64 = sentinel("up__echo");
    let mut rows = vec![
        Row("good", good(), 200, 0),
        Row("no version", good().without("MCP-Protocol-Version"), 400, -32020),
        Row("another version", good().set("MCP-Protocol-Version", "2025-11-25"), 400, -32020),
        Row("version of tomorrow in the header", good().set("MCP-Protocol-Version", "2027-01-01"), 400, -32020),
        Row("empty version", good().set("MCP-Protocol-Version", ""), 400, -32020),
        Row("no method", good().without("Mcp-Method"), 400, -32020),
        Row("another method", good().set("Mcp-Method", "tools/list"), 400, -32020),
        Row("method in another case", good().set("Mcp-Method", "Tools/Call"), 400, -32020),
        Row("encoded method", good().set("Mcp-Method", &sentinel("tools/call")), 400, -32020),
        Row("empty method", good().set("Mcp-Method", ""), 400, -32020),
        Row("no name", good().without("Mcp-Name"), 400, -32020),
        Row("empty name", good().set("Mcp-Name", ""), 400, -32020),
        Row("name in another case", good().set("Mcp-Name", "up__Echo"), 400, -32020),
        Row("prefix of the name", good().set("Mcp-Name", "up__ech"), 400, -32020),
        Row("allowed in the header, denied in the body", good().edit("up__echo", "up__delete"), 400, -32020),
        Row("denied in the header, allowed in the body", good().set("Mcp-Name", "up__delete"), 400, -32020),
        Row("encoded name", good().set("Mcp-Name", &b64), 200, 0),
        Row("space around the name", good().set("Mcp-Name", "  up__echo \t"), 200, 0),
        Row("encoded trailing space", good().set("Mcp-Name", &sentinel("up__echo ")), 400, -32020),
        Row("uppercase sentinel", good().set("Mcp-Name", &b64.replace("base64", "BASE64")), 400, -32020),
        Row("encoded twice", good().set("Mcp-Name", &sentinel(&b64)), 400, -32020),
        Row("encoded another", good().set("Mcp-Name", &sentinel("up__delete")), 400, -32020),
        Row("bad base64", good().set("Mcp-Name", "=?base64?up__echo?="), 400, -32020),
        Row("no padding", good().set("Mcp-Name", &b64.replace('=', "").replacen("?base64", "=?base64", 1)), 400, -32020),
        Row("not UTF-8", good().set("Mcp-Name", "=?base64?/////w==?="), 400, -32020),
        Row("unfinished sentinel", good().set("Mcp-Name", b64.trim_end_matches('=')), 400, -32020),
        Row("quoted-printable", good().set("Mcp-Name", "=?utf-8?q?up__echo?="), 400, -32020),
        Row("bytes above ASCII", good().set("Mcp-Name", "up__ech\u{f6}"), 400, -32020),
        Row("delete character", good().set("Mcp-Name", "up__echo\u{7f}"), 400, 0),
        Row("name of a list", gate.modern("/mcp", &token, "tools/list", "").add("Mcp-Name", "x"), 200, 0),
    ];
    for name in ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Param-X", "Mcp-Session-Id"] {
        let value = good().headers.iter().find(|(n, _)| n == name).map_or("x".to_owned(), |(_, v)| v.clone());
        rows.push(Row("twice the same", good().set(name, &value).add(name, &value), 400, -32020));
        rows.push(Row("twice, other case", good().set(name, &value).add(&name.to_ascii_uppercase(), "y"), 400, -32020));
    }
    // A list causes no call, and what hyper refuses itself has no body.
    let lists = rows.iter().position(|row| row.0 == "name of a list").unwrap();
    let list = rows.remove(lists);
    assert_eq!(gate.reach.send(&list.1).await.status, 200);
    hold(&gate, rows).await;

    let read = |uri: &str| gate.modern("/mcp", &token, "resources/read", &format!(r#""uri":"{uri}","#));
    let get = |name: &str| gate.modern("/mcp", &token, "prompts/get", &format!(r#""name":"{name}","#));
    let public = "up+file:///srv/public/a.txt";
    let uri = "up+file:///srv/public/\u{fc}";
    hold(
        &gate,
        vec![
            Row("resource", read(public).add("Mcp-Name", public), 200, 0),
            Row("resource beyond ASCII", read(uri).add("Mcp-Name", &sentinel(uri)), 200, 0),
            Row("resource without", read(public), 400, -32020),
            Row("other resource", read(public).add("Mcp-Name", "up+file:///etc/shadow"), 400, -32020),
            Row("prompt", get("up__greet").add("Mcp-Name", "up__greet"), 200, 0),
            Row("prompt without", get("up__greet"), 400, -32020),
            Row("other prompt", get("up__greet").add("Mcp-Name", "up__secret"), 400, -32020),
        ],
    )
    .await;
}

/// The first thing that is wrong decides the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_come_in_their_order() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = || gate.call("/mcp", &token, "up__echo", "{}");
    let body = |from: &str, to: &str| good().edit(from, to);
    let version = "2026-07-28\"";
    let rows = vec![
        Row("mismatch before unsupported", body(version, "2027-01-01\""), 400, -32020),
        Row("unsupported, both the same", body(version, "2027-01-01\"").set("MCP-Protocol-Version", "2027-01-01"), 400, -32022),
        Row("a session revision as modern", body(version, "2025-11-25\"").set("MCP-Protocol-Version", "2025-11-25"), 400, -32022),
        Row("header missing before meta", body(META, "").without("MCP-Protocol-Version"), 400, -32020),
        Row("meta missing", body(META, ""), 400, -32602),
        Row("capabilities missing", body(r#","io.modelcontextprotocol/clientCapabilities":{}"#, ""), 400, -32602),
        Row("meta missing before names", body(META, "").set("Mcp-Name", "x"), 400, -32602),
        Row(
            "unsupported before names",
            body(version, "2027-01-01\"").set("MCP-Protocol-Version", "2027-01-01").set("Mcp-Name", "x"),
            400,
            -32022,
        ),
        Row("parse before headers", good().body("{").without("Mcp-Name"), 400, -32700),
        Row("names before existence", body("up__echo", "up__nothing"), 400, -32020),
        Row("unknown tool", gate.call("/mcp", &token, "up__nothing", "{}"), 200, -32602),
        Row("unknown method", gate.modern("/mcp", &token, "tools/undo", ""), 404, -32601),
        Row("unknown method, no header", gate.modern("/mcp", &token, "tools/undo", "").without("Mcp-Method"), 400, -32020),
    ];
    hold(&gate, rows).await;
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        hold(&gate, vec![Row("removed", gate.modern("/mcp", &token, method, r#""uri":"x:y","#), 404, -32601)]).await;
    }
    let unsupported = body(version, "1900-01-01\"").set("MCP-Protocol-Version", "1900-01-01");
    let answer = gate.reach.send(&unsupported).await.json();
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["error"]["data"]["requested"], "1900-01-01");
    let discover = gate.reach.send(&gate.modern("/mcp", &token, "server/discover", "")).await.json();
    assert_eq!(answer["error"]["data"]["supported"], discover["result"]["supportedVersions"]);
    // A route for the newest revision only says so to older clients.
    let answer = gate.reach.send(&gate.initialize("/new", &token, "2025-11-25")).await;
    assert_eq!((answer.status, answer.code()), (400, -32022), "{}", answer.whole());
    assert_eq!(answer.json()["error"]["data"]["supported"], json!(["2026-07-28"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrored_arguments_agree_with_their_headers() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let call = |arguments: &str| gate.call("/mcp", &token, "up__mirror", arguments);
    let full = || call(r#"{"region":"eu","count":42,"deep":{"flag":true}}"#);
    let with = || full().add("Mcp-Param-Region", "eu").add("Mcp-Param-Count", "42").add("Mcp-Param-Flag", "true");
    let rows = vec![
        Row("all agree", with(), 200, 0),
        Row("nothing to mirror", call("{}"), 200, 0),
        Row("null is absent", call(r#"{"region":null}"#), 200, 0),
        Row("none sent", full(), 400, -32020),
        Row("one missing", with().without("Mcp-Param-Flag"), 400, -32020),
        Row("another value", with().set("Mcp-Param-Region", "us"), 400, -32020),
        Row("value in another case", with().set("Mcp-Param-Region", "EU"), 400, -32020),
        Row("header in another case", with().without("Mcp-Param-Region").add("MCP-PARAM-REGION", "eu"), 200, 0),
        Row("encoded", with().set("Mcp-Param-Region", &sentinel("eu")), 200, 0),
        Row("encoded twice", with().set("Mcp-Param-Region", &sentinel(&sentinel("eu"))), 400, -32020),
        Row("bad base64", with().set("Mcp-Param-Region", "=?base64?!?="), 400, -32020),
        Row("equal number", with().set("Mcp-Param-Count", "42.0"), 200, 0),
        Row("another number", with().set("Mcp-Param-Count", "43"), 400, -32020),
        Row("hex number", with().set("Mcp-Param-Count", "0x2a"), 400, -32020),
        Row("boolean in another case", with().set("Mcp-Param-Flag", "True"), 400, -32020),
        Row("boolean as number", with().set("Mcp-Param-Flag", "1"), 400, -32020),
        Row("header without argument", call("{}").add("Mcp-Param-Region", "eu"), 400, -32020),
        Row("header for null", call(r#"{"region":null}"#).add("Mcp-Param-Region", "null"), 400, -32020),
        Row("empty header for empty text", call(r#"{"region":""}"#).add("Mcp-Param-Region", ""), 200, 0),
        Row("nobody's header", with().add("Mcp-Param-Other", "x"), 200, 0),
    ];
    hold(&gate, rows).await;
    // The upstream gets headers of our own making.
    let seen = gate.up.calls();
    let full = seen.iter().find(|call| call.body.contains("flag")).unwrap();
    for (name, value) in
        [("mcp-param-region", "eu"), ("mcp-param-count", "42"), ("mcp-param-flag", "true"), ("mcp-name", "mirror")]
    {
        assert_eq!(full.header(name), Some(value));
    }
    assert!(seen.iter().all(|call| call.header("mcp-param-other").is_none()));
}

/// Nobody escapes the comparison by naming an older revision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_revisions_may_omit_the_headers_but_not_lie() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__echo","arguments":{}}}"#;
    let good = || gate.legacy("/mcp", &token, "2025-11-25", &session, body);
    let rows = vec![
        Row("without", good(), 200, 0),
        Row("true", good().add("Mcp-Method", "tools/call").add("Mcp-Name", "up__echo"), 200, 0),
        Row("another method", good().add("Mcp-Method", "tools/list"), 400, -32600),
        Row("another name", good().add("Mcp-Name", "up__delete"), 400, -32600),
    ];
    hold(&gate, rows).await;
}
