//! Credentials that are bound to a key or a certificate, that are revoked, and issuers that misbehave: through the socket.

mod certificates;
mod issuers;

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

/// A CA called `name`.
pub(crate) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![name.into()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
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
        files.config = files.config.replace("timeout: 9s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
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
