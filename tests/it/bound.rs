//! Credentials that are bound to a key or a certificate, that are revoked, and issuers that misbehave: through the socket.

use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use serde_json::{Value, json};

use crate::gate::{Files, Gate, soon};
use crate::keys::{self, EC, ED, STRANGER, Signer, b64, claims, header, now_s};
use crate::peer::{Answer, Peer, Seen, modern};
use crate::wire::{Reach, Req, Resp, SOON};

const ISSUER: &str =
    r#"issuers: [{ issuer: "https://idp.example.com", jwks: "file:jwks.json", algorithms: [RS256, ES256, EdDSA] }]"#;

/// Adds a line to `identity`.
fn identity(files: &mut Files, more: &str) {
    assert!(files.config.contains(ISSUER), "the config of the gate changed");
    files.config = files.config.replace(ISSUER, &format!("{ISSUER}\n  {more}"));
}

fn sha256(bytes: &[u8]) -> String {
    b64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

fn public() -> Value {
    let jwk = EC.jwk("x");
    json!({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]})
}

/// A token for `/mcp` that is bound as `cnf` says.
fn bound(gate: &Gate, cnf: Value) -> String {
    let mut claims = claims(&gate.url("/mcp").into(), "alice", &["eng"]);
    claims["cnf"] = cnf;
    ED.token(&header(), &claims)
}

fn jkt() -> String {
    let jwk = public();
    sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]).as_bytes())
}

