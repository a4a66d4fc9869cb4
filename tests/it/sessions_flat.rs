//! Sessions are opened and never ended; the gateway does not grow.

use std::fs;

use serde_json::json;

use crate::echo::Echo;
use crate::gate::{Gate, Run};

/// Sessions that are opened before the first look: tables and pools get their size.
const WARM: usize = 1_000;
/// Sessions after it, unless `PORTCULLIS_SESSIONS` says otherwise.
const SESSIONS: usize = 2_500;
const PRINCIPALS: usize = 40;
/// Every so many sessions calls a tool of each upstream.
const CALLS_EVERY: usize = 8;
/// What the process may grow for no reason of ours, however many sessions there are, in KiB.
const SLACK_KIB: u64 = 8 * 1024;

const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: self_signed
identity:
  issuers: [{ issuer: "https://idp.example.com", jwks: "file:jwks.json", algorithms: [RS256, ES256, EdDSA] }]
routes:
  - { path: /mcp, upstreams: [modern, legacy] }
upstreams:
  - { name: modern, http: { url: "http://MODERN/mcp" } }
  - { name: legacy, http: { url: "http://LEGACY/mcp" } }
policies: [policy.yaml]
admin: { listen: "127.0.0.1:0" }
"#;

/// Resident memory of a process, in KiB.
fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Opens sessions of all principals in turn, some of which call tools, and ends none.
async fn open(gate: &Gate, sessions: usize) {
    let tokens: Vec<String> = (0..PRINCIPALS).map(|at| gate.token(&format!("p{at}"), &[])).collect();
    let mut conn = gate.reach.open().await;
    for at in 0..sessions {
        let token = &tokens[at % PRINCIPALS];
        conn.write(&gate.initialize("/mcp", token, "2025-11-25").bytes()).await;
        let opened = conn.response().await;
        let session = opened.header("mcp-session-id").unwrap_or_else(|| panic!("{}", opened.whole())).to_owned();
        for upstream in ["modern", "legacy"].into_iter().filter(|_| at.is_multiple_of(CALLS_EVERY)) {
            let params = json!({"name": format!("{upstream}__echo"), "arguments": {"nonce": "n"}});
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
            conn.write(&gate.legacy("/mcp", token, "2025-11-25", &session, &call).bytes()).await;
            let answer = conn.response().await;
            assert_eq!(answer.json()["result"]["content"][0]["text"], "n", "{}", answer.whole());
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figure is what long runs are made for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_nobody_ends_cost_nothing() {
    let sessions: usize = std::env::var("PORTCULLIS_SESSIONS").map_or(SESSIONS, |sessions| sessions.parse().unwrap());
    let (modern, legacy) = (Echo::start(false).await, Echo::start(true).await);
    let gate = Gate::program(|files| {
        files.config = CONFIG.replace("MODERN", &modern.addr.to_string()).replace("LEGACY", &legacy.addr.to_string());
        files.policy = crate::many_principals::POLICY.into();
    })
    .await;
    let Run::Process(process) = &gate.run else { panic!("runs elsewhere") };
    open(&gate, WARM).await;
    let before = rss_kib(process.pid);
    open(&gate, sessions).await;
    let grown = rss_kib(process.pid).saturating_sub(before);
    println!("{sessions} sessions made {before} KiB grow by {grown} KiB");
    assert!(grown <= SLACK_KIB, "{sessions} sessions made {before} KiB grow by {grown} KiB, {SLACK_KIB} KiB may be");
}
