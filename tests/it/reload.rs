//! A set of files is in force as a whole or not at all, and a call ends under the set it began with.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::gate::{CONFIG, Gate, POLICY, Run, soon};
use crate::peer::{Answer, Peer, modern};
use crate::wire::Req;

const SUCCESS: &str = "portcullis_config_last_reload_success";

async fn reloaded(gate: &Gate, success: &str) {
    for _ in 0..500 {
        if gate.metric(SUCCESS).await == success {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{SUCCESS} is not {success}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_set_leaves_the_good_one_in_force() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let call = || gate.call("/mcp", &token, "up__echo", "{}");
    assert_eq!(gate.metric(SUCCESS).await, "1");
    assert!(gate.reach.send(&call()).await.text().contains("did"));
    let denies = "version: 1\nrules:\n  - { id: none, effect: deny, tools: [\"*\"] }\n";
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    for (file, broken) in [
        ("policy.yaml", "rules: [".to_owned()),
        ("policy.yaml", String::new()),
        ("policy.yaml", format!("{denies}  - {{ id: none, effect: deny, tools: [\"*\"] }}\n")),
        (
            "policy.yaml",
            format!("{denies}  - {{ id: two, effect: allow, principals: [\"group:nobody-named\"], tools: [\"*\"] }}\n"),
        ),
        ("policy.yaml", denies.replace("effect: deny", "effect: perhaps")),
        ("policy.yaml", format!("{denies}mode: shadowed\n")),
        ("portcullis.yaml", "version: 2\n".to_owned()),
        ("portcullis.yaml", config.replace("data_dir: data", "data_dir: elsewhere")),
        ("portcullis.yaml", config.replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1")),
        ("portcullis.yaml", config.replace("upstreams: [up, old]", "upstreams: [up, lost]")),
        ("portcullis.yaml", format!("{config}telemetry: {{ log: debug }}\n")),
        ("portcullis.yaml", format!("{config}telemetry: {{ log_format: text }}\n")),
        ("portcullis.yaml", config.replace("depth: 64", "depth: 64, header_timeout: 3s")),
        ("portcullis.yaml", config.replace("depth: 64", "depth: 64, connections: 99")),
        ("portcullis.yaml", config.replace("depth: 64", "depth: 64, in_flight: 99")),
        ("portcullis.yaml", config.replace("127.0.0.1:0\" }", "127.0.0.1:0\", allowed_hosts: [ops.example.com] }")),
    ] {
        let good = std::fs::read_to_string(gate.dir.path().join(file)).unwrap();
        gate.reload(file, &broken);
        reloaded(&gate, "0").await;
        let answer = gate.reach.send(&call()).await;
        assert!(answer.text().contains("did"), "{broken}: {}", answer.whole());
        assert_eq!(gate.admin("/readyz").await.status, 200);
        gate.reload(file, &good);
        reloaded(&gate, "1").await;
    }
    gate.reload("policy.yaml", denies);
    let before = gate.records().last().unwrap()["decision"]["policy"].clone();
    let mut calls = 0;
    loop {
        let answer = gate.reach.send(&call()).await;
        if answer.code() == -32602 {
            break;
        }
        calls += 1;
        assert!(answer.text().contains("did") && calls < 1_000, "{}", answer.whole());
    }
    let done = gate.up.calls().len();
    assert_eq!(gate.reach.send(&call()).await.code(), -32602);
    assert_eq!(gate.up.calls().len(), done);
    soon("the record", || gate.records().last().unwrap()["decision"]["policy"] != before).await;
    gate.reload("policy.yaml", POLICY);
    for _ in 0..1_000 {
        if gate.reach.send(&call()).await.text().contains("did") {
            return;
        }
    }
    panic!("the good policy came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_under_the_set_it_began_with() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    assert!(gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await.text().contains("did"));
    gate.settled(1).await;
    let told = Arc::new(Notify::new());
    let tell = told.clone();
    gate.up.behave(move |seen| match seen.rpc().as_str() {
        "tools/call" => Answer::Once(told.clone(), Box::new(modern(seen))),
        _ => modern(seen),
    });
    let digest = gate.records()[0]["decision"]["policy"].clone();
    let mut conn = gate.reach.open().await;
    conn.write(&gate.call("/mcp", &token, "up__write", "{}").bytes()).await;
    soon("the call", || gate.up.calls().len() == 2).await;
    gate.reload("policy.yaml", "version: 1\nrules:\n  - { id: none, effect: deny, tools: [\"*\"] }\n");
    for _ in 0..1_000 {
        if gate.reach.send(&gate.call("/mcp", &token, "old__echo", "{}")).await.code() == -32602 {
            break;
        }
    }
    tell.notify_one();
    let answer = conn.response().await;
    assert!(answer.text().contains("did"), "{}", answer.whole());
    soon("its record", || gate.records().iter().any(|r| r["name"] == "up__write" && r["kind"] == "outcome")).await;
    let records = gate.records();
    let write = records.iter().find(|r| r["name"] == "up__write" && r["kind"] == "outcome").unwrap();
    assert_eq!((&write["decision"]["policy"], &write["decision"]["effect"]), (&digest, &"allow".into()));
}

/// A request whose upstream is replaced between its head and its body is served as if it had not been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_meets_one_configuration() {
    let gate = Gate::start().await;
    let other = Peer::start(modern).await;
    let token = gate.token("alice", &["eng"]);
    let bytes = gate.call("/mcp", &token, "up__write", "{}").bytes();
    let (start, rest) = bytes.split_at(bytes.len() - 10);
    let mut conn = gate.reach.open().await;
    conn.write(start).await;
    for _ in 0..500 {
        if gate.metric("portcullis_in_flight").await == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(&gate.up.addr.to_string(), &other.addr.to_string()));
    for _ in 0..1_000 {
        assert!(gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await.text().contains("did"));
        if other.calls().len() == 1 {
            break;
        }
    }
    assert_eq!(other.calls().len(), 1);
    // Longer than a replaced upstream without calls would be kept for.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let before = gate.up.calls().len();
    conn.write(rest).await;
    let answer = conn.response().await;
    assert!(answer.text().contains("did"), "{}", answer.whole());
    assert_eq!((gate.up.calls().len(), other.calls().len()), (before + 1, 1));
}

/// A listener that cannot have its certificate keeps everything else from being replaced, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_replaced_without_a_certificate() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let call = || gate.call("/mcp", &token, "up__echo", "{}");
    let (tls, away) = (gate.dir.path().join("data/tls"), gate.dir.path().join("data/away"));
    std::fs::rename(&tls, &away).unwrap();
    std::fs::write(&tls, "not a directory").unwrap();
    let denies = "version: 1\nrules:\n  - { id: none, effect: deny, tools: [\"*\"] }\n";
    gate.reload("policy.yaml", denies);
    reloaded(&gate, "0").await;
    assert!(gate.reach.send(&call()).await.text().contains("did"));
    std::fs::remove_file(&tls).unwrap();
    std::fs::rename(&away, &tls).unwrap();
    gate.reload("policy.yaml", denies);
    reloaded(&gate, "1").await;
    assert_eq!(gate.reach.send(&call()).await.code(), -32602);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_public_url_the_bound_address_is_what_clients_see() {
    let public = "\npublic_url: https://localhost:4444\n";
    let gate = Gate::with(|files| files.config.push_str(public)).await;
    let resource = async || {
        let path = "/.well-known/oauth-protected-resource/mcp";
        let host = gate.authority();
        gate.reach.send(&Req::new("GET", path).add("Host", &host)).await.json()["resource"].clone()
    };
    assert_eq!(resource().await, "https://localhost:4444/mcp");
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(public, "\n"));
    for _ in 0..1_000 {
        if resource().await == gate.url("/mcp") {
            return;
        }
    }
    panic!("{} is not {}", resource().await, gate.url("/mcp"));
}

/// As an operator does it: the program is told by a signal, and says whether it worked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_at_once() {
    let gate = Gate::program(|_| {}).await;
    let Run::Process(process) = &gate.run else { panic!("runs in process") };
    let pid = nix::unistd::Pid::from_raw(i32::try_from(process.pid).unwrap());
    for (policy, success) in [("rules: [", "0"), (POLICY, "1")] {
        std::fs::write(gate.dir.path().join("policy.yaml"), policy).unwrap();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
        reloaded(&gate, success).await;
    }
}

/// What this build does not do is an error before anything listens.
#[test]
fn what_is_not_built_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jwks.json"), crate::keys::jwks()).unwrap();
    std::fs::write(dir.path().join("policy.yaml"), POLICY).unwrap();
    let good = CONFIG.replace("//UP/", "//127.0.0.1:9/").replace("//OLD/", "//127.0.0.1:9/");
    let file = dir.path().join("portcullis.yaml");
    let run = |verb: &str| {
        let ran = Command::new(env!("CARGO_BIN_EXE_portcullis")).args([verb, "--config"]).arg(&file).output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr))
    };
    for (more, expected) in [
        ("audit: { sinks: [{ file: a }, { file: b }] }", "audit.sinks[1]"),
        ("audit: { sinks: [{ file: a }, { kafka: { brokers: [b] } }] }", "audit.sinks[1].kafka"),
        ("telemetry: { otlp: \"http://collector:4318\" }", "telemetry.otlp"),
        ("state: { redis: \"rediss://127.0.0.1\" }", "state"),
        ("keys: { seal: x }", "keys"),
        ("authserver: { enabled: true }", "authserver.upstream"),
        ("lock: { mode: require }", "lock"),
        ("approvals: { leases: true }", "approvals.leases: unknown key"),
        ("surprise: 1", "surprise: unknown key"),
    ] {
        std::fs::write(&file, format!("{good}{more}\n")).unwrap();
        for verb in ["check", "serve"] {
            let (code, said) = run(verb);
            assert_eq!(code, Some(2), "{verb} {more}: {said}");
            assert!(said.contains(expected), "{verb} {more}: {said}");
            assert!(!said.contains("portcullis ready"), "{more}");
        }
    }
}

