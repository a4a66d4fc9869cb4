//! An upstream is shown what was made for it, and for whom; a client never learns of it, and its own token stays here.

mod issuer;
mod own;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;

use self::issuer::{Issuer, SECRET, State, Token, WORKLOAD};
use crate::gate::{Gate, soon};
use crate::peer::{Answer, Seen, legacy, modern};
use crate::wire::{Req, Resp};

const STATIC: &str = "credential: { bearer: upstream-credential-canary }";

/// An upstream that knows the tokens of `state`. `write` needs the scope files:write.
fn guarded(state: &Arc<Mutex<State>>, trap: String, then: fn(&Seen) -> Answer) -> impl Fn(&Seen) -> Answer + Send + Sync + use<> {
    let state = state.clone();
    move |seen| {
        let Some(token) = shown(&state, seen) else {
            let challenge = format!("www-authenticate: Bearer error=\"invalid_token\", resource_metadata=\"{trap}\"\r\n");
            return refusal(401, &challenge);
        };
        let body = seen.json();
        if body["params"]["name"] == "write" && !token.scope.contains("files:write") {
            return refusal(403, "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"files:write\"\r\n");
        }
        if seen.rpc() == "tools/call" {
            let content = json!([{"type": "text", "text": format!("did it as {}", token.sub)}]);
            let result = json!({"content": content, "resultType": "complete"});
            return Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string());
        }
        then(seen)
    }
}

fn refusal(status: u16, challenge: &str) -> Answer {
    let body = r#"{"error":"upstream-error-canary"}"#;
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{challenge}\r\n", body.len());
    Answer::Raw(format!("{head}{body}").into_bytes())
}

fn shown(state: &Arc<Mutex<State>>, seen: &Seen) -> Option<Token> {
    let token = seen.header("authorization")?.strip_prefix("Bearer ")?.to_owned();
    state.lock().tokens.iter().find(|known| known.text == token && known.holds).cloned()
}

/// A listener that nobody may connect to.
struct Trap(TcpListener);

impl Trap {
    async fn set() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}/trap", self.0.local_addr().unwrap())
    }

    async fn assert_untouched(&self) {
        let touched = tokio::time::timeout(std::time::Duration::from_millis(20), self.0.accept()).await;
        assert!(touched.is_err(), "somebody connected to an address learnt from outside");
    }
}

/// A gateway whose upstream `up` is shown `credential`, in which ISSUER stands for the authorization server.
async fn gate(credential: &str) -> (Gate, Issuer, Trap) {
    gate_with(credential, "").await
}

/// The same, with `more` in its config.
async fn gate_with(credential: &str, more: &str) -> (Gate, Issuer, Trap) {
    let (issuer, trap) = (Issuer::start().await, Trap::set().await);
    let (credential, more) = (credential.replace("ISSUER", &issuer.url()), more.replace("ISSUER", &issuer.url()));
    let gate = Gate::program(|files| {
        files.config = files.config.replace(STATIC, &format!("credential: {credential}"));
        files.config =
            files.config.replace("tls: self_signed", &format!("tls: self_signed\ntelemetry: {{ log: debug }}\n{more}"));
        assert!(files.config.contains(&credential));
    })
    .await;
    portcullis::identity::install_crypto();
    gate.up.behave(guarded(&issuer.state, trap.url(), modern));
    let keys = gate.reach.send(&Req::new("GET", "/oauth/jwks").add("Host", &gate.authority())).await;
    issuer.state.lock().jwks = serde_json::from_str(&keys.text()).ok();
    (gate, issuer, trap)
}

async fn call(gate: &Gate, sub: &str, tool: &str) -> Resp {
    gate.reach.send(&gate.call("/mcp", &gate.token(sub, &["eng"]), tool, "{}")).await
}

fn own(settings: &str) -> String {
    format!("{{ client_credentials: {{ issuer: \"ISSUER\", client_id: portcullis, {settings} }} }}")
}

fn secret() -> String {
    format!("client_secret: \"{SECRET}\"")
}

