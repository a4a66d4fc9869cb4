//! Whoever keeps the gateway waiting, for a body or for an issuer, takes no place from calls, and from others no more than a share.

use std::time::Duration;

use crate::authserver::Realm;
use crate::gate::{Files, Gate, ISSUER_LINE};
use crate::keys::{self, ED};
use crate::peer::{Answer, Peer};
use crate::wire::{Conn, Req, Resp, SOON};

const IN_FLIGHT: usize = 8;
/// How many of one address are waited for then. Of one principal it is one.
const OF_ONE_ADDRESS: usize = 2;
/// More than there are places of any kind.
const MANY: usize = 2 * IN_FLIGHT;

fn few(files: &mut Files) {
    files.config = files.config.replace("limits: {", &format!("limits: {{ in_flight: {IN_FLIGHT},"));
}

fn call(gate: &Gate, token: &str) -> Req {
    gate.call("/mcp", token, "up__echo", r#"{"path":"/srv/x"}"#)
}

/// Sends the head of `request`, and nothing of its body.
async fn head_of(gate: &Gate, request: &Req) -> Conn {
    let bytes = request.bytes();
    let mut conn = gate.reach.open().await;
    conn.write(&bytes[..bytes.len() - request.body.len()]).await;
    conn
}

/// Waits until that many requests are waited for.
async fn arriving(gate: &Gate, count: usize) {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let now = gate.metric("portcullis_arriving").await;
        if now == count.to_string() {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{now} arrive, not {count}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_refused(answer: &Resp, why: &str) {
    let shown = (answer.status, answer.header("retry-after"), answer.ended);
    assert_eq!(shown, (503, Some("1"), true), "{}", answer.whole());
    assert_eq!(answer.json()["error"]["message"], why, "{}", answer.whole());
}

/// Every record, once there are `count`, of which `overloaded` are of requests that were turned away.
async fn settled(gate: &Gate, count: usize, overloaded: usize) {
    let records = gate.settled(count).await;
    let refused = records.iter().filter(|record| record["outcome"]["reason"] == "overloaded");
    assert_eq!(refused.count(), overloaded, "{records:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_that_do_not_come_keep_no_call_out() {
    let realm = Realm::with("", few).await;
    let gate = &realm.gate;
    let form = [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", "unknown")];
    let form = realm.form("/oauth/token", &form);
    let mut slow = Vec::new();
    for count in 1..=OF_ONE_ADDRESS {
        slow.push(head_of(gate, &form).await);
        arriving(gate, count).await;
    }
    for _ in 0..MANY {
        is_refused(&head_of(gate, &form).await.response().await, "too_many_arriving_of_one");
    }
    let streams = gate.reach.heads_h2(&form.clone().without("Host"), &gate.authority(), MANY).await;
    assert_eq!(streams.join_all().await, [503; MANY]);
    let shed = gate.metric("portcullis_sheds_total{reason=\"too_many_arriving_of_one\"}").await;
    assert_eq!((shed, gate.metric("portcullis_in_flight").await), ((2 * MANY).to_string(), "0".to_owned()));

    let token = gate.token("alice", &["eng"]);
    assert_eq!(gate.reach.send(&call(gate, &token)).await.status, 200);
    // A form that is here at once waits for nothing.
    assert_eq!(gate.reach.send(&form).await.status, 400);
    for conn in &mut slow {
        assert_eq!(conn.response().await.status, 408);
    }
    arriving(gate, 0).await;
    let mut late = head_of(gate, &form).await;
    arriving(gate, 1).await;
    late.write(&form.body).await;
    assert_eq!(late.response().await.status, 400);
    settled(gate, OF_ONE_ADDRESS + 2 * MANY + 3, 2 * MANY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_do_not_come_keep_nobody_else_out() {
    let gate = Gate::with(few).await;
    let call = |who: &str| call(&gate, &gate.token(who, &["eng"]));
    let (alices, bobs, daves) = (call("alice"), call("bob"), call("dave"));
    let mut slow = vec![head_of(&gate, &alices).await];
    arriving(&gate, 1).await;
    for _ in 0..MANY {
        is_refused(&head_of(&gate, &alices).await.response().await, "too_many_arriving_of_one");
    }
    // Others may take their time, and what is here at once is served whoever asks.
    let mut bob = head_of(&gate, &bobs).await;
    arriving(&gate, 2).await;
    assert_eq!(gate.reach.send(&alices).await.status, 200);
    bob.write(&bobs.body).await;
    assert_eq!(bob.response().await.status, 200);

    for count in 2..=IN_FLIGHT {
        slow.push(head_of(&gate, &call(&format!("person-{count}"))).await);
        arriving(&gate, count).await;
    }
    assert_eq!(gate.metric("portcullis_in_flight").await, "0");
    assert_eq!(gate.reach.send(&daves).await.status, 200, "as many are waited for as may be under way");
    is_refused(&head_of(&gate, &daves).await.response().await, "too_many_arriving");

    drop(slow);
    arriving(&gate, 0).await;
    let mut alice = head_of(&gate, &alices).await;
    arriving(&gate, 1).await;
    alice.write(&alices.body).await;
    assert_eq!(alice.response().await.status, 200);
    settled(&gate, IN_FLIGHT + MANY + 5, MANY + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_cannot_be_verified_keep_no_call_out() {
    let issuer = Peer::start(|_| Answer::Hang).await;
    let slow = format!("  issuers: [{{ issuer: \"https://slow.example.com\", jwks: \"http://{}/jwks\" }}, {{", issuer.addr);
    let gate = Gate::with(|files| {
        few(files);
        files.config = files.config.replace(ISSUER_LINE, &ISSUER_LINE.replace("  issuers: [{", &slow));
        files.policy = files.policy.replace("claim: groups,", "claim: groups, issuer: [\"https://idp.example.com\"],");
    })
    .await;
    let mut claims = keys::claims(&gate.url("/mcp").into(), "alice", &["eng"]);
    claims["iss"] = "https://slow.example.com".into();
    let unknown = call(&gate, &ED.token(&keys::header(), &claims));
    let mut slow = Vec::new();
    for count in 1..=OF_ONE_ADDRESS {
        let mut conn = gate.reach.open().await;
        conn.write(&unknown.bytes()).await;
        arriving(&gate, count).await;
        slow.push(conn);
    }
    for _ in 0..MANY {
        is_refused(&gate.reach.send(&unknown).await, "too_many_arriving_of_one");
    }
    assert_eq!(gate.metric("portcullis_in_flight").await, "0");
    assert_eq!(gate.reach.send(&call(&gate, &gate.token("bob", &["eng"]))).await.status, 200);
    for conn in &mut slow {
        let answer = conn.response().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.whole());
    }
    arriving(&gate, 0).await;
    settled(&gate, OF_ONE_ADDRESS + MANY + 1, MANY).await;
}
