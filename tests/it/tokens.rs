//! A token is for one route of this gateway, made by its issuer, in time, and it stops here.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::keys::{self, EC, ED, RSA, STRANGER, Signer, changed, claims, header, now_s};
use crate::wire::Req;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_one_bearer_header() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let bearer = |value: &str| good.clone().set("Authorization", value);
    let metadata = gate.url("/.well-known/oauth-protected-resource/mcp");
    let challenge = |error: &str| format!("Bearer {error}resource_metadata=\"{metadata}\"");
    let (missing, invalid, malformed) =
        (challenge(""), challenge("error=\"invalid_token\", "), challenge("error=\"invalid_request\", "));
    let unbound = challenge("").replace("Bearer ", "DPoP error=\"invalid_token\", algs=\"ES256 EdDSA ES384 PS256 RS256\", ");
    let rows: Vec<(&str, Req, u16, Option<&String>)> = vec![
        ("none", good.clone().without("Authorization"), 401, Some(&missing)),
        ("Basic", bearer("Basic dXNlcjpwdw=="), 401, Some(&invalid)),
        ("DPoP", bearer(&format!("DPoP {token}")), 401, Some(&unbound)),
        ("a comma", bearer(&format!("Bearer {token}, Bearer {token}")), 400, Some(&malformed)),
        ("two headers", good.clone().add("Authorization", &format!("Bearer {token}")), 400, None),
        ("elsewhere", good.clone().without("Authorization").add("X-Access-Token", &token), 401, Some(&missing)),
    ];
    for (what, request, status, challenge) in rows {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.ended), (status, true), "{what}: {}", answer.whole());
        assert_eq!(answer.header("www-authenticate"), challenge.map(String::as_str), "{what}");
        assert_eq!(gate.seen(), (0, 0), "{what}");
    }
    assert_eq!(gate.reach.send(&bearer(&format!("bearer {token}"))).await.status, 200, "the scheme has no case");
}