fn proof(by: &Signer, claims: &Value) -> String {
    by.token(&json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": public()}), claims)
}

fn challenge(answer: &Resp) -> &str {
    answer.header("www-authenticate").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_serves_one_request_of_its_key() {
    let gate = Gate::start().await;
    let token = bound(&gate, json!({"jkt": jkt()}));
    let call = gate.call("/mcp", &token, "up__echo", "{}").without("Authorization");
    let send = async |proof: &str| {
        let request = call.clone().add("Authorization", &format!("DPoP {token}")).add("DPoP", proof);
        gate.reach.send(&request).await
    };
    let claims = |id: &str, nonce: Option<&str>| {
        let mut claims =
            json!({"jti": id, "htm": "POST", "htu": gate.url("/mcp"), "iat": now_s(), "ath": sha256(token.as_bytes())});
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        claims
    };
    let first = send(&proof(&EC, &claims("1", None))).await;
    assert_eq!(first.status, 401, "{}", first.whole());
    let metadata = gate.url("/.well-known/oauth-protected-resource/mcp");
    let expected =
        format!("DPoP error=\"use_dpop_nonce\", algs=\"ES256 EdDSA ES384 PS256 RS256\", resource_metadata=\"{metadata}\"");
    assert_eq!(challenge(&first), expected);
    let nonce = first.header("dpop-nonce").unwrap().to_owned();
    let good = proof(&EC, &claims("1", Some(&nonce)));
    assert_eq!(send(&good).await.status, 200);
    let calls = gate.up.calls().len();
    let with = |name: &str, value: Value| {
        let mut claims = claims(&format!("{name}={value}"), Some(&nonce));
        claims[name] = value;
        proof(&EC, &claims)
    };
    for (what, wrong) in [
        ("replayed", good.clone()),
        ("another method", with("htm", json!("GET"))),
        ("another route", with("htu", json!(gate.url("/bare")))),
        ("the local name", with("htu", json!(gate.url("/mcp").replace("127.0.0.1", "localhost")))),
        ("old", with("iat", json!(now_s() - 400))),
        ("another token", with("ath", json!(sha256(b"x")))),
        ("another key", proof(&STRANGER, &claims("2", Some(&nonce)))),
        ("not a proof", token.clone()),
        ("empty", String::new()),
    ] {
        let answer = send(&wrong).await;
        assert_eq!(answer.status, 401, "{what}");
        assert!(challenge(&answer).starts_with("DPoP error=\"invalid_dpop_proof\", algs="), "{what}: {}", challenge(&answer));
    }
    let wrong_nonce = send(&proof(&EC, &claims("3", Some("x")))).await;
    assert!(challenge(&wrong_nonce).contains("use_dpop_nonce"));
    let twice = call.clone().add("Authorization", &format!("DPoP {token}"));
    let fresh = proof(&EC, &claims("4", Some(&nonce)));
    assert_eq!(gate.reach.send(&twice.clone().add("DPoP", &fresh).add("DPoP", &fresh)).await.status, 401);
    assert_eq!(gate.reach.send(&twice).await.status, 401);
    let as_bearer = gate.reach.send(&call.clone().add("Authorization", &format!("Bearer {token}")).add("DPoP", &fresh)).await;
    assert!(as_bearer.status == 401 && challenge(&as_bearer).starts_with("DPoP error=\"invalid_token\""));
    assert_eq!(gate.up.calls().len(), calls, "an upstream heard of a refused request");
    assert_eq!(send(&fresh).await.status, 200, "refused proofs are not used up");
}

struct Site {
    server: (String, String),
    ca: String,
    agents: CertifiedIssuer<'static, KeyPair>,
}

/// A CA called `name`.
pub(crate) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![name.into()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn site() -> Site {
    let (ca, agents) = (authority("servers"), authority("agents"));
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &ca).unwrap();
    Site { server: (server.pem(), key.serialize_pem()), ca: ca.pem(), agents }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_a_credential_and_binds_tokens() {
    let site = site();
    let agent = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        let cert = params.signed_by(&key, &site.agents).unwrap();
        (cert.pem(), key.serialize_pem(), sha256(cert.der()))
    };
    let gate = Gate::with(|files| {
        identity(files, "client_certificates: { trust_domain: example.org, subjects: [\"spiffe://example.org/agent/*\"] }");
        files.config = files
            .config
            .replace("tls: self_signed", "tls: { cert: server.pem, key: server.key, client_ca: agents.pem }")
            .replace("names: bare, scopes: [\"mcp:admin\"]", "names: bare, proof: mtls");
        files.policy.push_str(
            "  - { id: agents, effect: allow, principals: [\"sub:spiffe://example.org/agent/*\"], tools: [\"up__echo\"] }\n",
        );
        files.more = vec![
            ("server.pem".into(), site.server.0.clone()),
            ("server.key".into(), site.server.1.clone()),
            ("ca.pem".into(), site.ca.clone()),
            ("agents.pem".into(), site.agents.pem()),
        ];
    })
    .await;
    let (ours, other, foreign) =
        (agent("spiffe://example.org/agent/ci"), agent("spiffe://example.org/agent/x"), agent("spiffe://example.net/agent/ci"));
    let send = async |certificate: &(String, String, String), request: &Req| {
        gate.reach.showing(&certificate.0, &certificate.1).send(request).await
    };
    let call = gate.call("/mcp", "x", "up__echo", "{}");
    let bare = call.clone().without("Authorization");
    let answer = send(&ours, &bare).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    soon("the record", || !gate.records().is_empty()).await;
    let record = gate.records().pop().unwrap();
    assert_eq!(record["principal"]["iss"], "portcullis:mtls");
    assert_eq!(record["principal"]["sub"], "spiffe://example.org/agent/ci");
    assert_eq!(send(&foreign, &bare).await.status, 401);
    assert_eq!(send(&ours, &call).await.status, 401, "a bad token is not mended by a certificate");
    let plain = gate.token("alice", &["eng"]);
    let with = |route: &str, tool: &str, token: &str| gate.call(route, token, tool, "{}");
    assert_eq!(send(&ours, &with("/mcp", "up__echo", &plain)).await.status, 200);
    assert_eq!(send(&ours, &with("/scoped", "echo", &plain)).await.status, 401, "the route wants a bound token");
    assert_eq!(send(&ours, &gate.call("/scoped", "", "echo", "{}").without("Authorization")).await.status, 200);
    let token = bound(&gate, json!({"x5t#S256": ours.2}));
    for (certificate, status) in [(&ours, 200), (&other, 401), (&foreign, 401)] {
        let answer = send(certificate, &with("/mcp", "up__echo", &token)).await;
        assert_eq!(answer.status, status, "{}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_certificates_are_optional_whoever_shows_one_must_show_a_good_one() {
    let (site, stranger) = (site(), site());
    let agent = |of: &Site| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("spiffe://example.org/agent/ci".try_into().unwrap())];
        let cert = params.signed_by(&key, &of.agents).unwrap();
        (cert.pem(), key.serialize_pem(), sha256(cert.der()))
    };
    let gate = Gate::with(|files| {
        identity(files, "client_certificates: { trust_domain: example.org }");
        let tls = "tls: { cert: server.pem, key: server.key, client_ca: agents.pem, client_certificates: optional }";
        files.config = files.config.replace("tls: self_signed", tls);
        files.policy.push_str(
            "  - { id: agents, effect: allow, principals: [\"sub:spiffe://example.org/agent/*\"], tools: [\"up__echo\"] }\n",
        );
        files.more = vec![
            ("server.pem".into(), site.server.0.clone()),
            ("server.key".into(), site.server.1.clone()),
            ("ca.pem".into(), site.ca.clone()),
            ("agents.pem".into(), site.agents.pem()),
        ];
    })
    .await;
    let (ours, theirs) = (agent(&site), agent(&stranger));
    let showing = |certificate: &(String, String, String)| gate.reach.showing(&certificate.0, &certificate.1);
    let bearer = gate.call("/mcp", &gate.token("alice", &["eng"]), "up__echo", "{}");
    let bare = bearer.clone().without("Authorization");
    let bound = gate.call("/mcp", &bound(&gate, json!({"x5t#S256": ours.2})), "up__echo", "{}");
    let (with, without) = (showing(&ours), gate.reach.clone());
    for (what, reach, request, status) in [
        ("a token alone", &without, &bearer, 200),
        ("nothing", &without, &bare, 401),
        ("a bound token without its certificate", &without, &bound, 401),
        ("a certificate alone", &with, &bare, 200),
        ("a bound token with its certificate", &with, &bound, 200),
    ] {
        let answer = reach.send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.whole());
    }
    // There is no connection, or it breaks before any answer.
    let fails = async |reach: &Reach| {
        let (reach, request) = (reach.clone(), bearer.clone());
        tokio::spawn(async move { reach.send(&request).await })
            .await
            .ok()
            .map(|answer| answer.status)
            .filter(|status| *status != 0)
    };
    assert_eq!(fails(&showing(&theirs)).await, None, "another authority's certificate");
    // A reload that asks everybody.
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(", client_certificates: optional", ""));
    let refused = async { while fails(&without).await.is_some() {} };
    tokio::time::timeout(SOON, refused).await.unwrap();
    assert_eq!(fails(&with).await, Some(200));
}