/// Sessions outlive a reload, but not the oldest revision that their route still serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_floor_holds_for_open_sessions() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let old = gate.session("/mcp", &token, "2025-03-26").await;
    let new = gate.session("/mcp", &token, "2025-11-25").await;
    let in_session = |id: &str| gate.post("/mcp", &token).add("Mcp-Session-Id", id).body(ping);
    for id in [&old, &new] {
        assert_eq!(gate.reach.send(&in_session(id)).await.status, 200);
    }
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    let raised = config.replace("upstreams: [up, old] }", "upstreams: [up, old], min_version: 2025-06-18 }");
    assert_ne!(config, raised);
    gate.reload("portcullis.yaml", &raised);
    // In force once a handshake below the floor is answered with another revision.
    for _ in 0..1_000 {
        let opened = gate.reach.send(&gate.initialize("/mcp", &token, "2025-03-26")).await.json();
        if opened["result"]["protocolVersion"] != "2025-03-26" {
            break;
        }
    }
    let answer = gate.reach.send(&in_session(&new)).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    let answer = gate.reach.send(&in_session(&old)).await;
    assert_eq!((answer.status, answer.code()), (404, -32600), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_gone_is_not_told_of_as_down() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    gate.old.behave(|_| Answer::Json(500, "", String::new()));
    gate.reach.send(&gate.modern("/mcp", &token, "tools/list", "")).await;
    let told = async |name: &str| {
        let text = gate.admin("/metrics").await.text();
        let gauges = ["portcullis_upstream_up", "portcullis_list_stale"];
        gauges.iter().filter(|gauge| text.contains(&format!("{gauge}{{upstream=\"{name}\"}}"))).count()
    };
    assert_eq!((told("up").await, told("old").await), (2, 2));
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    let without = config.lines().filter(|line| !line.contains("/legacy") && !line.contains("name: old"));
    let without = without.collect::<Vec<_>>().join("\n").replace("upstreams: [up, old]", "upstreams: [up]");
    gate.reload("portcullis.yaml", &without);
    for _ in 0..500 {
        if told("old").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((told("up").await, told("old").await), (2, 0));
}
