//! Upstreams that are child processes: small scripts that speak, and misspeak, the protocol.

use super::*;
use crate::vocab::FaultKind;

/// What every script starts with. `handle` is given each request that is not the handshake.
pub(super) const SERVER: &str = r#"
import sys, json, os, time
def send(m):
    sys.stdout.write((m if isinstance(m, str) else json.dumps(m)) + "\n"); sys.stdout.flush()
def reply(m, **r): send({"jsonrpc": "2.0", "id": m["id"], "result": r})
def serve(handle, era="legacy", log=None):
    for line in sys.stdin:
        if log: open(log, "a").write(line)
        m = json.loads(line)
        method = m.get("method")
        if method == "server/discover":
            if era == "modern": reply(m, resultType="complete", supportedVersions=["2026-07-28"], capabilities={"tools": {}})
            elif era == "exits": sys.exit(1)
            elif era in ("legacy", "refuses"): send({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}})
        elif method == "initialize" and era == "refuses":
            if os.path.exists(log + ".hangs"): time.sleep(60)
            send({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32602, "message": "no"}})
        elif method == "initialize":
            reply(m, protocolVersion="2025-11-25", capabilities={"tools": {}}, serverInfo={"name": "x", "version": "1"})
        elif method == "tools/call":
            handle(m, m["params"]["name"])
"#;

const PLAIN: &str = r#"
def handle(m, name):
    if name == "pid": reply(m, pid=os.getpid())
    elif name == "env": reply(m, env=sorted(os.environ), cwd=os.listdir("."), home=os.environ["HOME"] == os.getcwd())
    elif name == "die": sys.exit(3)
    elif name == "hang": pass
    elif name == "junk":
        send("hello, I am a banner"); send('{"jsonrpc":"2.0","id":9999,"result":{}}'); reply(m, ok=1)
    elif name == "long": send("x" * 1000000)
    elif name == "flood":
        for i in range(2000): send({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": m["id"], "progress": i}})
        reply(m, ok=1)
    elif name == "list":
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}); reply(m, ok=1)
    elif name == "ask":
        send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        a = json.loads(sys.stdin.readline()); reply(m, code=a["error"]["code"], id=a["id"])
    elif name in ("consult", "sample"):
        q = {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}
        send(q if name == "consult" else {**q, "method": "sampling/createMessage", "params": {"messages": []}})
        while True:
            a = json.loads(sys.stdin.readline())
            if a.get("id") == "q": break
        reply(m, said=a)
    elif name == "half": send('{"jsonrpc":"2.0","id":%d,"result":{"text":"a\\ud83d","more":"\\ud83d\\ude00"}}' % m["id"])
    elif name == "count": reply(m, arguments=m["params"].get("arguments"))
"#;

fn script(era: &str, log: Option<&std::path::Path>) -> UpstreamSettings {
    let log = log.map_or("None".to_owned(), |path| format!("{path:?}"));
    let text = format!("{SERVER}{PLAIN}\nserve(handle, era={era:?}, log={log})\n");
    let env = vec![("TOKEN".to_owned(), "s3cret".to_owned().into())];
    settings(Transport::Stdio { command: python(), args: vec!["-c".to_owned(), text], env, cwd: None })
}

/// The interpreter itself: what is in `PATH` may be a wrapper with an environment of its own.
pub(super) fn python() -> String {
    static PATH: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let out = std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    });
    PATH.clone()
}

