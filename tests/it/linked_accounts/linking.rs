//! How whoever has no account yet is told, and links one.

use super::*;

#[tokio::test]
async fn a_newer_client_is_asked_in_the_result_and_goes_on_with_the_retry() {
    let world = World::start().await;
    let token = world.alice();
    let asked = world.call(&token, "github__echo", "").await;
    let url = question(&asked)["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&world.gate.url("/connect/github?ticket=")), "{url}");
    assert!(!url.contains("alice") && !url.contains("eyJ"), "{url}");
    assert!(question(&asked)["message"].as_str().unwrap().contains("github"));
    assert!(world.gate.up.seen().is_empty(), "nothing left for somebody without an account");

    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(&url).await;
    assert_eq!((page.resp.status, title(&page).as_str()), (200, "Link an account"), "{}", page.resp.whole());
    for shown in ["github", "127.0.0.1", "basic", "alice"] {
        assert!(page.resp.text().contains(shown), "{shown}");
    }
    let csp = page.resp.header("content-security-policy").unwrap();
    assert!(
        csp.contains(&format!("form-action 'self' https: {};", world.issuer.url())) && csp.contains("frame-ancestors 'none'"),
        "{csp}"
    );
    assert!(world.issuer.state.lock().registered.is_empty(), "nothing is registered before somebody wants it");
    let done = browser.press(&page, "plan", "approve").await;
    assert_eq!((done.resp.status, title(&done).as_str()), (200, "Account linked"), "{}", done.resp.whole());

    let state = asked.json()["result"]["requestState"].as_str().unwrap().to_owned();
    let retry = format!(r#""inputResponses":{{"dev.portcullis/link":{{"action":"accept"}}}},"requestState":"{state}","#);
    let called = world.call(&token, "github__echo", &retry).await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    let calls = world.gate.up.calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].header("authorization").unwrap().starts_with("Bearer access-canary-alice-"));
    assert!(!calls[0].body.contains("dev.portcullis") && calls[0].json()["params"].get("requestState").is_none());
    // What was asked of the authorization server.
    {
        let issuer = world.issuer.state.lock();
        let asked = &issuer.authorized[0];
        let resource = format!("http://{}/mcp", world.gate.up.addr);
        assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("basic", "S256"));
        assert_eq!((&asked["resource"], &issuer.tokens[0]["resource"]), (&resource, &resource));
        assert_eq!(asked["redirect_uri"], world.gate.url("/connect/callback"));
        assert_eq!(issuer.registered.len(), 1);
    }
    // A state serves once, one call, one person.
    let again = world.call(&token, "github__echo", &retry).await;
    assert_eq!(again.code(), -32602, "{}", again.whole());
    world.apart(&[&asked, &page.resp, &done.resp, &called, &again]).await;
    let returned = |record: &Value| record["method"] == "connect/callback" && record["principal"]["sub"] == "alice";
    soon("the records", || world.gate.records().iter().any(returned)).await;
    let records = world.gate.records();
    let told = records.iter().find(|record| record["outcome"]["error_kind"] == "unlinked").unwrap();
    assert_eq!((&told["decision"]["effect"], &told["upstream"]), (&json!("allow"), &json!("github")));
    assert!(!records.iter().any(|record| record["kind"] == "intent"));
    for action in ["connect/start", "connect/callback"] {
        let record = records.iter().find(|record| record["method"] == action && record["principal"]["sub"] == "alice");
        let record = record.unwrap_or_else(|| panic!("{action}: {records:#?}"));
        assert_eq!((&record["kind"], &record["name"]), (&json!("auth"), &json!("github")));
    }
}

