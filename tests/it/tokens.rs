//! A token is for one route of this gateway, made by its issuer, in time, and it stops here.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::keys::{self, EC, ED, RSA, STRANGER, Signer, b64, claims, header, hs256, now_s};
use crate::wire::Req;

/// Good claims with one member changed; null takes it out.
fn with(good: &Value, member: &str, value: Value) -> Value {
    let mut changed = good.clone();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(member);
    } else {
        changed[member] = value;
    }
    changed
}

fn bad_tokens(url: &str) -> Vec<(String, String)> {
    let good = claims(&url.into(), "alice", &["eng"]);
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut claim = |member: &str, value: Value| {
        rows.push((format!("{member}={value}"), ED.token(&header(), &with(&good, member, value))));
    };
    let host = url.trim_end_matches("/mcp");
    for aud in [
        host.to_owned(),
        format!("{host}/"),
        format!("{url}/"),
        format!("{host}/bare"),
        format!("{url}x"),
        url[..url.len() - 1].to_owned(),
        url.to_uppercase(),
        url.replace("https", "http"),
        url.replace("127.0.0.1", "localhost"),
        "*".into(),
        String::new(),
        keys::ISSUER.into(),
    ] {
        claim("aud", json!([aud.clone()]));
        claim("aud", json!(aud));
    }
    for aud in [json!(7), json!([]), json!([7, url]), json!({"a": url}), json!([[url]]), Value::Null] {
        claim("aud", aud);
    }
    for iss in [
        "https://idp.example.com/",
        "https://idp.example.com.evil.example",
        "https://IDP.example.com",
        "http://idp.example.com",
        "",
    ] {
        claim("iss", json!(iss));
    }
    for (member, value) in [
        ("iss", Value::Null),
        ("iss", json!([keys::ISSUER])),
        ("exp", json!(now_s() - 120)),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("exp", json!(-1)),
        ("exp", json!([now_s() + 600])),
        ("nbf", json!(now_s() + 300)),
        ("nbf", json!("now")),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("a".repeat(300))),
    ] {
        claim(member, value);
    }
    let mut head = |member: &str, value: Value| {
        rows.push((format!("header {member}={value}"), ED.token(&with(&header(), member, value), &good)));
    };
    for (member, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
        ("alg", Value::Null),
        ("alg", json!(["EdDSA"])),
        ("typ", json!("id+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(7)),
        ("typ", json!("logout+jwt")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jwk", ED.jwk("ed")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("x")),
        ("x5c", json!(["x"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("kid", json!("rsa")),
        ("kid", json!("ec")),
        ("kid", json!(7)),
        ("kid", json!("../../dev/null")),
    ] {
        head(member, value);
    }
    let plain = with(&header(), "typ", json!("JWT"));
    for (member, value) in [("at_hash", json!("x")), ("token_use", json!("id")), ("typ", json!("Refresh")), ("events", json!({}))]
    {
        rows.push((format!("another kind: {member}"), ED.token(&plain, &with(&good, member, value))));
    }
    let secret = |signer: &Signer, member: &str| signer.jwk("k")[member].as_str().unwrap().as_bytes().to_vec();
    for (kid, secret) in [
        ("rsa", secret(&RSA, "n")),
        ("ec", secret(&EC, "x")),
        ("ed", secret(&ED, "x")),
        ("rsa", RSA.jwk("rsa").to_string().into_bytes()),
        ("rsa", Vec::new()),
    ] {
        for alg in ["HS256", "EdDSA", "RS256"] {
            rows.push((
                format!("HMAC with a public key, {alg} {kid}"),
                hs256(&secret, &json!({"alg": alg, "typ": "at+jwt", "kid": kid}), &good),
            ));
        }
    }
    rows.push(("a stranger's key".into(), STRANGER.token(&header(), &good)));
    rows.push(("a stranger's key without id".into(), STRANGER.token(&with(&header(), "kid", Value::Null), &good)));
    let valid = ED.token(&header(), &good);
    let parts: Vec<&str> = valid.split('.').collect();
    let none = format!("{}.{}.", b64(r#"{"alg":"none","typ":"at+jwt"}"#), parts[1]);
    rows.push(("alg none without signature".into(), none.clone()));
    rows.push(("alg none with signature".into(), none + parts[2]));
    for (what, token) in [
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{valid}.x")),
        ("cut signature", valid[..valid.len() - 4].to_owned()),
        ("padded signature", format!("{valid}=")),
        (
            "other claims under the same signature",
            format!("{}.{}.{}", parts[0], b64(with(&good, "sub", json!("root")).to_string()), parts[2]),
        ),
        ("swapped parts", format!("{}.{}.{}", parts[1], parts[0], parts[2])),
        ("claims named twice", ED.token_of(&header().to_string(), &good.to_string().replacen('{', "{\"sub\":\"root\",", 1))),
        ("header named twice", ED.token_of(&header().to_string().replacen('{', "{\"alg\":\"none\",", 1), &good.to_string())),
        ("claims are an array", ED.token_of(&header().to_string(), "[]")),
        ("no JSON", ED.token_of("x", "y")),
        ("nested", ED.token(&header(), &json!(valid))),
        ("garbage", "x".into()),
        ("dots", "...".into()),
        ("an API key nobody has", format!("pck_abcde_{}", "a".repeat(43))),
    ] {
        rows.push((what.into(), token));
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_token_gets_in() {
    let gate = Gate::start().await;
    let rows = bad_tokens(&gate.url("/mcp"));
    assert!(rows.len() > 100, "{}", rows.len());
    let metadata = gate.url("/.well-known/oauth-protected-resource/mcp");
    let expected = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\"");
    let mut wrong = Vec::new();
    for (what, token) in &rows {
        let answer = gate.reach.send(&gate.call("/mcp", token, "up__echo", "{}")).await;
        let right = answer.status == 401 && answer.ended && answer.header("www-authenticate") == Some(&expected);
        if !right || (token.len() > 8 && answer.whole().contains(token.as_str())) {
            wrong.push(format!("{what}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(gate.seen(), (0, 0));
    let records = gate.settled(rows.len()).await;
    assert!(
        records.iter().all(|r| r["kind"] == "auth" && r["outcome"]["reason"] == "unauthenticated" && r.get("decision").is_none())
    );
}

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
    let in_query = |name: &str| {
        let mut request = good.clone().without("Authorization");
        request.target = format!("/mcp?{name}={token}");
        request
    };
    let rows: Vec<(&str, Req, u16, Option<&String>)> = vec![
        ("none", good.clone().without("Authorization"), 401, Some(&missing)),
        ("Basic", bearer("Basic dXNlcjpwdw=="), 401, Some(&invalid)),
        ("DPoP", bearer(&format!("DPoP {token}")), 401, Some(&unbound)),
        ("only the scheme", bearer("Bearer"), 400, Some(&malformed)),
        ("only the token", bearer(&token), 400, Some(&malformed)),
        ("a comma", bearer(&format!("Bearer {token}, Bearer {token}")), 400, Some(&malformed)),
        ("two spaces", bearer(&format!("Bearer  {token}")), 400, Some(&malformed)),
        ("quoted", bearer(&format!("Bearer \"{token}\"")), 400, Some(&malformed)),
        ("too long", bearer(&format!("Bearer {}", "a".repeat(17_000))), 400, Some(&malformed)),
        ("two headers", good.clone().add("Authorization", &format!("Bearer {token}")), 400, None),
        ("a good and a bad one", good.clone().add("Authorization", "Bearer x"), 400, None),
        ("in the query", in_query("access_token"), 400, None),
        ("in another query", in_query("token"), 400, None),
        (
            "in a cookie",
            good.clone().without("Authorization").add("Cookie", &format!("access_token={token}")),
            401,
            Some(&missing),
        ),
        ("in another header", good.clone().without("Authorization").add("X-Forwarded-Access-Token", &token), 401, Some(&missing)),
        (
            "proxy",
            good.clone().without("Authorization").add("Proxy-Authorization", &format!("Bearer {token}")),
            401,
            Some(&missing),
        ),
    ];
    for (what, request, status, challenge) in rows {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.ended), (status, true), "{what}: {}", answer.whole());
        assert_eq!(answer.header("www-authenticate"), challenge.map(String::as_str), "{what}");
        assert_eq!(gate.seen(), (0, 0), "{what}");
    }
    assert_eq!(gate.reach.send(&bearer(&format!("bearer {token}"))).await.status, 200, "the scheme has no case");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_is_a_resource_of_its_own() {
    let gate = Gate::start().await;
    let url = |route: &str| json!(gate.url(route));
    let signers: [(&Signer, &str, &str); 3] = [(&RSA, "RS256", "rsa"), (&EC, "ES256", "ec"), (&ED, "EdDSA", "ed")];
    for (signer, alg, kid) in signers {
        for typ in [json!("at+jwt"), json!("JWT"), Value::Null] {
            let head = with(&json!({"alg": alg, "kid": kid}), "typ", typ);
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
    let admin = with(&claims(&url("/scoped"), "alice", &["eng"]), "scope", json!("mcp:admin"));
    let answer = gate.reach.send(&gate.call("/scoped", &ED.token(&header(), &admin), "echo", "{}")).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
}

/// No part of a client's token, and no credential or session of an upstream, shows up anywhere it does not belong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_where_they_belong() {
    let mut gate = Gate::program(|files| files.config.push_str("telemetry: { log: trace }\n")).await;
    let good = gate.token("alice", &["eng"]);
    let expired = ED.token(&header(), &with(&claims(&json!(gate.url("/mcp")), "alice", &["eng"]), "exp", json!(now_s() - 500)));
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
