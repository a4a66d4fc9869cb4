//! What is on record of those who are refused, and what does not happen where no record can be made.

use serde_json::{Value, json};

use super::Desk;
use crate::authserver::location;

async fn is_recorded(desk: &Desk, status: u16, method: &str, who: Option<&str>, name: Option<&str>) -> Value {
    let wanted = |record: &Value| {
        record["outcome"]["http"] == status
            && record["method"] == method
            && record["principal"]["sub"].as_str() == who
            && record["name"].as_str() == name
    };
    let waiting = tokio::time::timeout(crate::wire::SOON, async {
        loop {
            if let Some(found) = desk.gate.records().into_iter().find(wanted) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("{status} {method} {who:?} {name:?} in {:#?}", desk.gate.records()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_what_is_on_record() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", "{}").await;
    let api = format!("/api/v1/approvals/{id}");
    for (who, groups, action, status) in [
        ("vera", &["staff"][..], "approve", 403),   // no role for it
        ("eve", &["eng"], "deny", 403),             // no approver of the rule
        ("alice", &["eng", "sre"], "approve", 403), // whoever asked
        ("sam", &["sre"], "withdraw", 403),         // somebody else's
    ] {
        let got = desk.api(&desk.api_token(who, groups), "POST", &format!("{api}/{action}"), None).await;
        assert_eq!(got.status, status, "{who} {action}: {}", got.whole());
        let record = is_recorded(&desk, status, &format!("admin/{action}"), Some(who), Some(&id)).await;
        assert_eq!(record["principal"]["iss"], desk.idp.issuer(), "{record}");
    }
    let sue = desk.person("sue", &["sre"]).await;
    let form = |pairs: &[(&str, &str)]| sue.form(&format!("/console/approvals/{id}"), pairs);
    assert_eq!(sue.send(form(&[("decision", "approve")])).await.status, 403, "without the token of the form");
    is_recorded(&desk, 403, "admin/decide", Some("sue"), Some(&id)).await;
    assert_eq!(sue.decide(&id, "deny", "").await.status, 303);
    assert_eq!(desk.api(&desk.api_token("sam", &["sre"]), "POST", &format!("{api}/approve"), None).await.status, 409);
    is_recorded(&desk, 409, "admin/approve", Some("sam"), Some(&id)).await;
    assert_eq!(sue.decide(&id, "approve", "").await.status, 409);
    is_recorded(&desk, 409, "admin/approve", Some("sue"), Some(&id)).await;
    let mallory = desk.api_token("mallory", &["other"]);
    assert_eq!(desk.api(&mallory, "GET", "/api/v1/policy", None).await.status, 403);
    is_recorded(&desk, 403, "admin/request", Some("mallory"), Some("/api/v1/policy")).await;
    assert_eq!(desk.send(&desk.request("GET", &api)).await.status, 401);
    is_recorded(&desk, 401, "admin/request", None, Some(&id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_sites_and_hosts_ask_is_on_record() {
    let desk = Desk::start().await;
    for (header, value, reason) in
        [("Origin", "https://evil.example", "origin_refused"), ("Host", "evil.example", "host_refused")]
    {
        let request = desk.request("GET", "/api/v1/audit").set(header, value);
        assert_eq!(desk.send(&request).await.status, 403);
        desk.recorded(|record| record["outcome"]["http"] == 403 && record["outcome"]["reason"] == reason).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_for_roles_where_others_come_by_a_proxy_and_refusals_are_on_record() {
    let public = "https://console.example.com";
    let behind = Desk::with(|files| {
        let from = "admin:\n  listen: 127.0.0.1:0\n";
        assert!(files.config.contains(from));
        files.config = files.config.replace(from, &format!("{from}  public_url: {public}\n"));
    })
    .await;
    let (vera, mallory) = (("vera", &["staff"]), ("mallory", &["other"]));
    let token = |(who, groups): (&str, &[&str; 1])| behind.token_for(&json!([public]), who, groups);
    let nobody = behind.send(&behind.request("GET", "/metrics")).await;
    assert_eq!(nobody.status, 401, "{}", nobody.whole());
    is_recorded(&behind, 401, "admin/metrics", None, None).await;
    assert_eq!(behind.api(&token(mallory), "GET", "/metrics", None).await.status, 403);
    is_recorded(&behind, 403, "admin/metrics", Some("mallory"), None).await;
    let metrics = behind.api(&token(vera), "GET", "/metrics", None).await;
    assert!(metrics.status == 200 && metrics.text().contains("portcullis_"), "{}", metrics.whole());
    assert_eq!(behind.send(&behind.request("GET", "/healthz")).await.status, 200);
    let alone = Desk::start().await;
    assert_eq!(alone.gate.admin("/metrics").await.status, 200, "nobody leads anybody there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_in_where_that_cannot_be_recorded() {
    let desk = Desk::start().await;
    let browser = desk.browser();
    let away = browser.get("/console/signin").await;
    let back = desk.idp.sign_in(&location(&away), "root");
    let audit = desk.gate.running().audit();
    let mut taken = Vec::new();
    while let Ok(room) = audit.room() {
        taken.push(room);
    }
    let refused = browser.get(&back).await;
    assert_eq!(refused.status, 503, "{}", refused.whole());
    assert!(!browser.cookies.lock().contains_key("portcullis-console"), "{:?}", *browser.cookies.lock());
    drop(taken);
    assert_eq!(browser.get("/console/audit").await.status, 401);
    let welcome = browser.get(&back).await;
    assert_eq!(welcome.status, 200, "nothing was used up: {}", welcome.whole());
    is_recorded(&desk, 200, "signin/callback", Some("root"), None).await;
}