fn exchange(settings: &str) -> String {
    format!("{{ token_exchange: {{ issuer: \"ISSUER\", client_id: portcullis, {}{settings} }} }}", secret())
}

/// Nothing of a token, error text or secret in what clients, logs and records show; nothing of a client's token upstream.
async fn assert_apart(gate: &Gate, issuer: &Issuer, answers: &[Resp]) {
    let answers: String = answers.iter().map(Resp::whole).collect();
    let metrics = gate.admin("/metrics").await.text();
    for (place, text) in [("answers", &answers), ("log", &gate.log()), ("records", &gate.audit_text()), ("metrics", &metrics)] {
        for canary in
            ["issued-canary", "jag-canary", WORKLOAD, "upstream-error-canary", "issuer-text-canary", "secret%canary", "eyJ"]
        {
            let at = text.find(canary).map(|at| &text[at.saturating_sub(200)..text.len().min(at + 40)]);
            assert_eq!(at, None, "{canary} in the {place}");
        }
    }
    assert!(!answers.to_lowercase().contains("www-authenticate"), "{answers}");
    let outward: String = gate.up.seen().iter().chain(&gate.old.seen()).chain(&issuer.peer.seen()).map(Seen::whole).collect();
    for sub in ["alice", "bob"] {
        for part in gate.token(sub, &["eng"]).split('.').take(2) {
            assert!(!outward.contains(part), "a client's token went out");
        }
    }
    assert!(!gate.old.seen().iter().any(|seen| seen.whole().contains("issued-canary")), "a token for one went to another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_the_gateway_is_made_once_and_renewed_once() {
    let (gate, issuer, trap) = gate(&own(&format!("{}, scopes: [files:read]", secret()))).await;
    let calls = (0..20).map(|n| call(&gate, if n % 2 == 0 { "alice" } else { "bob" }, "up__echo"));
    let mut answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.text().contains("did it as gateway")), "{}", answers[0].whole());
    assert_eq!(issuer.asked(), 1);
    let asked = issuer.state.lock().asked[0].clone();
    assert_eq!(asked["grant_type"], "client_credentials");
    assert_eq!(asked["scope"], "files:read");
    assert_eq!(asked["resource"], format!("http://{}/mcp", gate.up.addr));

    issuer.revoke_all();
    let before = gate.up.calls().len();
    answers.push(call(&gate, "alice", "up__echo").await);
    assert!(answers.last().unwrap().text().contains("did it as gateway"));
    assert_eq!((issuer.asked(), gate.up.calls().len() - before), (2, 2), "refused once, and sent once more");

    // What the gateway's own token may do is the operator's word: no step-up.
    answers.push(call(&gate, "alice", "up__write").await);
    assert!(answers.last().unwrap().text().contains("upstream_unavailable"), "{}", answers.last().unwrap().whole());
    assert_eq!(issuer.asked(), 2);

    // An upstream that is never content does not make the gateway a hammer.
    gate.up.behave(|_| refusal(401, "www-authenticate: Bearer\r\n"));
    for _ in 0..10 {
        answers.push(call(&gate, "bob", "up__echo").await);
        assert!(answers.last().unwrap().text().contains("upstream_unavailable"));
    }
    assert!(issuer.asked() <= 5, "{}", issuer.asked());
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_is_exchanged_for_their_own_token() {
    let (gate, issuer, trap) = gate(&exchange(", scopes: [files:read], audience: files")).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        for sub in ["alice", "bob"] {
            let got = futures_util::future::join_all((0..4).map(|_| call(&gate, sub, "up__echo"))).await;
            assert!(got.iter().all(|answer| answer.text().contains(&format!("did it as {sub}"))), "{}", got[0].whole());
            answers.extend(got);
        }
    }
    assert_eq!(issuer.asked(), 2);
    let asked = issuer.state.lock().asked[0].clone();
    assert_eq!(
        (asked["audience"].as_str(), asked["requested_token_type"].as_str()),
        ("files", "urn:ietf:params:oauth:token-type:access_token")
    );
    assert!(asked.contains_key("actor_token"));

    // The upstream asks for a scope: asked for together with the others, once, and remembered.
    for _ in 0..2 {
        answers.push(call(&gate, "alice", "up__write").await);
        assert!(answers.last().unwrap().text().contains("did it as alice"), "{}", answers.last().unwrap().whole());
    }
    assert_eq!(issuer.asked(), 3);
    assert_eq!(issuer.state.lock().asked[2]["scope"], "files:read files:write");
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_assertions_is_published_beside_those_of_the_authorization_server_and_signs_no_tokens() {
    let server = "authserver: { upstream: { issuer: \"ISSUER\", client_id: gw } }\n";
    let (gate, issuer, trap) = gate_with(&exchange(", subject_issuer: \"https://idp.example.com\""), server).await;
    assert_eq!(issuer.state.lock().jwks.as_ref().unwrap().keys.len(), 2);
    let answers = vec![call(&gate, "alice", "up__echo").await];
    assert!(answers[0].text().contains("did it as alice"), "{}", answers[0].whole());
    // What it signs is no access token of the gateway's.
    let key = portcullis::oauth::SigningKey::open_or_create(&gate.dir.path().join("data/keys/assertion")).unwrap();
    let mut claims = crate::keys::claims(&json!(gate.url("/mcp")), "alice", &["eng"]);
    claims["iss"] = gate.url("").into();
    let token = secrecy::ExposeSecret::expose_secret(&key.sign(Some("at+jwt"), &claims).unwrap()).to_owned();
    let refused = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert_eq!(refused.status, 401, "{}", refused.whole());
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_another_issuer_is_nobody_there() {
    let (gate, issuer, _trap) = gate(&exchange(", subject_issuer: \"https://other.example.com\"")).await;
    let answer = call(&gate, "alice", "up__echo").await;
    assert!(!answer.text().contains("did it"), "{}", answer.whole());
    assert_eq!((issuer.asked(), gate.up.seen().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_assertion_is_redeemed_at_the_upstreams_server() {
    let idp = format!("idp: {{ token_url: \"ISSUER/token\", issuer: \"ISSUER\", client_id: portcullis, {} }}", secret());
    let server = format!("issuer: \"ISSUER\", client_id: portcullis, {}", secret());
    let (gate, issuer, trap) = gate(&format!("{{ id_jag: {{ {idp}, {server}, scopes: [files:read] }} }}")).await;
    let mut answers = Vec::new();
    for sub in ["alice", "bob", "alice"] {
        answers.push(call(&gate, sub, "up__echo").await);
        assert!(answers.last().unwrap().text().contains(&format!("did it as {sub}")), "{}", answers.last().unwrap().whole());
    }
    let asked = issuer.state.lock().asked.clone();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[0]["audience"], issuer.url());
    assert_eq!(asked[0]["requested_token_type"], "urn:ietf:params:oauth:token-type:id-jag");
    assert_eq!(asked[1]["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_personal_tokens_are_one_persons() {
    let (issuer, trap) = (Issuer::start().await, Trap::set().await);
    let credential = exchange("").replace("ISSUER", &issuer.url());
    let gate = Gate::with(|files| {
        files.config =
            files.config.replace("/mcp\" }, timeout: 9s }", &format!("/mcp\" }}, timeout: 9s, credential: {credential} }}"));
    })
    .await;
    let keys = gate.reach.send(&Req::new("GET", "/oauth/jwks").add("Host", &gate.authority())).await;
    issuer.state.lock().jwks = serde_json::from_str(&keys.text()).ok();
    gate.old.behave(guarded(&issuer.state, trap.url(), legacy));
    for sub in ["alice", "bob"] {
        let answer = call(&gate, sub, "old__echo").await;
        assert!(answer.text().contains(&format!("did it as {sub}")), "{}", answer.whole());
    }
    let opened: Vec<_> = gate.old.seen().into_iter().filter(|seen| seen.rpc() == "initialize").collect();
    let subs: Vec<String> = opened.iter().filter_map(|seen| shown(&issuer.state, seen)).map(|token| token.sub).collect();
    assert_eq!(subs.len(), 2, "{subs:?}");
    assert_ne!(subs[0], subs[1]);
}
