//! Approving and denying, by page and by program.

use serde_json::Value;

use super::Desk;

async fn state(desk: &Desk, id: &str) -> Value {
    desk.api(&desk.api_token("root", &[]), "GET", &format!("/api/v1/approvals/{id}"), None).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_on_the_page_lets_the_very_call_through_once() {
    let desk = Desk::start().await;
    let arguments = r#"{"path":"/srv/old","why":"x"}"#;
    let id = desk.ask("alice", "up__delete", arguments).await;
    let before = desk.gate.seen().0;
    let sam = desk.person("sam", &["sre"]).await;
    let list = sam.get("/console/approvals").await.text();
    assert!(list.contains(&id) && list.contains("up__delete") && list.contains("destructive"), "{list}");
    let page = sam.get(&format!("/console/approvals/{id}")).await.text();
    let digest = state(&desk, &id).await["arguments_digest"].as_str().unwrap().to_owned();
    for part in ["alice", "up__delete", "/srv/old", "gated", "group:sre", &digest, "Approve this call"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let done = sam.decide(&id, "approve", "seen with alice").await;
    assert_eq!(done.status, 303, "{}", done.whole());
    assert!(sam.get(&format!("/console/approvals/{id}")).await.text().contains("seen with alice"));
    let told = desk.call("alice", "up__delete", r#"{"why":"x","path":"/srv/old"}"#).await;
    assert_ne!(told["isError"], true, "{told}");
    assert!(desk.gate.seen().0 > before);
    assert_eq!(state(&desk, &id).await["state"], "used");
    let next = desk.ask("alice", "up__delete", arguments).await;
    assert_ne!(next, id, "a yes is for one call");
    let acted: Vec<Value> = desk.recorded(|r| r["kind"] == "admin").await.into_iter().filter(|r| r["kind"] == "admin").collect();
    assert_eq!(acted.len(), 1, "{acted:?}");
    assert_eq!(
        (&acted[0]["method"], &acted[0]["principal"]["sub"], &acted[0]["name"]),
        (&"admin/approve".into(), &"sam".into(), &Value::from(id))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_ends_it_and_who_asked_does_not_approve() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", "{}").await;
    let alice = desk.person("alice", &["eng", "sre"]).await;
    let page = alice.get(&format!("/console/approvals/{id}")).await.text();
    assert!(page.contains("Take it back") && !page.contains("Approve this call"), "{page}");
    let own = alice.decide(&id, "approve", "").await;
    assert_eq!(own.status, 403, "{}", own.whole());
    assert!(own.text().contains("cannot approve it"), "{}", own.text());
    let eve = desk.person("eve", &["eng"]).await;
    assert_eq!(eve.decide(&id, "approve", "").await.status, 403, "an approver by role, whom the rule does not name");
    let root = desk.person("root", &[]).await;
    assert_eq!(root.decide(&id, "approve", "").await.status, 403, "nor does being an operator");
    let sam = desk.person("sam", &["sre"]).await;
    assert_eq!(sam.decide(&id, "deny", "not today").await.status, 303);
    assert_eq!(sam.decide(&id, "approve", "").await.status, 409, "deny wins");
    let told = desk.call("alice", "up__delete", "{}").await;
    assert_eq!(told["_meta"]["dev.portcullis/denial"]["reason"], "approval_denied", "{told}");
    let second = desk.ask("alice", "up__delete", r#"{"n":2}"#).await;
    assert_eq!(sam.decide(&second, "withdraw", "").await.status, 403, "only who asked takes it back");
    assert_eq!(alice.decide(&second, "withdraw", "").await.status, 303);
    assert_eq!(state(&desk, &second).await["state"], "withdrawn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_wants_different_people() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__mirror", "{}").await;
    let approve = format!("/api/v1/approvals/{id}/approve");
    let (sam, sue) = (desk.api_token("sam", &["sre"]), desk.api_token("sue", &["sre"]));
    let first = desk.api(&sam, "POST", &approve, Some(r#"{"reason":"one"}"#)).await;
    assert_eq!((first.status, first.json()["state"].as_str()), (200, Some("pending")), "{}", first.whole());
    assert_eq!(first.json()["gates"][0]["yes"], 1);
    assert_eq!(desk.api(&sam, "POST", &approve, None).await.status, 409, "one person, one vote");
    let by_page = desk.person("sam", &["sre"]).await.decide(&id, "approve", "").await;
    assert_eq!(by_page.status, 409, "whichever way it comes: {}", by_page.whole());
    let second = desk.api(&sue, "POST", &approve, Some("{}")).await;
    assert_eq!((second.status, second.json()["state"].as_str()), (200, Some("approved")), "{}", second.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_say_something_else_decide_nothing() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", "{}").await;
    let (sam, approve) = (desk.api_token("sam", &["sre"]), format!("/api/v1/approvals/{id}/approve"));
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(501));
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(20_000));
    for (body, expected) in [
        ("{", 400),
        ("[]", 400),
        ("null", 400),
        (r#"{"reason":1}"#, 400),
        (r#"{"reason":"a","reason":"b"}"#, 400),
        (r#"{"reason":"a","yes":true}"#, 400),
        (long.as_str(), 400),
        (huge.as_str(), 413),
    ] {
        let got = desk.api(&sam, "POST", &approve, Some(body)).await;
        assert_eq!(got.status, expected, "{}: {}", &body[..body.len().min(40)], got.whole());
        assert_eq!(got.header("content-type"), Some("application/problem+json"));
    }
    let form = desk
        .request("POST", &approve)
        .add("Authorization", &format!("Bearer {sam}"))
        .add("Content-Type", "text/plain")
        .body("{}");
    assert_eq!(desk.send(&form).await.status, 415);
    assert_eq!(state(&desk, &id).await["state"], "pending");
    for unknown in ["apr_AAAAAAAAAAAAAAAAAAAAAA", "x", "apr_"] {
        assert_eq!(desk.api(&sam, "POST", &format!("/api/v1/approvals/{unknown}/approve"), None).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_takes_it_back_whatever_their_role_and_nobody_else() {
    let desk = Desk::start().await;
    // A viewer at the console, whose agent asks.
    let (first, second) = (desk.ask("vera", "up__delete", "{}").await, desk.ask("vera", "up__delete", r#"{"n":2}"#).await);
    let vera = desk.person("vera", &["staff"]).await;
    let page = vera.get(&format!("/console/approvals/{first}")).await.text();
    assert!(page.contains("Take it back") && !page.contains("Approve this call"), "{page}");
    let own =
        vera.send(vera.form(&format!("/console/approvals/{first}"), &[("csrf", &vera.csrf().await), ("decision", "approve")]));
    assert_eq!(own.await.status, 403, "a viewer decides nothing");
    for (who, groups) in [("victor", &["staff"][..]), ("sam", &["sre"]), ("root", &[])] {
        assert_eq!(desk.person(who, groups).await.decide(&first, "withdraw", "").await.status, 403, "{who} by page");
        let token = desk.api_token(who, groups);
        let by_token = desk.api(&token, "POST", &format!("/api/v1/approvals/{first}/withdraw"), None).await;
        assert_eq!(by_token.status, 403, "{who}: {}", by_token.whole());
    }
    assert_eq!(state(&desk, &first).await["state"], "pending");
    let done = vera.decide(&first, "withdraw", "").await;
    assert_eq!(done.status, 303, "{}", done.whole());
    let token = desk.api_token("vera", &["staff"]);
    let by_token = desk.api(&token, "POST", &format!("/api/v1/approvals/{second}/withdraw"), None).await;
    assert_eq!((by_token.status, by_token.json()["state"].as_str()), (200, Some("withdrawn")), "{}", by_token.whole());
    assert_eq!(state(&desk, &first).await["state"], "withdrawn");
}
