//! What upstreams fill in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::strings::{Hostile, all};
use super::{Sent, Tail, is_due, program, send_all, shown, token, trace, trace_line};
use crate::gate::Gate;
use crate::many_principals::python;
use crate::peer::{Answer, Seen, legacy, modern};
use crate::wire::Req;

/// What a call is answered with: `@` is the token, `~` the bytes, `ID` the id. A status and header lines, then the body.
const ANSWERS: &[(&str, &str)] = &[
    (
        JSON,
        r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","content":[{"type":"text","text":@}],"structuredContent":{@:@},"_meta":{@:@}}}"#,
    ),
    (JSON, r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":@,"content":[]}}"#),
    (JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":@,"data":{@:@}}}"#),
    (JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":@,"message":"x"}}"#),
    (JSON, r#"{"jsonrpc":"2.0","id":@,"result":{"resultType":"complete","content":[]}}"#),
    (JSON, "~"),
    ("200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ~\r\n", DONE),
    ("200 OK\r\ncontent-type: ~\r\n", DONE),
    ("200 OK\r\ncontent-type: application/json\r\nx-~: 1\r\n", DONE),
    ("200 ~\r\ncontent-type: application/json\r\n", DONE),
    ("400 Bad\r\ncontent-type: application/json\r\n", r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":@}}"#),
    ("401 No\r\nwww-authenticate: Bearer error=\"~\", scope=\"~\"\r\nlocation: ~\r\nretry-after: ~\r\n", "~"),
    (
        EVENTS,
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"error\",\"logger\":@,\"data\":@}}\n\ndata: DONE\n\n",
    ),
    (
        EVENTS,
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":@,\"progress\":1,\"message\":@}}\n\ndata: DONE\n\n",
    ),
    (EVENTS, "data: {\"jsonrpc\":\"2.0\",\"method\":@,\"params\":{}}\n\ndata: DONE\n\n"),
    (
        EVENTS,
        "data: {\"jsonrpc\":\"2.0\",\"id\":@,\"method\":\"elicitation/create\",\"params\":{\"message\":@}}\n\ndata: DONE\n\n",
    ),
    (EVENTS, ": ~\nid: ~\nevent: ~\nretry: ~\ndata: ~\n\ndata: DONE\n\n"),
];

const JSON: &str = "200 OK\r\ncontent-type: application/json\r\n";
const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream\r\n";
const DONE: &str = r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","content":[{"type":"text","text":"did"}]}}"#;

/// `template` with what it stands for.
fn filled(template: &str, hostile: &Hostile, id: &str) -> Vec<u8> {
    let template = template.replace("DONE", DONE).replace("ID", id);
    let mut out = Vec::new();
    for byte in template.bytes() {
        match byte {
            b'@' => out.extend(&hostile.token),
            b'~' => out.extend(&hostile.bytes),
            byte => out.push(byte),
        }
    }
    out
}

fn answer((head, body): (&str, &str), hostile: &Hostile, id: &str) -> Answer {
    let (head, body) = (filled(head, hostile, id), filled(body, hostile, id));
    let length = format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    Answer::Raw([b"HTTP/1.1 ".as_slice(), &head, length.as_bytes(), &body].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_an_answer_in_json() {
    every_answer("json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_an_answer_in_text() {
    every_answer("text").await;
}

/// Strings in every field of answers to calls, where log lines are in `format`.
async fn every_answer(format: &str) {
    let mut gate = program(format, |_| {}).await;
    let strings = Arc::new(all());
    let (theirs, given) = (strings.clone(), Arc::new(AtomicUsize::new(0)));
    let counts = given.clone();
    gate.up.behave(move |seen| {
        let request = seen.json();
        let asked = &request["params"]["arguments"]["n"];
        match asked.as_str().and_then(|asked| asked.split_once('.')) {
            Some((at, n)) => {
                let (at, n): (usize, usize) = (at.parse().unwrap(), n.parse().unwrap());
                counts.fetch_add(1, Ordering::SeqCst);
                answer(ANSWERS[at], &theirs[n], &request["id"].to_string())
            }
            None => modern(seen),
        }
    });
    let token = token(&gate, "alice", &["/mcp"]);
    let mut tail = Tail::of(&gate);
    let mut expected = 0;
    for (at, kind) in ANSWERS.iter().enumerate() {
        let mut requests = Vec::new();
        let mine: Vec<usize> = (0..strings.len()).filter(|n| is_due(format, at, *n)).collect();
        for n in &mine {
            let hostile = gate.call("/mcp", &token, "up__echo", &format!(r#"{{"n":"{at}.{n}"}}"#));
            // An upstream that fails again and again would be left alone.
            let good = gate.call("/mcp", &token, "up__echo", "{}");
            requests.extend([traced(&hostile, trace(at, *n)), traced(&good, trace(at, strings.len() + n))]);
        }
        given.store(0, Ordering::SeqCst);
        let answers = send_all(&gate, 2, &requests).await;
        assert!(given.load(Ordering::SeqCst) >= mine.len(), "{kind:?}: {given:?} of {}", mine.len());
        for answer in &answers {
            assert_eq!(answer.status, 200, "{kind:?}: {}", answer.whole());
            assert!(!answer.headers.iter().any(|(_, value)| value.contains(|c| super::is_raw(c) || c == '\u{fffd}')));
        }
        expected += requests.len();
        tail.settle(expected, kind.1).await;
        for request in &requests {
            assert_eq!(tail.records[request.trace.as_ref().unwrap()].len(), 1);
        }
    }
    end(&mut gate, &mut tail, format).await;
}

fn traced(request: &Req, trace: String) -> Sent {
    Sent { bytes: request.clone().add("traceparent", &trace_line(&trace)).bytes(), trace: Some(trace) }
}

async fn end(gate: &mut Gate, tail: &mut Tail, format: &str) -> String {
    shown::scraped(gate).await;
    assert_eq!(gate.terminate().await, Some(0));
    let log = shown::log(gate, format);
    tail.read();
    shown::everything(gate, format, tail.lines);
    log
}

/// Lists, what servers say of themselves, and names of sessions: an upstream that says another of them to everybody who asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_lists_and_handshakes() {
    let mut gate = program("text", |files| {
        files.config = files.config.replace("routes:\n", "routes:\n  - { path: /old, upstreams: [old] }\n");
    })
    .await;
    let strings = Arc::new(all());
    let now = Arc::new(AtomicUsize::new(0));
    // The string, and whether it is the session's name alone.
    let hostile = {
        let (strings, now) = (strings.clone(), now.clone());
        move || {
            let now = now.load(Ordering::SeqCst);
            (strings[now / 2].clone(), !now.is_multiple_of(2))
        }
    };
    let theirs = hostile.clone();
    gate.up.behave(move |seen| listed(seen, &theirs().0).unwrap_or_else(|| modern(seen)));
    gate.old.behave(move |seen| introduced(seen, hostile()).unwrap_or_else(|| legacy(seen)));
    let mut tail = Tail::of(&gate);
    let mut expected = 0;
    for (n, hostile) in strings.iter().enumerate() {
        let who = |at: usize| token(&gate, &format!("reader-{n}-{at}"), &["/new", "/old"]);
        let lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];
        let lists = lists.map(|method| gate.modern("/new", &who(0), method, "")).into_iter();
        let both = [
            lists.chain([gate.modern("/old", &who(0), "tools/list", "")]).collect::<Vec<Req>>(),
            vec![gate.call("/old", &who(1), "old__echo", "{}")],
        ];
        for (session_alone, requests) in both.iter().enumerate() {
            now.store(2 * n + session_alone, Ordering::SeqCst);
            let requests = requests.iter().enumerate().map(|(at, request)| traced(request, trace(8 * session_alone + at, n)));
            let requests: Vec<Sent> = requests.collect();
            for answer in send_all(&gate, 4, &requests).await {
                assert!(answer.status < 500 && answer.json().is_object(), "{hostile:?}: {}", answer.whole());
            }
            expected += requests.len();
        }
        tail.read();
    }
    tail.settle(expected, "lists").await;
    assert!(tail.records.values().all(|records| records.len() == 1) && tail.records.len() == expected);
    let log = end(&mut gate, &mut tail, "text").await;
    assert!(log.matches("an item is not shown").count() > 200, "{log}");
}

/// Lists in which everything is hostile.
fn listed(seen: &Seen, hostile: &Hostile) -> Option<Answer> {
    let items = match seen.rpc().as_str() {
        "tools/list" => {
            r#""tools":[{"name":"echo","title":@,"description":@,"inputSchema":{"type":"object","properties":{@:{"type":"string","description":@}}},"annotations":{"title":@},"icons":[{"src":@}]},{"name":@,"inputSchema":{"type":"object"}}]"#
        }
        "prompts/list" => r#""prompts":[{"name":"greet","description":@,"arguments":[{"name":@,"description":@}]},{"name":@}]"#,
        "resources/list" => r#""resources":[{"uri":"file:///srv/public/a","name":@,"mimeType":@},{"uri":@,"name":"b"}]"#,
        "resources/templates/list" => r#""resourceTemplates":[{"uriTemplate":@,"name":@}],"nextCursor":@"#,
        _ => return None,
    };
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{{"resultType":"complete","ttlMs":0,"cacheScope":"private",{items}}}}}"#);
    Some(answer(("200 OK\r\ncontent-type: application/json\r\n", &body), hostile, &seen.json()["id"].to_string()))
}

/// A server that introduces itself so. A handshake is over with the first thing that is wrong.
fn introduced(seen: &Seen, (hostile, session_alone): (Hostile, bool)) -> Option<Answer> {
    if seen.rpc() != "initialize" {
        return None;
    }
    let (body, head) = if session_alone {
        (
            r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"x","version":"1"},"capabilities":{"tools":{}}}}"#,
            "200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ~\r\n",
        )
    } else {
        (
            r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":@,"title":@,"version":@},"instructions":@,"capabilities":{"tools":{},@:{}}}}"#,
            "200 OK\r\ncontent-type: application/json\r\nmcp-session-id: sound\r\n",
        )
    };
    Some(answer((head, body), &hostile, &seen.json()["id"].to_string()))
}

/// Says every string on its standard error, and some that are no messages on its standard output.
const PIPE: &str = r#"
import sys, json
err, out = sys.stderr.buffer, sys.stdout.buffer
for at, line in enumerate(open(sys.argv[1])):
    said = bytes.fromhex(line)
    err.write(b"said " + said + b"\n"); err.flush()
    if at < 90: out.write(said.replace(b"\n", b" ") + b"\n"); out.flush()
def reply(m, r): out.write((json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": {"resultType": "complete", **r}}) + "\n").encode()); out.flush()
for line in sys.stdin:
    m = json.loads(line); method = m.get("method")
    if method == "server/discover":
        reply(m, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 60000, "cacheScope": "private"})
    elif method == "tools/list":
        reply(m, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}], "ttlMs": 60000, "cacheScope": "private"})
    elif "id" in m: reply(m, {"content": [{"type": "text", "text": "did"}]})
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_says_on_its_error_output() {
    for format in ["json", "text"] {
        let strings = all();
        let said: String = strings.iter().map(|hostile| format!("{}\n", hex(&hostile.bytes))).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), said).unwrap();
        let mut gate = program(format, |files| {
            let args = json!(["-c", PIPE, file.path()]);
            let pipe =
                format!("  - {{ name: pipe, stdio: {{ command: {}, args: {args}, danger_unsandboxed: true }} }}\n", python());
            files.config = files.config.replace("upstreams:\n", &format!("upstreams:\n{pipe}"));
            files.config = files.config.replace("routes:\n", "routes:\n  - { path: /pipe, upstreams: [pipe] }\n");
        })
        .await;
        let mut tail = Tail::of(&gate);
        let token = token(&gate, "alice", &["/pipe"]);
        let answer = gate.reach.send(&gate.call("/pipe", &token, "pipe__echo", "{}")).await;
        assert!(answer.text().contains("did"), "{}", answer.whole());
        tail.settle(1, "the call").await;
        let log = end(&mut gate, &mut tail, format).await;
        let lines = log.lines().filter(|line| line.contains("stderr: ")).count();
        assert!(lines > strings.len(), "{lines}: {log}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
