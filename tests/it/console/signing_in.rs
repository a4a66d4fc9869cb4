//! Signing in at the console, and out.

use super::Desk;
use crate::authserver::{field, location};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_sees_the_page_they_wanted_and_signs_out() {
    let desk = Desk::start().await;
    let browser = desk.browser();
    let first = browser.get("/console/activity?tool=up__echo").await;
    assert_eq!(first.status, 401);
    assert!(first.text().contains("/console/signin?next=%2Fconsole%2Factivity%3Ftool%3Dup__echo"), "{}", first.text());
    assert!(!first.text().contains("http-equiv"), "nobody is sent away without having asked");
    let welcome = browser.sign_in("vera", &["staff"], "/console/activity?tool=up__echo").await;
    assert_eq!(welcome.status, 200, "{}", welcome.whole());
    assert!(
        welcome.text().contains("content=\"0;url="),
        "a redirect would be of the provider's making, and come without the cookie"
    );
    assert!(welcome.text().contains(&format!("{}/console/activity?tool=up__echo", desk.origin())), "{}", welcome.text());
    let page = browser.get("/console/activity?tool=up__echo").await;
    assert_eq!(page.status, 200, "{}", page.whole());
    assert!(page.text().contains("User vera") && page.text().contains("viewer"), "{}", page.text());
    let again = browser.get("/console/signin").await;
    assert_eq!(
        (again.status, location(&again)),
        (303, format!("{}/console/approvals", desk.origin())),
        "a session is not begun twice"
    );

    let cookie = browser.cookies.lock().clone();
    let out = browser.send(browser.form("/console/signout", &[("csrf", &field(&page, "csrf"))])).await;
    assert_eq!(out.status, 200, "{}", out.whole());
    assert!(browser.cookies.lock().is_empty());
    *browser.cookies.lock() = cookie;
    assert_eq!(browser.get("/console/approvals").await.status, 401, "the session is over, whoever still has its cookie");
    let records = desk.recorded(|record| record["method"] == "console/signout").await;
    let of = |method: &str| records.iter().filter(|r| r["method"] == method && r["kind"] == "auth").count();
    assert!(of("signin/callback") + of("console/signin") >= 1 && of("console/signout") == 1, "{records:?}");
    let vera = records.iter().find(|r| r["method"] == "console/signout").unwrap();
    assert_eq!(vera["principal"]["sub"], "vera");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_from_elsewhere_is_made_again_by_our_own_page() {
    let desk = Desk::start().await;
    let sam = desk.person("sam", &["sre"]).await;
    // A strict cookie does not come along with a link in a chat.
    let request = desk.request("GET", "/console/approvals/apr_AAAAAAAAAAAAAAAAAAAAAA").add("Sec-Fetch-Site", "cross-site");
    let first = desk.send(&request).await;
    assert_eq!(first.status, 401);
    let url = format!("{}/console/signin?next=%2Fconsole%2Fapprovals%2Fapr_AAAAAAAAAAAAAAAAAAAAAA", desk.origin());
    assert!(first.text().contains(&format!("content=\"0;url={url}\"")), "{}", first.text());
    let second = sam.get(url.strip_prefix(&desk.origin()).unwrap()).await;
    assert_eq!(second.status, 303, "{}", second.whole());
    assert_eq!(location(&second), format!("{}/console/approvals/apr_AAAAAAAAAAAAAAAAAAAAAA", desk.origin()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_of_one_browser_once_and_of_this_door() {
    let desk = Desk::start().await;
    let (mine, other) = (desk.browser(), desk.browser());
    let away = mine.get("/console/signin").await;
    let back = desk.idp.sign_in(&location(&away), "root");
    assert_eq!(other.get(&back).await.status, 400, "a state of another browser");
    assert_eq!(mine.get(&back).await.status, 400, "which used it up");
    let away = mine.get("/console/signin").await;
    let back = desk.idp.sign_in(&location(&away), "root");
    assert_eq!(mine.get(&back).await.status, 200);
    let again = mine.get(&back).await;
    assert_eq!(again.status, 400, "a state is used once: {}", again.whole());
    assert_eq!(mine.get("/console/audit").await.status, 200);
    assert!(back.starts_with("/console/callback?"), "{back}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_of_the_config_in_force() {
    let desk = Desk::start().await;
    let sam = desk.person("sam", &["sre"]).await;
    assert_eq!(sam.get("/console/approvals").await.status, 200);
    let config = std::fs::read_to_string(desk.gate.dir.path().join("portcullis.yaml")).unwrap();
    desk.gate.reload("portcullis.yaml", &config.replace("\"group:sre\", ", ""));
    for _ in 0..200 {
        if sam.get("/console/approvals").await.status == 403 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the role outlived the config that gave it");
}