/// As JavaScript writes a text that was cut in the middle of a character.
#[tokio::test]
async fn half_a_character_is_read_as_a_sign_that_one_is_missing() {
    let (_registry, upstream, _) = registry(script("legacy", None));
    assert_eq!(call(&upstream, "a", "half").await.unwrap(), r#""text":"a\ufffd","more":"\ud83d\ude00""#);
}

#[tokio::test]
async fn each_owner_has_a_process_of_each_era() {
    for (era, revision) in
        [("modern", Revision::V2026_07_28), ("legacy", Revision::V2025_11_25), ("exits", Revision::V2025_11_25)]
    {
        let (registry, upstream, _) = registry(script(era, None));
        let facts = upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
        assert_eq!((facts.revision, facts.capabilities.tools), (revision, true), "{era}");
        let (a, b) = tokio::join!(call(&upstream, "a", "pid"), call(&upstream, "b", "pid"));
        assert_ne!(a.as_ref().unwrap(), &b.unwrap());
        assert_eq!(a.unwrap(), call(&upstream, "a", "pid").await.unwrap(), "{era}");
        registry.shutdown(soon()).await;
    }
}

#[tokio::test]
async fn silence_on_discovery_leads_to_initialize() {
    let mut settings = script("silent", None);
    settings.timeout = Duration::from_secs(3);
    let (registry, upstream, _) = registry(settings);
    let facts = upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    assert_eq!(facts.revision, Revision::V2025_11_25);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_process_sees_nothing_of_our_environment() {
    let (registry, upstream, _) = registry(script("modern", None));
    let got = call(&upstream, "a", "env").await.unwrap();
    assert_eq!(got, r#""env":["HOME", "LANG", "PATH", "TOKEN"],"cwd":[],"home":true"#);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_shared_process_is_one() {
    let mut settings = script("legacy", None);
    settings.shared = true;
    let (registry, upstream, lists) = registry(settings);
    assert_eq!(call(&upstream, "a", "pid").await.unwrap(), call(&upstream, "b", "pid").await.unwrap());
    call(&upstream, "a", "list").await.unwrap();
    assert_eq!(*lists.lock(), ["u None Tools"]);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn misbehaviour_is_a_fault_and_the_next_call_has_a_new_process() {
    let (registry, upstream, lists) = registry(script("modern", None));
    assert_eq!(call(&upstream, "a", "junk").await.unwrap(), r#""ok":1"#);
    assert_eq!(call(&upstream, "a", "list").await.unwrap(), r#""ok":1"#);
    assert_eq!(*lists.lock(), [r#"u Some("a") Tools"#]);
    let before = call(&upstream, "a", "pid").await.unwrap();
    let hanging = upstream.call(permit("hang"), &who("a"), &tool("hang"), soon()).await.unwrap();
    for (name, kind) in [("die", FaultKind::Unreachable), ("long", FaultKind::TooLarge)] {
        assert_eq!(call(&upstream, "a", name).await.unwrap_err().kind, kind, "{name}");
    }
    let mut hanging = hanging;
    assert_eq!(finish(&mut hanging).await.unwrap_err().kind, FaultKind::Unreachable);
    let after = call(&upstream, "a", "pid").await.unwrap();
    assert_ne!(before, after);
    // Nobody reads while 2000 events come: that call is lost, the process and the other calls are not.
    let mut slow = upstream.call(permit("flood"), &who("a"), &tool("flood"), soon()).await.unwrap();
    assert_eq!(call(&upstream, "a", "pid").await.unwrap(), after);
    assert_eq!(finish(&mut slow).await.unwrap_err().kind, FaultKind::Exhausted);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_question_is_refused_and_the_call_goes_on() {
    let (registry, upstream, _) = registry(script("legacy", None));
    assert_eq!(call(&upstream, "a", "ask").await.unwrap(), r#""code":-32601,"id":"q""#);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn dropping_an_answer_cancels_by_notification() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (registry, upstream, _) = registry(script("modern", Some(&log)));
    let answer = upstream.call(permit("hang"), &who("a"), &tool("hang"), soon()).await.unwrap();
    drop(answer);
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(within_2s(|| text().contains("notifications/cancelled")).await, "{}", text());
    let id = text().lines().find(|l| l.contains("tools/call")).unwrap().split_once("\"id\":").unwrap().1.chars().next().unwrap();
    assert!(text().contains(&format!("\"requestId\":{id}")));
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn arguments_cannot_smuggle_a_second_message() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (registry, upstream, _) = registry(script("modern", Some(&log)));
    let inner = r#"{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"die"}}"#;
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("{{\"x\":[{end}{inner}{end}]}}");
        let mut out = tool("count");
        out.arguments = Some(RawJson::parse(text.into(), 32).unwrap());
        let mut answer = upstream.call(permit("count"), &who("a"), &out, soon()).await.unwrap();
        assert!(finish(&mut answer).await.unwrap().contains("\"die\""));
    }
    let text = std::fs::read_to_string(&log).unwrap();
    // Discovery and three calls, each a line of its own and nothing else.
    assert_eq!(text.lines().count(), 4, "{text}");
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn processes_are_bounded_and_idle_ones_make_room() {
    let mut settings = script("modern", None);
    settings.limits.processes_max = 1;
    let (registry, upstream, _) = registry(settings);
    let a = call(&upstream, "a", "pid").await.unwrap();
    let b = call(&upstream, "b", "pid").await.unwrap();
    assert_ne!(a, b);
    let busy = upstream.call(permit("hang"), &who("b"), &tool("hang"), soon()).await.unwrap();
    assert_eq!(call(&upstream, "c", "pid").await.unwrap_err().kind, FaultKind::Exhausted);
    drop(busy);
    assert_ne!(call(&upstream, "c", "pid").await.unwrap(), b);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn shutdown_ends_the_whole_group_and_removes_its_directory() {
    // Ignores the closed input and SIGTERM, and has a child of its own.
    let text = format!(
        "{SERVER}\nimport signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
         child = subprocess.Popen(['sleep', '600'])\n\
         def handle(m, name): reply(m, pid=os.getpid(), child=child.pid, dir=os.getcwd())\n\
         serve(handle, era='modern')\ntime.sleep(600)\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let transport = Transport::Stdio { command: python(), args: vec!["-c".to_owned(), text], env: Vec::new(), cwd: None };
    let mut settings = settings(transport);
    settings.limits.work_dir = dir.path().join("work");
    let (registry, upstream, _) = registry(settings);
    let got = call(&upstream, "a", "t").await.unwrap();
    let number = |key: &str| got.split_once(key).unwrap().1.split(',').next().unwrap().to_owned();
    let alive = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
    let (pid, child) = (number("\"pid\":"), number("\"child\":"));
    assert!(alive(&pid) && alive(&child));
    registry.shutdown(Deadline::after(Duration::from_secs(8))).await;
    assert!(within_2s(|| !alive(&pid) && !alive(&child)).await);
    assert_eq!(std::fs::read_dir(dir.path().join("work")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_program_that_cannot_start_or_speak_is_unreachable() {
    for (command, args) in [("/does/not/exist", vec![]), ("false", vec![]), ("sh", vec!["-c".to_owned(), "exit 3".to_owned()])] {
        let transport = Transport::Stdio { command: command.to_owned(), args, env: Vec::new(), cwd: None };
        let (registry, upstream, _) = registry(settings(transport));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Unreachable, "{command}");
        registry.shutdown(soon()).await;
    }
}

#[tokio::test]
async fn a_process_asks_during_the_only_call_that_it_may_ask_in() {
    let (registry, upstream, _) = registry(script("legacy", None));
    let roots = ClientCaps { roots: true, ..ClientCaps::NONE };
    let begin = |name: &'static str| {
        let out = Outgoing { session_capabilities: roots, ..tool(name) };
        let upstream = &upstream;
        async move { upstream.call(permit(name), &who("a"), &out, soon()).await.unwrap() }
    };
    // With two calls in flight nobody knows which one asks, and the other one is not over in time.
    let hanging = begin("hang").await;
    let refused = finish(&mut begin("consult").await).await.unwrap();
    assert!(refused.contains(r#""error": {"code": -32601"#), "{refused}");
    drop(hanging);
    let mut answer = begin("consult").await;
    let Some(Ok(Event::Question { id, method, params })) = answer.next().await else { panic!() };
    assert_eq!((id.as_str(), method.as_str(), params.is_none()), ("\"q\"", "roots/list", true));
    answer.answer(&id, QuestionReply::Result(RawJson::of_static(r#"{"roots":[]}"#))).await.unwrap();
    assert_eq!(finish(&mut answer).await.unwrap(), r#""said":{"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}"#);
    // Sampling was not granted.
    let refused = finish(&mut begin("sample").await).await.unwrap();
    assert!(refused.contains(r#""error": {"code": -32601"#), "{refused}");
    registry.shutdown(soon()).await;
}

/// A process that announces what it is told to by calls named `say`, each of whose arguments is a message.
const ANNOUNCER: &str = r#"
import sys, json
def send(m): sys.stdout.write(json.dumps(m) + "\n"); sys.stdout.flush()
def note(method, params, listen=None):
    if listen is not None: params = {**params, "_meta": {"io.modelcontextprotocol/subscriptionId": listen}}
    send({"jsonrpc": "2.0", "method": "notifications/" + method, "params": params})
listens = []
for line in sys.stdin:
    open(LOG, "a").write(line)
    m = json.loads(line); method = m.get("method"); params = m.get("params", {}); id = m.get("id")
    def reply(**r): send({"jsonrpc": "2.0", "id": id, "result": r})
    capabilities = {"tools": {}, "resources": {"subscribe": True}}
    if method == "server/discover":
        if MODERN: reply(resultType="complete", supportedVersions=["2026-07-28"], capabilities=capabilities)
        else: send({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}})
    elif method == "initialize": reply(protocolVersion="2025-11-25", capabilities=capabilities)
    elif method == "subscriptions/listen":
        listens.append(id); note("subscriptions/acknowledged", {"notifications": params["notifications"]}, id)
    elif method in ("resources/subscribe", "resources/unsubscribe"): reply()
    elif method == "tools/call" and params["name"] == "die": sys.exit(1)
    elif method == "tools/call":
        note("message", {"level": "info", "data": "for the call"})
        for listen in listens if MODERN else [None]:
            note("resources/updated", {"uri": "x:y"}, listen); note("tools/list_changed", {}, listen)
            note("resources/updated", {"uri": "a:b"}, listen)
        reply(ok=1)
"#;

fn announcer(modern: bool, log: &std::path::Path) -> UpstreamSettings {
    let modern = if modern { "True" } else { "False" };
    let text = format!("MODERN = {modern}\nLOG = {log:?}\n{ANNOUNCER}");
    settings(Transport::Stdio { command: python(), args: vec!["-c".to_owned(), text], env: Vec::new(), cwd: None })
}

#[tokio::test]
async fn a_process_is_watched_and_watched_again_when_it_is_replaced() {
    use super::watch::{next, updated, watch};
    use crate::mcp::reply::Listing;
    for modern in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let (registry, upstream, hooked) = registry(announcer(modern, &log));
        let said = |what: &str| std::fs::read_to_string(&log).unwrap_or_default().matches(what).count();
        let mut one = watch(&upstream, "a", &["a:b"]).await.unwrap();
        let mut two = watch(&upstream, "a", &["a:b", "x:y"]).await.unwrap();
        assert_eq!((one.honoured().uris.len(), two.honoured().uris.len()), (1, 2), "{modern}");
        let mut answer = upstream.call(permit("say"), &who("a"), &tool("say"), soon()).await.unwrap();
        assert!(
            matches!(answer.next().await, Some(Ok(Event::Log { .. }))),
            "a watch is no call that could have logged: {modern}"
        );
        finish(&mut answer).await.unwrap();
        let tools = || Happening::ListChanged(Listing::Tools);
        assert_eq!((next(&mut one).await.unwrap(), next(&mut one).await.unwrap()), (tools(), updated("a:b")));
        let got = (next(&mut two).await.unwrap(), next(&mut two).await.unwrap(), next(&mut two).await.unwrap());
        assert_eq!(got, (updated("x:y"), tools(), updated("a:b")), "{modern}");
        // Once per announcement: an upstream with sessions makes one for all, one without makes one for each.
        assert_eq!(hooked.lock().len(), if modern { 2 } else { 1 });
        let (asked, undone) = if modern {
            ("subscriptions/listen", "notifications/cancelled")
        } else {
            ("resources/subscribe", "resources/unsubscribe")
        };
        assert_eq!(said(asked), 2, "{modern}");
        drop(two);
        assert!(within_2s(|| said(undone) == 1).await, "{modern}");
        assert!(call(&upstream, "a", "die").await.is_err());
        assert_eq!(next(&mut one).await.unwrap(), Happening::Missed, "{modern}");
        assert_eq!(said(asked), 3, "{modern}");
        call(&upstream, "a", "say").await.unwrap();
        assert_eq!(next(&mut one).await.unwrap(), tools());
        registry.shutdown(soon()).await;
        assert_eq!(next(&mut one).await.unwrap_err().kind, FaultKind::ShuttingDown, "{modern}");
    }
}

#[tokio::test]
async fn a_process_that_is_known_and_answers_no_calls_is_left_alone() {
    let (_registry, upstream, _) = registry(script("legacy", None));
    let ready = async || upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await;
    for _ in 0..5 {
        assert!(ready().await.is_ok() && upstream.is_up());
        let shortly = Deadline::after(Duration::from_millis(200));
        let mut answer = upstream.call(permit("hang"), &who("a"), &tool("hang"), shortly).await.unwrap();
        assert_eq!(finish(&mut answer).await.unwrap_err().kind, FaultKind::Timeout);
    }
    assert!(!upstream.is_up() && ready().await.is_err());
}

#[tokio::test]
async fn a_process_that_refuses_its_handshake_is_no_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, hangs) = (dir.path().join("log"), dir.path().join("log.hangs"));
    let (_registry, upstream, _) = registry(script("refuses", Some(&log)));
    let ready = async |ms| {
        let deadline = Deadline::after(Duration::from_millis(ms));
        upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), deadline).await.unwrap_err().kind
    };
    std::fs::write(&hangs, "").unwrap();
    for _ in 0..4 {
        assert_eq!(ready(1_000).await, FaultKind::Timeout);
    }
    std::fs::remove_file(&hangs).unwrap();
    assert_eq!(ready(10_000).await, FaultKind::Failed);
    std::fs::write(&hangs, "").unwrap();
    assert_eq!(ready(1_000).await, FaultKind::Timeout);
    assert!(upstream.is_up(), "its failures do not follow each other");
}
