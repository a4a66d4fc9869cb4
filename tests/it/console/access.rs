//! Every address of the listener, for nobody, for a role that does not do, for a page of another site, and with another method.

use portcullis::admin::{Role, endpoints};

use super::{Browser, Desk};
use crate::wire::{Req, Resp};

/// An address with an id that nothing has.
fn filled(path: &str) -> String {
    path.replace("{id}", "apr_AAAAAAAAAAAAAAAAAAAAAA")
}

/// A change with all that a page of ours would send, from somewhere else.
fn cross_site(request: Req, csrf: &str, cookies: bool, browser: &Browser<'_>) -> Req {
    let request = request.set("Sec-Fetch-Site", "cross-site").add("X-CSRF-Token", csrf);
    if cookies { browser.cookies.onto(request) } else { request }
}

fn is_problem(got: &Resp, status: u16) -> bool {
    let problem = got.json();
    got.status == status && got.header("content-type") == Some("application/problem+json") && problem["status"] == status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_anywhere() {
    let desk = Desk::start().await;
    let mut wrong = Vec::new();
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.role.is_some()) {
        let target = filled(endpoint.path);
        let bad = "Bearer not-a-token";
        for (who, request) in [
            ("nobody", desk.request(endpoint.method(), &target)),
            ("a made up cookie", desk.request(endpoint.method(), &target).add("Cookie", "portcullis-console=AAAA")),
            ("nobody, for a stream", desk.request(endpoint.method(), &target).add("Accept", "text/event-stream")),
            ("a made up token", desk.request(endpoint.method(), &target).add("Authorization", bad)),
        ] {
            let got = desk.send(&request).await;
            let told =
                if endpoint.is_api() { is_problem(&got, 401) } else { got.status == 401 && got.text().contains("Sign in") };
            if !told || got.header("www-authenticate").is_none() && endpoint.is_api() {
                wrong.push(format!("{} {} by {who}: {}", endpoint.method(), endpoint.path, got.whole()));
            }
        }
    }
    for target in ["/api/v1/nothing", "/api/", "/api/v1/approvals/a/b", "/console/nothing"] {
        let got = desk.send(&desk.request("GET", target)).await;
        assert_eq!(got.status, 401, "strangers do not learn what there is: {}", got.whole());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    desk.recorded(|record| record["kind"] == "auth" && record["outcome"]["http"] == 401).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_does_not_do_is_refused() {
    let desk = Desk::start().await;
    let (stranger, viewer) = (desk.person("mallory", &["other"]).await, desk.person("vera", &["staff"]).await);
    let (stranger_token, viewer_token) = (desk.api_token("mallory", &["other"]), desk.api_token("vera", &["staff"]));
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for endpoint in endpoints() {
        let Some(role) = endpoint.role else { continue };
        let target = filled(endpoint.path);
        let mut rows = vec![(&stranger, &stranger_token)];
        if role > Role::Viewer {
            rows.push((&viewer, &viewer_token));
        }
        for (browser, token) in rows {
            tried += 1;
            let csrf = "x";
            let by_cookie = browser.send(browser.form(&target, &[("csrf", csrf)]).set("X-CSRF-Token", csrf)).await;
            let by_cookie = if endpoint.method() == "GET" { browser.get(&target).await } else { by_cookie };
            if by_cookie.status != 403 {
                wrong.push(format!("{} {} by cookie: {}", endpoint.method(), endpoint.path, by_cookie.whole()));
            }
            if endpoint.is_api() {
                let got = desk.api(token, endpoint.method(), &target, None).await;
                if !is_problem(&got, 403) {
                    wrong.push(format!("{} {} by token: {}", endpoint.method(), endpoint.path, got.whole()));
                }
            }
        }
    }
    assert!(wrong.is_empty() && tried > 30, "{tried}\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_changes_nothing() {
    let desk = Desk::start().await;
    let id = desk.ask("alice", "up__delete", r#"{"path":"/srv/x"}"#).await;
    let sre = desk.person("sam", &["sre"]).await;
    let (csrf, token) = (sre.csrf().await, desk.api_token("sam", &["sre"]));
    let mut tried = 0;
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.method() == "POST") {
        let target = endpoint.path.replace("{id}", &id);
        let good = sre.form(&target, &[("csrf", &csrf), ("decision", "approve")]);
        let by_token = desk.request("POST", &target).add("Authorization", &format!("Bearer {token}"));
        let rows = vec![
            ("said by the browser", cross_site(good.clone(), &csrf, true, &sre)),
            ("same site, other origin", cross_site(good.clone(), &csrf, true, &sre).set("Sec-Fetch-Site", "same-site")),
            (
                "another origin",
                cross_site(good.clone(), &csrf, true, &sre).set("Origin", "https://evil.example").without("Sec-Fetch-Site"),
            ),
            ("null origin", cross_site(good.clone(), &csrf, true, &sre).set("Origin", "null").without("Sec-Fetch-Site")),
            ("neither said", cross_site(good.clone(), &csrf, true, &sre).without("Origin").without("Sec-Fetch-Site")),
            ("with a token", cross_site(by_token, &csrf, false, &sre)),
        ];
        for (how, request) in rows {
            let open = endpoint.role.is_none();
            let got = desk.send(&request).await;
            tried += 1;
            // A token is sent by programs, which say neither.
            assert!(got.status == 403 || open && got.status >= 400, "{} {how}: {}", endpoint.path, got.whole());
        }
    }
    assert!(tried >= 30, "{tried}");
    let without = sre.send(sre.form(&format!("/console/approvals/{id}"), &[("decision", "approve")])).await;
    assert_eq!(without.status, 403, "a form without its token: {}", without.whole());
    let other = desk.person("sue", &["sre"]).await.csrf().await;
    let swapped = sre.form(&format!("/console/approvals/{id}"), &[("csrf", &other), ("decision", "approve")]);
    assert_eq!(sre.send(swapped).await.status, 403, "a token of another session");
    let by_cookie = sre.form(&format!("/api/v1/approvals/{id}/approve"), &[]).without("Content-Type").body("");
    assert_eq!(sre.send(by_cookie.clone()).await.status, 403, "the API by cookie, without the token");
    let still = desk.api(&token, "GET", &format!("/api/v1/approvals/{id}"), None).await;
    assert_eq!(still.json()["state"], "pending", "{}", still.whole());
    let meant = sre.send(by_cookie.add("X-CSRF-Token", &csrf)).await;
    assert_eq!((meant.status, meant.json()["state"].as_str()), (200, Some("approved")), "{}", meant.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_method_is_told_which_ones_there_are() {
    let desk = Desk::start().await;
    let token = desk.api_token("root", &[]);
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.is_api()) {
        let other = if endpoint.method() == "GET" { "POST" } else { "GET" };
        for method in [other, "PUT", "DELETE", "PATCH"] {
            let got = desk.api(&token, method, &filled(endpoint.path), None).await;
            let allow = got.header("allow").unwrap_or_default().to_owned();
            assert!(is_problem(&got, 405) && allow.contains(endpoint.method()), "{method} {}: {}", endpoint.path, got.whole());
        }
    }
    assert_eq!(desk.api(&token, "GET", "/api/v1/nothing", None).await.status, 404);
    for (method, target, expected) in
        [("TRACE", "/api/v1/audit", 405), ("GET", "/api/v1/../audit", 400), ("GET", "//api/v1/audit", 400)]
    {
        let got = desk.api(&token, method, target, None).await;
        assert_eq!(got.status, expected, "{method} {target}: {}", got.whole());
        assert!(!target.starts_with("/api/") || is_problem(&got, expected), "{method} {target}: {}", got.whole());
    }
    let elsewhere = desk.request("GET", "/api/v1/audit").set("Host", "evil.example");
    assert!(is_problem(&desk.send(&elsewhere).await, 403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_something_else_opens_nothing() {
    let desk = Desk::start().await;
    let route = serde_json::json!([desk.gate.url("/mcp")]);
    for (audience, expected) in [
        (serde_json::json!([desk.origin()]), 200),
        (serde_json::json!([desk.gate.url("/mcp"), desk.origin()]), 200),
        (route, 401),
        (serde_json::json!([format!("{}/", desk.origin())]), 401),
        (serde_json::json!(["https://other.example"]), 401),
    ] {
        let token = desk.token_for(&audience, "root", &[]);
        let got = desk.api(&token, "GET", "/api/v1/policy", None).await;
        assert_eq!(got.status, expected, "{audience}: {}", got.whole());
    }
    let admin = desk.api_token("alice", &["eng"]);
    let call = desk.gate.call("/mcp", &admin, "up__echo", "{}");
    assert_eq!(desk.gate.reach.send(&call).await.status, 401, "nor does one for the console at a route");
}
