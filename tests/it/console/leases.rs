//! Leases by page and by program: who may choose, see and revoke them, and what is understood as one.

use serde_json::{Value, json};

use super::Desk;
use crate::authserver::field;

const FIRST: &str = r#"{"path":"/srv/docs/a","n":1}"#;
const SIMILAR: &str = r#"{"n":1,"path":"/srv/docs/b"}"#;
const LEASE: &str =
    r#"{"reason":"spring cleaning","lease":{"minutes":15,"uses":3,"where":{"/path":{"path_under":["/srv/docs"]}}}}"#;

async fn ran(desk: &Desk, arguments: &str) -> bool {
    desk.call("alice", "up__delete", arguments).await["isError"] != true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_chooses_sees_and_revokes() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", FIRST).await;
    let (sam, vera) = (desk.api_token("sam", &["sre"]), desk.api_token("vera", &["staff"]));
    let approve = format!("/api/v1/approvals/{id}/approve");
    assert_eq!(desk.api(&vera, "POST", &approve, Some(LEASE)).await.status, 403, "a viewer");
    assert_eq!(desk.api(&desk.api_token("eve", &["eng"]), "POST", &approve, Some(LEASE)).await.status, 403, "not of the rule");
    assert_eq!(desk.api(&desk.api_token("alice", &["sre"]), "POST", &approve, Some(LEASE)).await.status, 403, "who asks");
    let before = desk.api(&sam, "GET", &format!("/api/v1/approvals/{id}"), None).await.json();
    assert_eq!((&before["lease_minutes_max"], before.get("lease")), (&json!(15), None), "{before}");
    assert!(!ran(&desk, FIRST).await);
    let given = desk.api(&sam, "POST", &approve, Some(LEASE)).await;
    assert_eq!(given.status, 200, "{}", given.whole());
    let within = json!({"/path": {"path_under": ["/srv/docs"]}});
    let expected = json!({"minutes": 15, "uses": 3, "used": 0, "in_force": true, "where": within});
    assert_eq!((&given.json()["lease"], given.json()["state"].as_str()), (&expected, Some("approved")));
    assert!(ran(&desk, SIMILAR).await);
    let leases = desk.api(&vera, "GET", "/api/v1/leases", None).await.json();
    assert_eq!((&leases["items"][0]["id"], &leases["items"][0]["lease"]["used"]), (&json!(id), &json!(1)), "{leases}");
    let withdraw = format!("/api/v1/approvals/{id}/withdraw");
    assert_eq!(desk.api(&vera, "POST", &withdraw, None).await.status, 403, "a viewer revokes nothing");
    // Any approver may, also one who did not give it.
    let ended = desk.api(&desk.api_token("eve", &["eng"]), "POST", &withdraw, Some("{}")).await;
    assert_eq!((ended.status, ended.json()["state"].as_str()), (200, Some("withdrawn")), "{}", ended.whole());
    assert_eq!(desk.api(&sam, "POST", &withdraw, None).await.status, 409);
    assert_eq!(desk.api(&vera, "GET", "/api/v1/leases", None).await.json()["items"], json!([]));
    assert!(!ran(&desk, SIMILAR).await);
    let of = |record: &Value| record["method"] == "approval/withdraw";
    let records = desk.recorded(of).await;
    let record = records.iter().find(|record| of(record)).unwrap();
    assert_eq!((&record["principal"]["sub"], &record["approval"]["lease"]["used"]), (&json!("eve"), &json!(1)), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_lease_decides_nothing() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", FIRST).await;
    let sam = desk.api_token("sam", &["sre"]);
    for (lease, part) in [
        ("true", "and nothing else"),
        ("{}", "`minutes`, `uses`"),
        (r#"{"minutes":5}"#, "`minutes`, `uses`"),
        (r#"{"uses":5}"#, "`minutes`, `uses`"),
        (r#"{"minutes":"5","uses":1}"#, "`minutes`, `uses`"),
        (r#"{"minutes":5,"uses":-1}"#, "`minutes`, `uses`"),
        (r#"{"minutes":5,"uses":1,"where":[]}"#, "`minutes`, `uses`"),
        (r#"{"minutes":5,"uses":1,"arguments":"any"}"#, "`minutes`, `uses`"),
        (r#"{"minutes":5,"uses":1,"uses":100}"#, "and nothing else"),
        (r#"{"minutes":5,"uses":1,"where":{"/path":{"equals":1},"/path":{"glob":"*"}}}"#, "and nothing else"),
        (r#"{"minutes":16,"uses":1}"#, "here 15 minutes"),
        (r#"{"minutes":5,"uses":101}"#, "1 to 100 calls"),
        (r#"{"minutes":5,"uses":1,"where":{}}"#, "no criterion"),
        (r#"{"minutes":5,"uses":1,"where":{"/path":{"under":"/srv"}}}"#, "unknown key"),
        (r#"{"minutes":5,"uses":1,"where":{"/path":{"path_under":["/etc"]}}}"#, "do not hold"),
    ] {
        for (verb, part) in [("approve", part), ("deny", ""), ("withdraw", "")] {
            let body = format!(r#"{{"lease":{lease}}}"#);
            let got = desk.api(&sam, "POST", &format!("/api/v1/approvals/{id}/{verb}"), Some(&body)).await;
            assert_eq!(got.status, 400, "{verb} {body}: {}", got.whole());
            assert!(got.json()["detail"].as_str().unwrap().contains(part), "{verb} {body}: {}", got.whole());
        }
    }
    let now = desk.api(&sam, "GET", &format!("/api/v1/approvals/{id}"), None).await.json();
    assert_eq!((&now["state"], &now["votes"]), (&json!("pending"), &json!([])), "{now}");
    let document = desk.api(&sam, "GET", "/api/v1/openapi.json", None).await.json();
    let body = |verb: &str| {
        let operation = &document["paths"][format!("/api/v1/approvals/{{id}}/{verb}")]["post"];
        operation["requestBody"]["content"]["application/json"]["schema"]["properties"].clone()
    };
    assert!(body("approve")["lease"]["properties"]["where"].is_object() && body("deny")["lease"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_chooses_sees_and_revokes() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", FIRST).await;
    let sam = desk.person("sam", &["sre"]).await;
    let target = format!("/console/approvals/{id}");
    let page = sam.get(&target).await;
    let text = page.text();
    assert!(
        text.contains("<details") && text.contains("Allow similar calls for a while") && text.contains("max=\"15\""),
        "{text}"
    );
    let csrf = field(&page, "csrf");
    let send = async |pairs: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> =
            [("csrf", csrf.as_str()), ("decision", "lease")].into_iter().chain(pairs.iter().copied()).collect();
        sam.send(sam.form(&target, &all)).await
    };
    for (pairs, part) in [
        (&[][..], "needs its minutes"),
        (&[("minutes", "5")], "needs its minutes"),
        (&[("minutes", "5"), ("uses", "2"), ("pointer", "/path")], "needs values"),
        (&[("minutes", "5"), ("uses", "2"), ("matcher", "path_under"), ("values", "/srv")], "needs values"),
        (&[("minutes", "5"), ("uses", "2"), ("pointer", "/path"), ("matcher", "<b>"), ("values", "/srv")], "&lt;b&gt;"),
        (&[("minutes", "50"), ("uses", "2")], "here 15 minutes"),
    ] {
        let got = send(pairs).await;
        assert_eq!(got.status, 400, "{pairs:?}: {}", got.whole());
        assert!(got.text().contains(part) && !got.text().contains("<b>"), "{pairs:?}: {}", got.text());
    }
    assert!(!ran(&desk, FIRST).await);
    let values = "/srv/docs\r\n/srv/more\r\n";
    let chosen =
        send(&[("minutes", "5"), ("uses", "2"), ("pointer", "/path"), ("matcher", "path_under"), ("values", values)]).await;
    assert_eq!(chosen.status, 303, "{}", chosen.whole());
    assert!(ran(&desk, SIMILAR).await);
    for path in [target.as_str(), "/console/leases"] {
        let text = sam.get(path).await.text();
        for part in ["/srv/more", "Revoke", "A yes to 2 calls within 5 minutes", "<strong>1</strong>"] {
            assert!(text.contains(part), "{path}: {part} in {text}");
        }
    }
    let vera = desk.person("vera", &["staff"]).await;
    let seen = vera.get("/console/leases").await.text();
    assert!(seen.contains("up__delete") && !seen.contains("Revoke"), "{seen}");
    let olga = desk.person("root", &[]).await;
    assert_eq!(olga.decide(&id, "withdraw", "").await.status, 303, "an operator");
    assert!(sam.get("/console/leases").await.text().contains("There is none."));
    assert!(!ran(&desk, SIMILAR).await);
    // The second of two who have to agree says it to the same terms.
    let id = desk.ask("alice", "up__mirror", FIRST).await;
    let token = desk.api_token("sam", &["sre"]);
    assert_eq!(desk.api(&token, "POST", &format!("/api/v1/approvals/{id}/approve"), Some(LEASE)).await.status, 200);
    let sue = desk.person("sue", &["sre"]).await;
    assert_eq!(sue.decide(&id, "approve", "").await.status, 409, "one call is another thing");
    let target = format!("/console/approvals/{id}");
    let page = sue.get(&target).await;
    assert!(page.text().contains("Approve the same lease"), "{}", page.text());
    let (csrf, within) = (field(&page, "csrf"), field(&page, "where").replace("&quot;", "\""));
    let same = [("csrf", csrf.as_str()), ("decision", "lease"), ("minutes", "15"), ("uses", "3"), ("where", &within)];
    assert_eq!(sue.send(sue.form(&target, &same)).await.status, 303);
    assert!(desk.call("alice", "up__mirror", SIMILAR).await["isError"] != true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asked_ends_their_lease() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", FIRST).await;
    let sam = desk.api_token("sam", &["sre"]);
    let exactly = r#"{"lease":{"minutes":15,"uses":3}}"#;
    let given = desk.api(&sam, "POST", &format!("/api/v1/approvals/{id}/approve"), Some(exactly)).await;
    assert_eq!(given.status, 200, "{}", given.whole());
    let (alice, vera) = (desk.person("alice", &["staff"]).await, desk.person("vera", &["staff"]).await);
    for path in [format!("/console/approvals/{id}"), "/console/leases".to_owned()] {
        let text = alice.get(&path).await.text();
        assert!(text.contains("Revoke"), "{path}: {text}");
        // Which calls those are is seen without going anywhere.
        assert!(text.contains("exactly those of the request") && text.contains("/srv/docs/a"), "{path}: {text}");
        assert!(!vera.get(&path).await.text().contains("Revoke"), "{path}: another viewer");
    }
    assert_eq!(vera.decide(&id, "withdraw", "").await.status, 403);
    assert!(ran(&desk, FIRST).await);
    assert_eq!(alice.decide(&id, "withdraw", "").await.status, 303);
    assert!(alice.get("/console/leases").await.text().contains("There is none."));
    assert!(!ran(&desk, FIRST).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constraints_with_hidden_characters_are_seen_and_agreed_to() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__mirror", FIRST).await;
    let lease =
        r#"{"lease":{"minutes":5,"uses":3,"where":{"/path":{"one_of":["/srv/docs/a","/srv/\u200b\u00ad\udb40\udc41"]}}}}"#;
    let token = desk.api_token("sam", &["sre"]);
    let half = desk.api(&token, "POST", &format!("/api/v1/approvals/{id}/approve"), Some(lease)).await;
    assert_eq!(half.status, 200, "{}", half.whole());
    let sue = desk.person("sue", &["sre"]).await;
    let target = format!("/console/approvals/{id}");
    let page = sue.get(&target).await;
    assert!(page.text().contains(r"/srv/\u200b\u00ad\udb40\udc41") && !page.text().contains('\u{fffd}'), "{}", page.text());
    let (csrf, within) = (field(&page, "csrf"), field(&page, "where").replace("&quot;", "\""));
    let same = [("csrf", csrf.as_str()), ("decision", "lease"), ("minutes", "5"), ("uses", "3"), ("where", &within)];
    assert_eq!(sue.send(sue.form(&target, &same)).await.status, 303);
    assert!(desk.call("alice", "up__mirror", FIRST).await["isError"] != true);
}