#[tokio::test]
async fn a_client_of_2025_is_told_by_an_error_and_any_other_in_words() {
    let world = World::start().await;
    let token = world.alice();
    let opened = world
        .gate
        .initialize("/mcp", &token, "2025-11-25")
        .edit("\"capabilities\":{}", "\"capabilities\":{\"elicitation\":{\"url\":{}}}");
    let opened = world.gate.reach.send(&opened).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"github__echo","arguments":{}}}"#;
    let request = world.gate.legacy("/mcp", &token, "2025-11-25", &session, call);
    let told = world.gate.reach.send(&request).await;
    assert_eq!(told.code(), -32042, "{}", told.whole());
    let elicitation = &told.json()["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    assert!(elicitation["elicitationId"].is_string() && elicitation["message"].is_string());

    // Another client of the same person can only be told in words.
    let session = world.gate.session("/mcp", &token, "2025-06-18").await;
    let plain = world.gate.legacy("/mcp", &token, "2025-06-18", &session, call);
    let words = world.gate.reach.send(&plain).await;
    let result = &words.json()["result"];
    assert_eq!(
        (&result["isError"], &result["_meta"]["dev.portcullis/denial"]["reason"]),
        (&json!(true), &json!("upstream_unavailable"))
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    let page = world.gate.url("/connect/github");
    assert!(text.contains(&page) && !text.contains("ticket"), "{text}");
    assert!(world.gate.up.seen().is_empty());

    let mut browser = Browser::of(&world.gate, "alice");
    let screen = browser.open(&page).await;
    let done = browser.press(&screen, "plan", "approve").await;
    assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
    for request in [request, plain] {
        let called = world.gate.reach.send(&request).await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    }
    world.apart(&[&told, &words]).await;
}

#[tokio::test]
async fn lists_go_without_an_unlinked_upstream_and_show_the_way_to_link() {
    let world = World::start().await;
    let token = world.alice();
    let names = async |route: &str, token: &str| -> Vec<String> {
        let listed = world.gate.reach.send(&world.gate.modern(route, token, "tools/list", "")).await;
        let tools = listed.json()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{}", listed.whole())).clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).filter(|name| !name.contains("nnn")).collect()
    };
    let listed = names("/mcp", &token).await;
    assert!(
        listed.contains(&"github__portcullis_connect".to_owned()) && listed.contains(&"plain__echo".to_owned()),
        "{listed:?}"
    );
    assert_eq!(listed.iter().filter(|name| name.starts_with("github__")).count(), 1);
    assert_eq!(names("/bare", &token).await, ["portcullis_connect"]);
    assert!(names("/mcp", &world.token("eve", &["visitors"])).await.iter().all(|name| name.starts_with("plain__")));
    let hidden = world.call(&world.token("eve", &["visitors"]), "github__portcullis_connect", "").await;
    assert_eq!(hidden.code(), -32602, "as an unknown name: {}", hidden.whole());
    for method in ["prompts/list", "resources/list"] {
        let listed = world.gate.reach.send(&world.gate.modern("/mcp", &token, method, "")).await;
        assert!(listed.json()["result"].is_object(), "{}", listed.whole());
    }
    assert!(world.gate.up.seen().is_empty());
    question(&world.call(&token, "github__portcullis_connect", "").await);
    // Policy decides before anybody is told anything.
    let denied = world.call(&token, "github__hidden", "").await;
    assert_eq!(denied.code(), -32602, "{}", denied.whole());

    world.linked("alice").await;
    let listed = names("/mcp", &token).await;
    assert!(listed.contains(&"github__echo".to_owned()) && !listed.iter().any(|name| name.contains("portcullis")), "{listed:?}");
    let said = world.call(&token, "github__portcullis_connect", "").await;
    assert_eq!(said.json()["result"]["content"][0]["text"], "Your account at github is linked.", "{}", said.whole());
}

#[tokio::test]
async fn whoever_says_no_is_told_and_not_asked_again() {
    let world = World::start().await;
    let token = world.alice();
    let asked = world.call(&token, "github__echo", "").await;
    let state = asked.json()["result"]["requestState"].as_str().unwrap().to_owned();
    let retry = format!(r#""inputResponses":{{"dev.portcullis/link":{{"action":"decline"}}}},"requestState":"{state}","#);
    let told = world.call(&token, "github__echo", &retry).await;
    assert_eq!(told.json()["result"]["isError"], true, "{}", told.whole());
    // On the page, too.
    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(question(&asked)["url"].as_str().unwrap()).await;
    let left = browser.press(&page, "plan", "deny").await;
    assert_eq!(title(&left), "Not linked", "{}", left.resp.whole());
    assert!(world.issuer.state.lock().authorized.is_empty());
    assert!(world.gate.up.calls().is_empty());
}

#[tokio::test]
async fn a_machine_is_shown_no_page() {
    let world = World::start().await;
    let told = world.call(MACHINE, "github__echo", "").await;
    let text = told.json()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("person") && !told.text().contains("/connect/"), "{}", told.whole());
}
