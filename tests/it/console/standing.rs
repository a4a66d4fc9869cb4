//! What somebody may is what they may now: while a stream is read, while a body is sent, and when a page was left open.

use super::Desk;
use crate::wire::{Conn, Req, SOON};

const MINUTE_MS: i64 = 60_000;

async fn opened(desk: &Desk, request: Req) -> Conn {
    let mut conn = desk.gate.admin.open().await;
    conn.stream(&request.add("Accept", "text/event-stream")).await;
    conn
}

/// Reads `conn` to its end while calls are made all the time.
async fn ends_however_much_happens(desk: &Desk, conn: &mut Conn, what: &str) {
    let reading = async { while conn.event().await.is_some() {} };
    let calling = async {
        loop {
            desk.call("alice", "up__echo", "{}").await;
        }
    };
    tokio::select! {
        () = async { tokio::time::timeout(3 * SOON, reading).await.unwrap_or_else(|_| panic!("{what} goes on")) } => {}
        () = calling => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_role_of_its_reader_however_much_happens() {
    let desk = Desk::start().await;
    let token = desk.api_token("vera", &["staff"]);
    let request = |target| desk.request("GET", target).add("Authorization", &format!("Bearer {token}"));
    let mut all = opened(&desk, request("/api/v1/events")).await;
    // Whatever is told here is not told to this one.
    let mut none = opened(&desk, request("/api/v1/events?kind=approval")).await;
    desk.call("alice", "up__echo", "{}").await;
    assert!(all.event().await.is_some());
    desk.reload("portcullis.yaml", r#"viewer: ["group:staff"], "#, "", async || {
        desk.api(&token, "GET", "/api/v1/audit", None).await.status == 403
    })
    .await;
    ends_however_much_happens(&desk, &mut all, "a stream of everything").await;
    ends_however_much_happens(&desk, &mut none, "a stream of nothing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_session_of_its_reader_however_much_happens() {
    let desk = Desk::start().await;
    let vera = desk.person("vera", &["staff"]).await;
    let request = vera.cookies.onto(desk.request("GET", "/api/v1/events"));
    let mut stream = opened(&desk, request).await;
    desk.call("alice", "up__echo", "{}").await;
    assert!(stream.event().await.is_some());
    let out = vera.form("/console/signout", &[("csrf", &vera.csrf().await)]);
    assert_eq!(vera.send(out).await.status, 200);
    ends_however_much_happens(&desk, &mut stream, "a stream of a session that is over").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_judged_by_what_is_in_force_when_all_of_it_is_here() {
    let desk = Desk::start().await;
    let sam = desk.api_token("sam", &["sre"]);
    let body = r#"{"reason":"slow"}"#;
    let begun = async |id: &str| {
        let mut conn = desk.gate.admin.open().await;
        let head = desk
            .request("POST", &format!("/api/v1/approvals/{id}/approve"))
            .add("Authorization", &format!("Bearer {sam}"))
            .add("Content-Type", "application/json")
            .add("Content-Length", &body.len().to_string())
            .add("Expect", "100-continue");
        conn.write(&head.bytes()).await;
        assert_eq!(conn.head().await.status, 100, "the body is waited for");
        conn
    };
    let status = async |target: &str| desk.api(&sam, "GET", target, None).await.status;
    let digest = async || desk.api(&sam, "GET", "/api/v1/policy", None).await.json()["digest"].clone();

    let id = desk.ask("alice", "up__delete", "{}").await;
    let (mut conn, before) = (begun(&id).await, digest().await);
    desk.reload("policy.yaml", "expires: 15m", "expires: 14m", async || digest().await != before).await;
    conn.write(body.as_bytes()).await;
    assert_eq!(conn.response().await.status, 409, "the request was of another policy");

    let id = desk.ask("alice", "up__delete", "{}").await;
    let mut conn = begun(&id).await;
    desk.reload("portcullis.yaml", r#""group:sre", "#, "", async || status("/api/v1/audit").await == 403).await;
    conn.write(body.as_bytes()).await;
    assert_eq!(conn.response().await.status, 403, "the role is gone");
    let root = desk.api_token("root", &[]);
    let still = desk.api(&root, "GET", &format!("/api/v1/approvals/{id}"), None).await.json();
    assert_eq!((&still["state"], &still["votes"]), (&"pending".into(), &serde_json::json!([])), "{still}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_left_open_does_not_keep_its_session() {
    let desk = Desk::start().await;
    let (left, used) = (desk.person("vera", &["staff"]).await, desk.person("ivy", &["staff"]).await);
    let clock = desk.gate.running().clock();
    let visit = || desk.request("GET", "/console/approvals").add("Sec-Fetch-Dest", "document");
    let fetch = |target| desk.request("GET", target).add("Sec-Fetch-Dest", "empty");
    for _ in 0..2 {
        clock.advance_ms(25 * MINUTE_MS);
        for target in ["/console/approvals", "/api/v1/approvals"] {
            let got = left.send(fetch(target)).await;
            assert_eq!(got.status, 200, "{target}: {}", got.whole());
        }
        assert_eq!(used.send(visit()).await.status, 200);
    }
    clock.advance_ms(15 * MINUTE_MS);
    assert_eq!(left.send(visit()).await.status, 401, "nobody was there for an hour");
    assert_eq!(used.send(visit()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_send_slowly_hold_up_strangers_only() {
    let desk = Desk::start().await;
    let mut slow = Vec::new();
    let refused = loop {
        let mut conn = desk.gate.admin.open().await;
        let head = desk
            .request("POST", "/console/link")
            .add("Origin", &desk.origin())
            .add("Content-Type", "application/x-www-form-urlencoded")
            .add("Content-Length", "5")
            .add("Expect", "100-continue");
        conn.write(&head.bytes()).await;
        let told = conn.head().await.status;
        if told != 100 {
            break told;
        }
        slow.push(conn);
        assert!(slow.len() < 100, "strangers hold every place");
    };
    assert_eq!(refused, 503);
    let id = desk.ask("alice", "up__delete", "{}").await;
    let sam = desk.api_token("sam", &["sre"]);
    let done = desk.api(&sam, "POST", &format!("/api/v1/approvals/{id}/approve"), Some("{}")).await;
    assert_eq!(done.status, 200, "{}", done.whole());
}