fn progress(seen: &Seen) -> Answer {
    if seen.rpc() != "tools/call" {
        return modern(seen);
    }
    let token = seen.json()["params"]["_meta"]["progressToken"].to_string();
    Answer::Opened(format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":1}}}}\n\n"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_credential() {
    let gate = Gate::with(|files| {
        identity(files, "revocations: revoked.yaml");
        files.config = files.config.replace("timeout: 2s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
        files.more = vec![("revoked.yaml".into(), "[]".into())];
    })
    .await;
    gate.up.behave(progress);
    let streamed =
        |token: &str| gate.call("/mcp", token, "up__echo", "{}").edit("\"_meta\":{", "\"_meta\":{\"progressToken\":1,");
    // Revoked while it is open; another's goes on.
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let (first, second) = (streamed(&alice), streamed(&bob));
    let (reach, other) = (gate.reach.clone(), gate.reach.clone());
    let cut = tokio::spawn(async move { reach.send(&first).await });
    let lasting = tokio::spawn(async move { other.send(&second).await });
    soon("both calls", || gate.up.calls().len() == 2).await;
    let started = Instant::now();
    gate.reload("revoked.yaml", "- { iss: \"https://idp.example.com\", sub: alice }\n");
    let answer = cut.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(9), "ended by itself");
    assert_eq!(answer.status, 200);
    let last = answer.json();
    assert_eq!((&last["id"], &last["result"]["isError"]), (&json!(7), &json!(true)), "{}", answer.whole());
    assert_eq!(last["result"]["_meta"]["dev.portcullis/denial"]["reason"], "unauthenticated");
    assert_eq!(gate.reach.send(&streamed(&alice)).await.status, 401, "and nothing begins any more");
    assert!(!lasting.is_finished(), "another's stream was cut");
    lasting.abort();
    let of = |sub: &str| gate.records().into_iter().filter(|r| r["principal"]["sub"] == sub).collect::<Vec<_>>();
    soon("the record", || !of("alice").is_empty()).await;
    assert_eq!(of("alice").len(), 1, "one request, one record");
    assert_eq!(of("alice")[0]["outcome"]["reason"], "unauthenticated");
    // One that runs out.
    let mut short = claims(&gate.url("/mcp").into(), "carol", &["eng"]);
    short["exp"] = (now_s() - 27).into();
    let answer = gate.reach.send(&streamed(&ED.token(&header(), &short))).await;
    assert_eq!(answer.json()["result"]["_meta"]["dev.portcullis/denial"]["reason"], "unauthenticated", "{}", answer.whole());
}

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
        assert!(back.elapsed() < Duration::from_secs(10), "not recovered");
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
        assert!(back.elapsed() < Duration::from_secs(10), "not discovered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status("/scoped", "good", "echo").await, 200, "introspected, with the scope that comes with its own");
    assert_eq!(status("/mcp", "good", "up__echo").await, 401, "another audience");
    assert_eq!(status("/scoped", "bad", "echo").await, 401);
    for seen in gate.up.seen() {
        assert!(!seen.whole().contains("introspection-canary") && !seen.whole().contains("good&"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_up_names_every_scope_at_once() {
    let gate = Gate::with(|files| {
        files.policy.push_str("  - { id: one, effect: allow, principals: [\"group:eng\"], tools: [\"up__echo\"], require: { scope: files:write } }\n");
        files.policy.push_str("  - { id: two, effect: allow, principals: [\"group:eng\"], tools: [\"up__ec*\"], require: { scope: [audit, mcp:read] } }\n");
    })
    .await;
    let mut claims = claims(&json!(gate.url("/scoped")), "alice", &["eng"]);
    claims["scope"] = "mcp:admin mcp:read".into();
    let answer = gate.reach.send(&gate.call("/scoped", &ED.token(&header(), &claims), "echo", "{}")).await;
    let metadata = gate.url("/.well-known/oauth-protected-resource/scoped");
    let expected =
        format!("Bearer error=\"insufficient_scope\", resource_metadata=\"{metadata}\", scope=\"mcp:admin audit files:write\"");
    assert_eq!((answer.status, challenge(&answer)), (403, expected.as_str()), "{}", answer.whole());
    claims["scope"] = "mcp:admin mcp:read audit files:write".into();
    let answer = gate.reach.send(&gate.call("/scoped", &ED.token(&header(), &claims), "echo", "{}")).await;
    assert_eq!(answer.status, 200, "one new token suffices: {}", answer.whole());
}
