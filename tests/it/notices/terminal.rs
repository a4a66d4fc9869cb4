//! `portcullis approvals`, the real program, against a console of people who sign in at a provider.

use std::process::{Command, Stdio};

use crate::console::Desk;

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

async fn run(desk: &Desk, token: &str, args: &[&str]) -> Ran {
    let (origin, token) = (desk.origin(), token.to_owned());
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("approvals").args(args).args(["--admin", &origin]).env("PORTCULLIS_TOKEN", token).stdin(Stdio::null());
        command.output().unwrap()
    });
    let output = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_decide_from_a_terminal_as_who_they_are() {
    let desk = Desk::start().await;
    let hostile = r#"{"note":"a\u001b]0;owned\u0007\u202eb","more":"line\nbreak"}"#;
    let (one, two) = (desk.ask("alice", "up__delete", hostile).await, desk.ask("alice", "up__delete", r#"{"n":2}"#).await);
    let (sven, alice) = (desk.api_token("sven", &["sre"]), desk.api_token("alice", &["eng"]));

    let listed = run(&desk, &sven, &["list"]).await;
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(
        listed.stdout.contains(&one) && listed.stdout.contains(&two) && listed.stdout.contains("up__delete"),
        "{}",
        listed.stdout
    );

    let shown = run(&desk, &sven, &["show", &one]).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for wanted in ["\\u001b]0;owned", "\\u202e", "group:sre", "destructive", "alice", "may decide        yes"] {
        assert!(shown.stdout.contains(wanted), "{wanted} in {}", shown.stdout);
    }
    assert!(!shown.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{}", shown.stdout);

    let json = run(&desk, &sven, &["show", &one, "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&value["id"], &value["state"]), (&one.as_str().into(), &"pending".into()));

    let own = run(&desk, &alice, &["approve", &one]).await;
    assert_eq!((own.code, own.stdout.as_str()), (1, ""), "who asks does not approve: {}", own.stderr);

    let approved = run(&desk, &sven, &["approve", &one, "--reason", "fine \u{202e}\u{1b}[2J"]).await;
    assert_eq!((approved.code, approved.stdout), (0, format!("{one} approved\n")), "{}", approved.stderr);
    let denied = run(&desk, &sven, &["deny", &two, "--reason", "no"]).await;
    assert_eq!((denied.code, denied.stdout), (0, format!("{two} denied\n")), "{}", denied.stderr);
    let twice = run(&desk, &sven, &["approve", &two]).await;
    assert_eq!((twice.code, twice.stdout.as_str()), (1, ""), "{}", twice.stderr);
    let whole = run(&desk, &sven, &["show", &one]).await.stdout;
    assert!(whole.contains("yes: fine \\u202e\\u001b[2J") && !whole.contains(['\u{1b}', '\u{202e}']), "{whole}");

    let withdrawn = run(&desk, &alice, &["withdraw", &one]).await;
    assert_eq!((withdrawn.code, withdrawn.stdout), (0, format!("{one} withdrawn\n")), "{}", withdrawn.stderr);
    let quiet = run(&desk, &sven, &[]).await;
    assert_eq!((quiet.code, quiet.stdout.as_str()), (0, ""), "{}", quiet.stderr);
    let all: serde_json::Value =
        serde_json::from_str(&run(&desk, &sven, &["list", "--state", "all", "--json"]).await.stdout).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_at_a_terminal_is_counted() {
    let desk = Desk::start().await;
    let known = r#"{"a":"Cookie:a=12345; rm -rf /srv","b":"AKIAIOSFODNN7EXAMPLE"}"#;
    let id = desk.ask("alice", "up__delete", known).await;
    let shown = run(&desk, &desk.api_token("sven", &["sre"]), &["show", &id]).await.stdout;
    for wanted in [
        "Cookie:a=[redacted: cookie, 5 characters]; rm -rf /srv",
        "[redacted: aws-key, 20 characters]",
        "(2 secrets are masked)",
        "(1 of these are not verified: anything may be hidden there)",
    ] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_say_whose_turn_it_is() {
    let desk = Desk::start().await;
    let sven = desk.api_token("sven", &["sre"]);
    let unknown = "apr_AAAAAAAAAAAAAAAAAAAAAA";
    for (token, args, code, said) in [
        (sven.as_str(), vec!["show", unknown], 1, "no such thing"),
        (&sven, vec!["approve", unknown], 1, "no such thing"),
        (&desk.api_token("vera", &["staff"]), vec!["approve", unknown], 1, ""),
        (&sven, vec!["approve", "apr_x"], 2, "is not the id"),
        (&sven, vec!["list", "--state", "odd"], 2, "odd"),
        ("token-canary", vec!["list"], 2, "is not accepted"),
        ("", vec!["list"], 2, "PORTCULLIS_TOKEN is not set"),
    ] {
        let ran = run(&desk, token, &args).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("canary"), "{args:?}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn similar_calls_are_let_through_listed_and_stopped() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", r#"{"path":"/srv/docs/a"}"#).await;
    let sven = desk.api_token("sven", &["sre"]);
    for (args, said) in [
        (&["approve", &id, "--lease", "5m"][..], "--uses"),
        (&["approve", &id, "--uses", "5"], "--lease"),
        (&["approve", &id, "--where", "/path=glob:*"], "--lease"),
        (&["approve", &id, "--lease", "5s", "--uses", "1"], "whole minutes"),
        (&["approve", &id, "--lease", "5m", "--uses", "101"], "101"),
        (&["approve", &id, "--lease", "5m", "--uses", "1", "--where", "/path"], "/POINTER=MATCHER:VALUE"),
        (&["approve", &id, "--lease", "5h", "--uses", "1"], "here 15 minutes"),
        (&["approve", &id, "--lease", "5m", "--uses", "1", "--where", "/path=path_under:/etc"], "do not hold"),
    ] {
        let ran = run(&desk, &sven, args).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
    }
    let clause = "/path=path_under:/srv/docs";
    let given = run(&desk, &sven, &["approve", &id, "--lease", "10m", "--uses", "3", "--where", clause]).await;
    assert_eq!((given.code, given.stdout), (0, format!("{id} approved\n")), "{}", given.stderr);
    assert!(desk.call("alice", "up__delete", r#"{"path":"/srv/docs/b"}"#).await["isError"] != true);
    let leases = run(&desk, &sven, &["leases"]).await;
    for part in [id.as_str(), "1/3", "up__delete", "alice", r#"{"/path":{"path_under":["/srv/docs"]}}"#] {
        assert!(leases.stdout.contains(part), "{part} in {}", leases.stdout);
    }
    assert!(run(&desk, &sven, &["show", &id]).await.stdout.contains("1/3 calls made, within 10 minutes"));
    let ended = run(&desk, &sven, &["withdraw", &id]).await;
    assert_eq!((ended.code, ended.stdout), (0, format!("{id} withdrawn\n")), "{}", ended.stderr);
    let none = run(&desk, &sven, &["leases"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{}", none.stderr);
}
