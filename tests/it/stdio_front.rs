//! `connect`: the official Rust SDK over stdio, through the real program, to the gateway.

use std::process::Stdio;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RunningService};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::authserver::{Realm, query};
use crate::gate::Gate;
use crate::wire::SOON;

/// How long a bridge is watched that must not go on.
const HELD: Duration = Duration::from_millis(1_500);

/// The program, what it says to the person, and the SDK's client that speaks through it.
struct Front {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

fn command(gate: &Gate) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["connect", &gate.url("/mcp"), "--ca"]).arg(gate.dir.path().join("data/tls/ca.pem"));
    command.env("XDG_STATE_HOME", gate.dir.path().join("state")).env("BROWSER", "true").env_remove("PORTCULLIS_TOKEN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Front {
    fn start(mut command: Command) -> (Self, (tokio::process::ChildStdout, tokio::process::ChildStdin)) {
        let mut child = command.spawn().unwrap();
        let pipe = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        (Self { child, said }, pipe)
    }

    /// The next line for the person, or `None` once there is none.
    async fn said(&mut self) -> Option<String> {
        tokio::time::timeout(SOON, self.said.next_line()).await.unwrap().unwrap()
    }
}

async fn used<S: rmcp::Service<rmcp::RoleClient>>(client: &RunningService<rmcp::RoleClient, S>) {
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "up__echo"), "{tools:?}");
    let arguments = json!({"path": "/srv/x"}).as_object().cloned().unwrap();
    let result = client.call_tool(CallToolRequestParams::new("up__echo").with_arguments(arguments)).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    let arguments = json!({"path": "/etc/passwd"}).as_object().cloned().unwrap();
    let result = client.call_tool(CallToolRequestParams::new("up__echo").with_arguments(arguments)).await.unwrap();
    assert_eq!(result.is_error, Some(true), "policy decides as for everybody: {result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_either_era_works_over_stdio_with_a_token() {
    let gate = Gate::start().await;
    for mode in [
        ClientLifecycleMode::Initialize,
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
    ] {
        let mut command = command(&gate);
        command.env("PORTCULLIS_TOKEN", gate.token("alice", &["eng"]));
        let (mut front, pipe) = Front::start(command);
        let client = ().serve_with_lifecycle(pipe, mode).await.unwrap();
        used(&client).await;
        client.cancel().await.unwrap();
        let status = tokio::time::timeout(SOON, front.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(front.said().await, None, "nothing to tell");
    }
    let ends = gate.records().iter().filter(|record| record["http"] == 204 || record["outcome"]["http"] == 204).count();
    assert_eq!(ends, 1, "the session was ended, and there was one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_once_with_a_browser() {
    let realm = Realm::with("  dcr: { enabled: true }\n", |_| {}).await;
    let (mut front, pipe) = Front::start(command(&realm.gate));
    let client = tokio::spawn(async move { ().serve(pipe).await.unwrap() });
    let line = front.said().await.unwrap();
    let there = line.strip_prefix("portcullis: Sign in to the gateway: ").unwrap_or_else(|| panic!("{line}"));
    let browser = realm.browser();
    let back = realm.code(&browser, there.strip_prefix(&realm.origin()).unwrap(), "alice").await;
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    // Whoever knocks with another state is not let in, and does not end the wait.
    let forged = back.replace(&query(&back, "state").unwrap(), "forged");
    assert!(visit(&forged).await.starts_with("HTTP/1.1 400 "));
    assert!(visit(&back).await.contains("You are signed in"));
    assert_eq!(front.said().await.as_deref(), Some("portcullis: Signed in."));
    let client = tokio::time::timeout(SOON, client).await.unwrap().unwrap();
    used(&client).await;
    client.cancel().await.unwrap();
    front.child.wait().await.unwrap();

    let mut state = std::fs::read_dir(realm.gate.dir.path().join("state/portcullis/connect")).unwrap().map(Result::unwrap);
    let kept = state.find(|entry| entry.path().extension().is_some_and(|kind| kind == "json")).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read_to_string(kept.path()).unwrap();

    let (mut front, pipe) = Front::start(command(&realm.gate));
    let client = ().serve(pipe).await.unwrap();
    used(&client).await;
    client.cancel().await.unwrap();
    front.child.wait().await.unwrap();
    assert_eq!(front.said().await, None, "no second sign-in");
    assert_ne!(std::fs::read_to_string(kept.path()).unwrap(), before, "the rotated refresh token is kept");
    // While one of them renews, another waits: a refresh token that is shown twice would end the sign-in.
    let lock = std::fs::File::open(kept.path().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let (mut front, pipe) = Front::start(command(&realm.gate));
    let mut client = tokio::spawn(().serve(pipe));
    assert!(tokio::time::timeout(HELD, &mut client).await.is_err(), "renewed while another bridge did");
    lock.unlock().unwrap();
    used(&client.await.unwrap().unwrap()).await;
    front.child.kill().await.unwrap();
    // Several at once, one by one.
    let fronts: Vec<_> = (0..4).map(|_| Front::start(command(&realm.gate))).collect();
    let uses = fronts.into_iter().map(|(mut front, pipe)| async move {
        let client = ().serve(pipe).await.unwrap();
        used(&client).await;
        client.cancel().await.unwrap();
        front.child.wait().await.unwrap();
        assert_eq!(front.said().await, None, "no other sign-in");
    });
    futures_util::future::join_all(uses).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_said_and_ends_with_2() {
    let gate = Gate::start().await;
    for (url, why) in [
        ("http://gateway.example.com/mcp", "plain http is for loopback only"),
        ("ftp://gateway.example.com/mcp", "neither https nor http"),
        ("https://a:b@gateway.example.com/mcp", "no user name"),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["connect", url]).stdin(Stdio::null()).output();
        let ran = tokio::time::timeout(Duration::from_secs(20), ran).await.unwrap().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0), "{url}: {said}");
        assert!(said.contains(why), "{url}: {said}");
    }
    drop(gate);
}

/// A browser's visit to an address on this machine: the whole answer.
async fn visit(url: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
