//! Issuers that fail, are discovered, or are asked about each token.

use super::*;

fn jwks_of(signer: &'static Signer, kid: &'static str) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    let body = json!({"keys": [signer.jwk(kid)]}).to_string();
    move |_: &Seen| Answer::Json(200, "", body.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_fails_takes_nobody_with_it() {
    let idp = Peer::start(jwks_of(&ED, "ed")).await;
    let gate = Gate::with(|files| files.config = fetching(&files.config, idp.addr)).await;
    let token = |by: &Signer, kid: &str| {
        let head = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        by.token(&head, &claims(&json!(gate.url("/mcp")), "alice", &["eng"]))
    };
    let status = async |token: &str| gate.reach.send(&gate.call("/mcp", token, "up__echo", "{}")).await.status;
    let known = token(&ED, "ed");
    assert_eq!(status(&known).await, 200);
    let loaded = idp.seen().len();
    let started = Instant::now();
    for mode in 0..4 {
        idp.behave(move |_: &Seen| match mode {
            0 => Answer::Hang,
            1 => Answer::Raw(b"garbage\r\n\r\n".to_vec()),
            2 => Answer::Json(500, "", "{}".into()),
            _ => Answer::Json(200, "", r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"new"}]}"#.into()),
        });
        let mut asks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let (reach, call) =
                (gate.reach.clone(), gate.call("/mcp", &token(&STRANGER, &format!("{mode}-{n}")), "up__echo", "{}"));
            asks.spawn(async move { reach.send(&call).await.status });
        }
        assert_eq!(status(&known).await, 200, "a known key waits for nothing");
        while let Some(answered) = asks.join_next().await {
            assert_eq!(answered.unwrap(), 401);
        }
        assert_eq!(status(&known).await, 200);
    }
    let fetches = idp.seen().len() - loaded;
    assert!(fetches <= 5, "{fetches} fetches in {:?} for 200 unknown keys", started.elapsed());
    // The rotation that the issuer comes back with.
    idp.behave(jwks_of(&STRANGER, "new"));
    let (back, rotated) = (Instant::now(), token(&STRANGER, "new"));
    while status(&rotated).await != 200 {
        assert!(back.elapsed() < crate::wire::SOON, "not recovered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(&known).await, 401, "a remembered token outlived its key");
}

/// The config with the keys of the issuer at `idp`.
fn fetching(config: &str, idp: std::net::SocketAddr) -> String {
    assert!(config.contains("file:jwks.json"), "the config of the gate changed");
    config.replace("file:jwks.json", &format!("http://{idp}/jwks"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_discovered_and_asked_about_opaque_tokens() {
    let idp = Peer::start(|_: &Seen| Answer::Json(404, "", "{}".into())).await;
    let issuer = format!("http://{}/tenant", idp.addr);
    let gate = Gate::with(|files| {
        let line = format!(
            r#"issuers: [{{ issuer: "{issuer}", introspection: {{ url: "{issuer}/introspect", client_id: gw, client_secret: introspection-canary }}, scope_implies: {{ "mcp:all": ["mcp:admin"] }} }}]"#
        );
        files.config = files.config.replace(ISSUER, &line);
    })
    .await;
    let (name, url) = (issuer.clone(), gate.url("/scoped"));
    idp.behave(move |seen: &Seen| match seen.target.as_str() {
        "/tenant/.well-known/openid-configuration" => Answer::Json(404, "", "{}".into()),
        "/.well-known/oauth-authorization-server/tenant" => {
            Answer::Json(200, "", json!({"issuer": name, "jwks_uri": format!("{name}/keys")}).to_string())
        }
        "/tenant/keys" => Answer::Json(200, "", keys::jwks()),
        "/tenant/introspect" if seen.body.contains("token=good&") => {
            let answer =
                json!({"active": true, "sub": "alice", "aud": url, "exp": now_s() + 60, "groups": ["eng"], "scope": "mcp:all"});
            Answer::Json(200, "", answer.to_string())
        }
        _ => Answer::Json(200, "", r#"{"active":false}"#.into()),
    });
    let mut claims = claims(&json!(gate.url("/mcp")), "alice", &["eng"]);
    claims["iss"] = json!(issuer);
    let status = async |route: &str, token: &str, tool: &str| gate.reach.send(&gate.call(route, token, tool, "{}")).await.status;
    // It was away when the gateway started, and is looked for again soon.
    let back = Instant::now();
    while status("/mcp", &ED.token(&header(), &claims), "up__echo").await != 200 {
        assert!(back.elapsed() < crate::wire::SOON, "not discovered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status("/scoped", "good", "echo").await, 200, "introspected, with the scope that comes with its own");
    assert_eq!(status("/mcp", "good", "up__echo").await, 401, "another audience");
    assert_eq!(status("/scoped", "bad", "echo").await, 401);
    for seen in gate.up.seen() {
        assert!(!seen.whole().contains("introspection-canary") && !seen.whole().contains("good&"));
    }
}
