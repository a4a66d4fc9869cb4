//! A call whose client goes away: in the newest revision that takes it back, in sessions it does not.

use std::time::Duration;

use serde_json::json;

use crate::echo::Echo;
use crate::gate::{Gate, soon};
use crate::many_principals::{POLICY, python};

const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: self_signed
identity:
  issuers: [{ issuer: "https://idp.example.com", jwks: "file:jwks.json", algorithms: [RS256, ES256, EdDSA] }]
routes:
  - { path: /mcp, upstreams: [modern, legacy, piped, old-pipe] }
upstreams:
  - { name: modern, http: { url: "http://MODERN/mcp" } }
  - { name: legacy, http: { url: "http://LEGACY/mcp" } }
  - { name: piped, stdio: { command: "PYTHON", args: ["-c", PIPE, modern, "NOTES"], danger_unsandboxed: true } }
  - { name: old-pipe, stdio: { command: "PYTHON", args: ["-c", PIPE, legacy, "NOTES"], danger_unsandboxed: true } }
policies: [policy.yaml]
admin: { listen: "127.0.0.1:0" }
"#;

/// Hangs on every call, and writes down what it is told; the answer comes when the file `release` is there.
const PIPE: &str = r#"
import sys, json, os, threading, time
era, here = sys.argv[1], sys.argv[2]
path = lambda name: os.path.join(here, era + "-" + name)
def note(name, text):
    with open(path(name), "a") as f: f.write(text + "\n")
def send(m): sys.stdout.write(json.dumps({"jsonrpc": "2.0", **m}) + "\n"); sys.stdout.flush()
def reply(m, r): send({"id": m["id"], "result": {**({"resultType": "complete"} if era == "modern" else {}), **r}})
def hang(m, nonce):
    while not os.path.exists(path("release")): time.sleep(0.01)
    reply(m, {"content": [{"type": "text", "text": nonce}]})
calls = {}
for line in sys.stdin:
    m = json.loads(line); method = m.get("method")
    if method == "server/discover" and era == "modern":
        reply(m, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 60000, "cacheScope": "private"})
    elif method == "initialize": reply(m, {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"}})
    elif method == "tools/list":
        reply(m, {"tools": [{"name": "hang", "inputSchema": {"type": "object"}}], "ttlMs": 60000, "cacheScope": "private"})
    elif method == "tools/call":
        nonce = m["params"]["arguments"]["nonce"]; calls[m["id"]] = nonce; note("begun", nonce)
        threading.Thread(target=hang, args=[m, nonce], daemon=True).start()
    elif method == "notifications/cancelled": note("cancelled", calls.get(m["params"]["requestId"], "?"))
    elif "id" in m and method: send({"id": m["id"], "error": {"code": -32601, "message": "Method not found"}})
"#;

/// The upstreams of a test, over HTTP and as processes.
struct Ups {
    modern: Echo,
    legacy: Echo,
    /// What the processes write down.
    notes: tempfile::TempDir,
    gate: Gate,
}

impl Ups {
    async fn start() -> Self {
        let (modern, legacy, notes) = (Echo::start(false).await, Echo::start(true).await, tempfile::tempdir().unwrap());
        let gate = Gate::with(|files| {
            files.config = CONFIG
                .replace("MODERN", &modern.addr.to_string())
                .replace("LEGACY", &legacy.addr.to_string())
                .replace("PYTHON", &python())
                .replace("NOTES", notes.path().to_str().unwrap())
                .replace("PIPE", &json!(PIPE).to_string());
            files.policy = POLICY.into();
        })
        .await;
        Self { modern, legacy, notes, gate }
    }

    fn noted(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.notes.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The calls that an upstream began, and those that were taken back there, by its own account.
    fn seen(&self, upstream: &str) -> (Vec<String>, Vec<String>) {
        match upstream {
            "modern" => (self.modern.begun(), self.modern.taken_back()),
            "legacy" => (self.legacy.begun(), self.legacy.taken_back()),
            "piped" => (self.noted("modern-begun"), self.noted("modern-cancelled")),
            _ => (self.noted("legacy-begun"), self.noted("legacy-cancelled")),
        }
    }

    fn release(&self) {
        self.modern.release();
        self.legacy.release();
        for era in ["modern", "legacy"] {
            std::fs::write(self.notes.path().join(format!("{era}-release")), "").unwrap();
        }
    }

    /// How calls of `nonce` at `upstream` ended, by the records.
    fn outcomes(&self, upstream: &str) -> Vec<String> {
        let name = format!("{upstream}__hang");
        let records = self.gate.records();
        let ends = records.iter().filter(|record| record["name"] == name && record["kind"] == "outcome");
        ends.map(|record| record["outcome"]["status"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

const UPSTREAMS: [&str; 4] = ["modern", "legacy", "piped", "old-pipe"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_newest_revision_takes_its_call_back_by_going_away() {
    let ups = Ups::start().await;
    let token = ups.gate.token("alice", &[]);
    for upstream in UPSTREAMS {
        let call = ups.gate.call("/mcp", &token, &format!("{upstream}__hang"), &json!({"nonce": upstream}).to_string());
        let mut conn = ups.gate.reach.open().await;
        conn.write(&call.bytes()).await;
        soon(&format!("the call begins at {upstream}"), || ups.seen(upstream).0 == [upstream]).await;
        assert!(ups.seen(upstream).1.is_empty(), "{upstream}");
        drop(conn);
        soon(&format!("the call is taken back at {upstream}"), || ups.seen(upstream).1 == [upstream]).await;
        soon(&format!("the record of {upstream}"), || ups.outcomes(upstream) == ["cancelled"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_a_session_does_not() {
    let ups = Ups::start().await;
    let token = ups.gate.token("alice", &[]);
    let session = ups.gate.session("/mcp", &token, "2025-11-25").await;
    for (id, upstream) in UPSTREAMS.into_iter().enumerate() {
        let params = json!({"name": format!("{upstream}__hang"), "arguments": {"nonce": upstream}});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        let mut conn = ups.gate.reach.open().await;
        conn.write(&ups.gate.legacy("/mcp", &token, "2025-11-25", &session, &call).bytes()).await;
        soon(&format!("the call begins at {upstream}"), || ups.seen(upstream).0 == [upstream]).await;
    }
    // The gateway saw the end of all connections once the gauge is down to whoever asks.
    let mut left = String::new();
    for _ in 0..500 {
        left = ups.gate.metric("portcullis_connections").await;
        if left == "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, "0");
    for upstream in UPSTREAMS {
        assert!(ups.outcomes(upstream).is_empty(), "{upstream} goes on");
    }
    ups.release();
    for upstream in UPSTREAMS {
        soon(&format!("the record of {upstream}"), || ups.outcomes(upstream) == ["completed"]).await;
        assert!(ups.seen(upstream).1.is_empty(), "{upstream}");
    }
}
