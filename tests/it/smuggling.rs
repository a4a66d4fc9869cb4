//! What policy read is what the upstream reads: a message that two parsers could take for two messages is refused, and
//! arguments arrive byte for byte.

use crate::gate::{Gate, META};
use crate::wire::Req;

/// A body instead of the good one; the headers stay good.
fn of(gate: &Gate, token: &str, body: impl Into<Vec<u8>>) -> Req {
    gate.call("/mcp", token, "up__echo", "{}").body(body)
}

fn call(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{params}"_meta":{{{META}}}}}}}"#)
}

const PARAMS: &str = r#""name":"up__echo","arguments":{},"#;

/// Members beside good ones.
fn beside(envelope: &str, params: &str, meta: &str) -> String {
    format!(r#"{{{envelope}"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{params}{PARAMS}"_meta":{{{meta}{META}}}}}}}"#)
}

async fn refused(gate: &Gate, rows: Vec<(String, Vec<u8>, i64)>) {
    let token = gate.token("alice", &["eng"]);
    let before = gate.seen();
    let mut wrong = Vec::new();
    for (what, body, code) in rows {
        let answer = gate.reach.send(&of(gate, &token, body)).await;
        if (answer.status, answer.code()) != (400, code) || gate.seen() != before {
            wrong.push(format!("{what}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn row(body: String, code: i64) -> (String, Vec<u8>, i64) {
    (body.clone(), body.into_bytes(), code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_once() {
    let gate = Gate::start().await;
    let mut rows = Vec::new();
    for (envelope, params, meta) in [
        (r#""method":"tools/list","#, "", ""),
        (r#""id":8,"#, "", ""),
        (r#""jsonrpc":"2.0","#, "", ""),
        (r#""params":{},"#, "", ""),
        (r#""m\u0065thod":"tools/list","#, "", ""),
        ("", r#""name":"up__delete","#, ""),
        ("", r#""name":"up__echo","#, ""),
        ("", r#""n\u0061me":"up__delete","#, ""),
        ("", r#""arguments":{"a":1},"#, ""),
        ("", r#""_meta":{},"#, ""),
        ("", r#""x":1,"x":2,"#, ""),
        ("", "", r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#),
        ("", "", r#""a/b":1,"a/b":1,"#),
        ("", "", r#""a/b":{"c":1,"c":2},"#),
    ] {
        rows.push(row(beside(envelope, params, meta), -32700));
    }
    for arguments in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":[{"c":1,"c":1}]}}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"path":"/srv/x","path":"/etc/shadow"}"#,
    ] {
        rows.push(row(call(&format!(r#""name":"up__echo","arguments":{arguments},"#)), -32700));
    }
    let many: Vec<String> = (0..40).map(|i| format!("\"k{i}\":1")).collect();
    rows.push(row(call(&format!(r#""name":"up__echo","arguments":{{{},"k3":2}},"#, many.join(","))), -32700));
    refused(&gate, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_wears_a_disguise() {
    let gate = Gate::start().await;
    let mut rows = Vec::new();
    for key in
        ["Method", "METHOD", "method\\u0000", "ID", "Id", "Params", "param\\u017f", "jsonRPC", "extra", "result", "error", ""]
    {
        rows.push(row(beside(&format!("\"{key}\":{{}},"), "", ""), -32600));
    }
    for key in [
        "Name",
        "NAME",
        "name\\u0000",
        "name\\u0000x",
        "name ",
        " name",
        "\\u200bname",
        "\\uff4eame",
        "Arguments",
        "argument\\u017f",
        "ARGUMENTS",
        "_Meta",
        "_META",
        "Uri",
        "requeststate",
        "ta\\u017f\\u212a",
        "ta\u{17f}k",
    ] {
        rows.push(row(beside("", &format!("\"{key}\":\"up__delete\","), ""), -32602));
    }
    for key in
        ["io.modelcontextprotocol/ProtocolVersion", "IO.modelcontextprotocol/protocolVersion", "ProgressToken", "progresstoken"]
    {
        rows.push(row(beside("", "", &format!("\"{key}\":\"1\",")), -32602));
    }
    refused(&gate, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_or_no_message_is_refused() {
    let gate = Gate::start().await;
    let good = call(PARAMS);
    let value = |value: &str| call(&format!(r#""name":"up__echo","arguments":{{"x":{value}}},"#));
    let mut rows = Vec::new();
    for body in ["", " ", "x", "{", "nul", "'a'", "{'a':1}", "\u{feff}{}", "{}{}", "//\n{}", "{\"a\":1,}", "[1,]"] {
        rows.push(row(body.to_owned(), -32700));
    }
    for tail in ["x", "{}", ",", "\0", "]"] {
        rows.push(row(format!("{good}{tail}"), -32700));
    }
    rows.push(row(format!("\u{feff}{good}"), -32700));
    for bad in [
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "NaN",
        "Infinity",
        "-",
        "0x1",
        "1_0",
        "True",
        "undefined",
        "\"\u{1}\"",
        "\"a\nb\"",
        "\"\\x41\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\u12\"",
        "\"",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
    ] {
        rows.push(row(value(bad), -32700));
    }
    for depth in [65, 5_000, 400_000] {
        let deep = value(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        rows.push((format!("{depth} deep"), deep.into_bytes(), -32700));
        let deep = value(&format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)));
        rows.push((format!("{depth} deep objects"), deep.into_bytes(), -32700));
    }
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82"] {
        let at = good.find("{}").unwrap() + 1;
        let (before, after) = good.as_bytes().split_at(at);
        rows.push((format!("{bytes:x?}"), [before, b"\"a\":\"", bytes, b"\"", after].concat(), -32700));
    }
    rows.push(("UTF-16".to_owned(), good.encode_utf16().flat_map(u16::to_le_bytes).collect(), -32700));
    for body in ["1", "\"x\"", "null", "true", "[]", "[1]", "{}", r#"{"jsonrpc":"2.0"}"#, r#"{"jsonrpc":"2.0","id":1}"#] {
        rows.push(row(body.to_owned(), -32600));
    }
    for (from, to) in [
        ("\"2.0\"", "\"1.0\""),
        ("\"2.0\"", "2.0"),
        ("\"id\":7", "\"id\":null"),
        ("\"id\":7", "\"id\":1.5"),
        ("\"id\":7", "\"id\":true"),
        ("\"id\":7", "\"id\":[7]"),
        ("\"tools/call\"", "7"),
        ("\"tools/call\"", "null"),
    ] {
        rows.push(row(good.replace(from, to), -32600));
    }
    for params in ["[]", "null", "\"x\"", "7"] {
        rows.push(row(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#), -32600));
    }
    for arguments in ["[]", "\"x\"", "7"] {
        rows.push(row(call(&format!(r#""name":"up__echo","arguments":{arguments},"#)), -32602));
    }
    rows.push(row(call(r#""name":7,"arguments":{},"#), -32602));
    rows.push(row(call(&format!(r#""name":"{}","arguments":{{}},"#, "n".repeat(300))), -32602));
    // A batch, and answers nobody asked for, do not exist in this revision.
    rows.push(row(format!("[{good}]"), -32600));
    rows.push(row(format!("[{good},{good}]"), -32600));
    rows.push(row(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#.to_owned(), -32600));
    rows.push(row(r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}"#.to_owned(), -32600));
    refused(&gate, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_arrive_byte_for_byte_and_nothing_else_does() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-06-18").await;
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(58), "]".repeat(58));
    for arguments in [
        r#"{"z":1,"a":2,"m":{"y":1,"b":2}}"#,
        r#"{"big":123456789012345678901234567890,"e":1e2,"x":1E+300,"f":1.0,"m":-0.0,"t":0.1000000000000000055511151231257827}"#,
        r#"{"s":"\u00e9\/\ud83d\ude00é\u0000","k\u0041":"\t"}"#,
        r#"{ "spaced" : [ 1 , 2 ],	"tab":	true }"#,
        r#"{"Name":"x","arguments":{},"jsonrpc":"1"}"#,
        r#"{"name ":"y","first name":"a","firstname":"b"}"#,
        deep.as_str(),
    ] {
        for (era, request) in [
            ("modern", gate.call("/mcp", &token, "up__echo", arguments)),
            ("legacy", {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"old__echo","arguments":{arguments}}}}}"#
                );
                gate.legacy("/mcp", &token, "2025-06-18", &session, &body)
            }),
        ] {
            let peer = if era == "modern" { &gate.up } else { &gate.old };
            let answer = gate.reach.send(&request).await;
            assert_eq!((answer.status, answer.code()), (200, 0), "{era} {arguments}: {}", answer.whole());
            assert_eq!(answer.json()["result"]["isError"], serde_json::Value::Null, "{era} {arguments}: {}", answer.whole());
            let seen = peer.calls().pop().unwrap();
            assert!(seen.body.contains(&format!("\"arguments\":{arguments}")), "{era} {arguments}: {}", seen.body);
        }
    }
    // Keys that a reader without case would take for one: a rule about arguments cannot be sure, so it refuses.
    let calls = gate.up.calls().len();
    for arguments in [
        r#"{"path":"/srv/x","Path":"/etc/x"}"#,
        r#"{"paſs":1,"pass":2}"#,
        r#"{"a":[{"K":1,"k":2}]}"#,
        r#"{"path":"/srv/x","path\u0000":"/etc/x"}"#,
        r#"{"path":"/srv/x","path ":"/etc/x"}"#,
        r#"{"path":"/srv/x","pa\u200bth":"/etc/x"}"#,
        // Alone, where the rule looks for its plain form.
        r#"{"Path":"/etc/x"}"#,
        r#"{"PATH":"/srv/x"}"#,
        r#"{"\uff50ath":"/etc/x"}"#,
        r#"{"path\u0000.txt":"/etc/x"}"#,
        r#"{"\tpath":"/etc/x"}"#,
    ] {
        let answer = gate.reach.send(&gate.call("/mcp", &token, "up__echo", arguments)).await;
        let reason = &answer.json()["result"]["_meta"]["dev.portcullis/denial"]["reason"];
        assert_eq!((reason, gate.up.calls().len()), (&"indeterminate".into(), calls), "{arguments}: {}", answer.whole());
    }
    let extra = r#""evil":"canary-1","names":"canary-2","n\u0430me":"canary-3","cursor":"canary-4","#;
    let meta = r#""example.org/x":{"a":"canary-0"},"dev.mcp/x":"canary-5","dev.portcullis/x":"canary-6","com.example/X":"canary-k","baggage":"canary-7","#;
    let request = of(&gate, &token, beside("", extra, meta)).add("X-Canary", "canary-8").add("Cookie", "canary-9");
    let answer = gate.reach.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    let seen = gate.up.calls().pop().unwrap();
    assert!(!seen.whole().replace("upstream-credential-canary", "").contains("canary-"), "{}", seen.whole());
}

/// The id comes back as it was sent, type and digits; the upstream sees one of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_kept_apart() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    for id in ["7", "\"7\"", "\"a\\u0041\"", "-1", "9007199254740993", "123456789012345678901234567890", "\"\""] {
        let request = gate.call("/mcp", &token, "up__echo", "{}").edit("\"id\":7", &format!("\"id\":{id}"));
        let answer = gate.reach.send(&request).await;
        assert!(answer.text().contains(&format!("\"id\":{id},")), "{id}: {}", answer.whole());
    }
    let ids: std::collections::BTreeSet<String> = gate.up.calls().iter().map(|call| call.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 7, "{ids:?}");
}