/// A proxy in front may bring what several people ask by one connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_several_share_serves_each_as_who_they_are() {
    let gate = Gate::start().await;
    // Tokens of one length, and one for a single route.
    let (eng, guest) = (gate.token("alice", &["eng"]), gate.token("mable", &["xyz"]));
    let here = keys::ED.token(&header(), &claims(&json!(gate.url("/mcp")), "henri", &["eng"]));
    let mut forged = here.clone();
    forged.replace_range(here.len() - 4..here.len() - 3, if here.as_bytes()[here.len() - 4] == b'A' { "B" } else { "A" });
    let mut conn = gate.reach.open().await;
    let rows = [
        (&eng, "/mcp", "up__echo", 200, Some("alice"), true),
        (&eng, "/mcp", "up__echo", 200, Some("alice"), true),
        (&guest, "/mcp", "up__echo", 200, Some("mable"), false),
        (&eng, "/mcp", "up__echo", 200, Some("alice"), true),
        (&eng, "/bare", "echo", 200, Some("alice"), true),
        (&here, "/mcp", "up__echo", 200, Some("henri"), true),
        (&here, "/bare", "echo", 401, None, false),
        (&here, "/mcp", "up__echo", 200, Some("henri"), true),
        (&forged, "/mcp", "up__echo", 401, None, false),
    ];
    for (at, (token, route, tool, status, _, runs)) in rows.into_iter().enumerate() {
        conn.write(&gate.call(route, token, tool, "{}").bytes()).await;
        let answer = conn.response().await;
        let ran = answer.json()["result"]["content"].is_array();
        assert_eq!((answer.status, ran), (status, runs), "{at}: {}", answer.whole());
        if status == 401 {
            conn = gate.reach.open().await;
        }
    }
    let asked: Vec<Value> = gate.settled(rows.len()).await.iter().map(|record| record["principal"]["sub"].clone()).collect();
    assert_eq!(json!(asked), json!(rows.map(|(_, _, _, _, sub, _)| sub)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_is_a_resource_of_its_own() {
    let gate = Gate::start().await;
    let url = |route: &str| json!(gate.url(route));
    let signers: [(&Signer, &str, &str); 3] = [(&RSA, "RS256", "rsa"), (&EC, "ES256", "ec"), (&ED, "EdDSA", "ed")];
    for (signer, alg, kid) in signers {
        for typ in [json!("at+jwt"), json!("JWT"), Value::Null] {
            let head = changed(&json!({"alg": alg, "kid": kid}), "typ", typ);
            let token = signer.token(&head, &claims(&url("/mcp"), "alice", &["eng"]));
            for (route, tool, status) in [("/mcp", "up__echo", 200), ("/bare", "echo", 401), ("/new", "up__echo", 401)] {
                let answer = gate.reach.send(&gate.call(route, &token, tool, "{}")).await;
                assert_eq!(answer.status, status, "{head} {route}: {}", answer.whole());
                if status == 401 {
                    let metadata = gate.url(&format!("/.well-known/oauth-protected-resource{route}"));
                    assert!(answer.header("www-authenticate").unwrap().contains(&format!("resource_metadata=\"{metadata}\"")));
                }
            }
        }
    }
    for (route, scopes) in [("/mcp", None), ("/scoped", Some(json!(["mcp:admin"])))] {
        let document = Req::new("GET", &format!("/.well-known/oauth-protected-resource{route}")).add("Host", &gate.authority());
        let document = gate.reach.send(&document).await;
        assert_eq!(document.status, 200, "{}", document.whole());
        let document = document.json();
        assert_eq!(document["resource"], url(route));
        assert_eq!(document["authorization_servers"], json!([keys::ISSUER]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
        assert_eq!(document.get("scopes_supported"), scopes.as_ref());
    }
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/nowhere"] {
        let answer = gate.reach.send(&Req::new("GET", path).add("Host", &gate.authority())).await;
        assert_eq!(answer.status, 404, "{path}: with several routes there is no root document");
    }
    // A scope that the route needs is asked for before anything is read.
    let before = gate.seen();
    let answer = gate.reach.send(&gate.call("/scoped", &gate.token("alice", &["eng"]), "echo", "{}")).await;
    let metadata = gate.url("/.well-known/oauth-protected-resource/scoped");
    let challenge = format!("Bearer error=\"insufficient_scope\", resource_metadata=\"{metadata}\", scope=\"mcp:admin\"");
    assert_eq!((answer.status, answer.header("www-authenticate")), (403, Some(challenge.as_str())), "{}", answer.whole());
    assert_eq!(gate.seen(), before);
    let admin = changed(&claims(&url("/scoped"), "alice", &["eng"]), "scope", json!("mcp:admin"));
    let answer = gate.reach.send(&gate.call("/scoped", &ED.token(&header(), &admin), "echo", "{}")).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
}

/// No part of a client's token, and no credential or session of an upstream, shows up anywhere it does not belong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_where_they_belong() {
    let mut gate = Gate::program(|files| files.config.push_str("telemetry: { log: trace }\n")).await;
    let good = gate.token("alice", &["eng"]);
    let expired =
        ED.token(&header(), &changed(&claims(&json!(gate.url("/mcp")), "alice", &["eng"]), "exp", json!(now_s() - 500)));
    let foreign = STRANGER.token(&header(), &claims(&json!(gate.url("/mcp")), "alice", &["eng"]));
    let mut shown = String::new();
    for token in [&good, &expired, &foreign] {
        for tool in ["up__echo", "old__echo", "up__write", "up__hidden", "up__nothing"] {
            shown += &gate.reach.send(&gate.call("/mcp", token, tool, r#"{"path":"/etc/argument-canary"}"#)).await.whole();
            shown += &gate.reach.send(&gate.call("/mcp", token, tool, r#"{"path":"argument-canary"}"#)).await.whole();
        }
        shown += &gate.reach.send(&gate.post("/mcp", token).body(format!("{{\"{token}\":"))).await.whole();
        shown += &gate.reach.send(&gate.post("/mcp", token).set("Host", "evil.example")).await.whole();
    }
    let session = gate.session("/mcp", &good, "2025-11-25").await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    shown += &gate.reach.send(&gate.legacy("/mcp", &good, "2025-11-25", &session, list)).await.whole();
    let metrics = gate.admin("/metrics").await.text();
    assert_eq!(gate.terminate().await, Some(0));
    let upstreams: String = gate.up.seen().iter().chain(&gate.old.seen()).map(crate::peer::Seen::whole).collect();
    assert!(upstreams.contains("upstream-credential-canary") && upstreams.contains("upstream-session-canary"), "the test looks");
    let (log, audit) = (gate.log(), gate.audit_text());
    assert!(log.lines().count() > 5 && audit.lines().count() > 30, "the test looks");
    let places = [("answers", &shown), ("metrics", &metrics), ("log", &log), ("records", &audit), ("upstreams", &upstreams)];
    for token in [&good, &expired, &foreign] {
        for part in token.split('.').skip(1) {
            for (place, text) in places {
                assert!(!text.contains(&part[..24]), "a token in the {place}");
            }
        }
    }
    for (place, text) in &places[..4] {
        for canary in ["upstream-credential-canary", "upstream-session-canary", "argument-canary"] {
            let line = text.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary} in the {place}");
        }
    }
    assert!(!log.contains(&session[..24]) && !audit.contains(&session[..24]) && !upstreams.contains(&session[..24]));
}

/// The embedded issuer's tokens, as `portcullis token` prints them, are held to the same rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn development_tokens_are_for_one_route_too() {
    let gate = Gate::program(|files| {
        let issuers = files.config.find("  issuers:").unwrap();
        let line = files.config[issuers..].find('\n').unwrap();
        files.config.replace_range(issuers..issuers + line, "  dev: { enabled: true }");
    })
    .await;
    let mut minted = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    minted.args(["token", "--sub", "dev", "--groups", "eng", "--route", "/bare", "--config"]);
    let minted = minted.arg(gate.dir.path().join("portcullis.yaml")).output().unwrap();
    let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
    assert_eq!(gate.reach.send(&gate.call("/bare", &token, "echo", "{}")).await.status, 200, "{token}");
    let calls = gate.up.calls().len();
    for (route, token) in [("/mcp", token.clone()), ("/bare", gate.token("alice", &["eng"]))] {
        assert_eq!(gate.reach.send(&gate.call(route, &token, "echo", "{}")).await.status, 401, "{route}");
    }
    assert_eq!(gate.up.calls().len(), calls);
}
