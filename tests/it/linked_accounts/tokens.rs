//! What becomes of tokens once they are linked.

use futures_util::future::join_all;

use super::browser::Browser;
use super::servers::Issuer;
use super::{World, question, title};
use crate::gate::soon;
use crate::peer::{Answer, Peer, modern};

#[tokio::test]
async fn twenty_calls_of_a_token_that_ends_make_one_refresh() {
    let world = World::start().await;
    world.issuer.state.lock().life_s = 1;
    world.linked("alice").await;
    let token = world.alice();
    let calls = join_all((0..20).map(|_| world.call(&token, "github__echo", ""))).await;
    for called in &calls {
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    }
    assert_eq!(world.issuer.state.lock().refreshes, 1);
    world.apart(&calls.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_linked_anew() {
    let world = World::start().await;
    world.linked("alice").await;
    let token = world.alice();
    // The upstream forgets the token; the refresh token still holds.
    world.issuer.state.lock().holds.clear();
    let called = world.call(&token, "github__echo", "").await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    assert_eq!(world.issuer.state.lock().refreshes, 1);
    // Now it takes none.
    world.gate.up.behave(|_| Answer::Raw(b"HTTP/1.1 401 X\r\ncontent-length: 0\r\nwww-authenticate: Bearer\r\n\r\n".to_vec()));
    let refused = world.call(&token, "github__echo", "").await;
    question(&refused);
    assert!(refused.header("www-authenticate").is_none());
    question(&world.call(&token, "github__echo", "").await);
    assert_eq!(world.issuer.state.lock().refreshes, 1, "a token that was just made is not renewed again and again");
    world.gate.up.behave(super::guarded(&world.issuer.state, &world.issuer.url()));
    world.linked("alice").await;
    let called = world.call(&token, "github__echo", "").await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    world.apart(&[&refused]).await;
}

#[tokio::test]
async fn an_account_whose_refresh_is_refused_is_gone() {
    let world = World::start().await;
    world.issuer.state.lock().life_s = 1;
    let mut browser = world.linked("alice").await;
    world.issuer.state.lock().forget_refresh_tokens();
    question(&world.call(&world.alice(), "github__echo", "").await);
    assert!(world.gate.up.calls().is_empty());
    let list = browser.open(&world.gate.url("/connect/")).await;
    assert!(list.resp.text().contains("You linked no account"), "{}", list.resp.whole());
}

#[tokio::test]
async fn more_scopes_are_asked_for_once() {
    let world = World::start().await;
    world.linked("alice").await;
    let token = world.alice();
    let more = world.call(&token, "github__write", "").await;
    let url = question(&more)["url"].as_str().unwrap().to_owned();
    // The account stays good for what it is good for.
    let read = world.call(&token, "github__echo", "").await;
    assert_eq!(read.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", read.whole());
    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(&url).await;
    let done = browser.press(&page, "plan", "approve").await;
    assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
    let asked = world.issuer.state.lock().authorized.last().unwrap()["scope"].clone();
    assert_eq!(asked.split(' ').collect::<std::collections::BTreeSet<_>>(), ["basic", "more"].into());
    let written = world.call(&token, "github__write", "").await;
    assert_eq!(written.json()["result"]["content"][0]["text"], "did \"write\"", "{}", written.whole());
    // A server that is never satisfied is not asked about for ever.
    world.issuer.state.lock().holds.values_mut().for_each(|scope| *scope = "basic".to_owned());
    let refused = world.call(&token, "github__write", "").await;
    assert_eq!(refused.json()["result"]["isError"], true, "{}", refused.whole());
    world.apart(&[&more, &read, &written, &refused]).await;
}

#[tokio::test]
async fn what_is_unlinked_is_revoked_and_asked_for_again() {
    let world = World::start().await;
    let mut browser = world.linked("alice").await;
    let token = world.alice();
    world.call(&token, "github__echo", "").await;
    let list = browser.open(&world.gate.url("/connect/")).await;
    assert!(list.resp.text().contains("github") && list.resp.text().contains(&world.issuer.url()));
    let after = browser.press(&list, "upstream", "unlink").await;
    assert!(after.resp.text().contains("no longer linked"), "{}", after.resp.whole());
    assert_eq!(world.issuer.state.lock().revoked.len(), 1);
    let before = world.gate.up.calls().len();
    question(&world.call(&token, "github__echo", "").await);
    let listed = world.gate.reach.send(&world.gate.modern("/bare", &token, "tools/list", "")).await;
    assert!(listed.text().contains("portcullis_connect") && !listed.text().contains("\"echo\""), "{}", listed.whole());
    assert_eq!(world.gate.up.calls().len(), before);
    let unlinked = |record: &serde_json::Value| record["method"] == "connect/unlink" && record["name"] == "github";
    soon("the record of it", || world.gate.records().iter().any(unlinked)).await;
}

#[tokio::test]
async fn what_people_linked_outlives_a_reload() {
    let world = World::here().await;
    world.linked("alice").await;
    let token = world.alice();
    world.call(&token, "github__echo", "").await;
    let config = std::fs::read_to_string(world.gate.dir.path().join("portcullis.yaml")).unwrap();
    world.gate.reload("portcullis.yaml", &config.replace("name: plain,", "timeout: 9s, name: plain,"));
    let called = world.call(&token, "github__echo", "").await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
}

#[tokio::test]
async fn lists_of_an_account_are_read_anew_when_another_is_linked() {
    let world = World::start().await;
    let answer = super::guarded(&world.issuer.state, &world.issuer.url());
    world.gate.up.behave(move |seen| match answer(seen) {
        Answer::Json(status, head, body) if seen.rpc() == "tools/list" => {
            let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
            body["result"]["ttlMs"] = 600_000.into();
            Answer::Json(status, head, body.to_string())
        }
        other => other,
    });
    let mut browser = world.linked("alice").await;
    let token = world.alice();
    let read_by = async || -> Vec<String> {
        let listed = world.gate.reach.send(&world.gate.modern("/bare", &token, "tools/list", "")).await;
        assert!(listed.text().contains("\"echo\""), "{}", listed.whole());
        let seen = world.gate.up.seen();
        let reads = seen.iter().filter(|seen| !seen.body.is_empty() && seen.rpc() == "tools/list");
        reads.map(|seen| seen.header("authorization").unwrap().to_owned()).collect()
    };
    assert_eq!(read_by().await.len(), 1);
    assert_eq!(read_by().await.len(), 1, "known for ten minutes");
    let page = browser.open(&world.gate.url("/connect/github")).await;
    let done = browser.press(&page, "plan", "approve").await;
    assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
    let reads = read_by().await;
    assert_eq!(reads.len(), 2, "{reads:?}");
    assert_ne!(reads[0], reads[1]);
}

#[tokio::test]
async fn two_people_who_link_first_at_once_both_keep_their_accounts() {
    let world = World::start().await;
    // Every use renews the token, as the client that it was made for.
    world.issuer.state.lock().life_s = 1;
    let people = ["alice", "bob"];
    let mut pages = Vec::new();
    for sub in people {
        let mut browser = Browser::of(&world.gate, sub);
        let page = browser.open(&world.link(&world.token(sub, &["eng"])).await).await;
        pages.push((browser, page));
    }
    let done = join_all(pages.iter_mut().map(|(browser, page)| browser.press(page, "plan", "approve"))).await;
    for done in &done {
        assert_eq!(title(done), "Account linked", "{}", done.resp.whole());
    }
    for sub in people {
        let called = world.call(&world.token(sub, &["eng"]), "github__echo", "").await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{sub}: {}", called.whole());
    }
    assert_eq!(world.issuer.state.lock().refreshes, 2);
}

#[tokio::test]
async fn a_config_that_means_another_endpoint_server_or_client_is_shown_nothing() {
    let world = World::here().await;
    world.linked("alice").await;
    let token = world.alice();
    let config = std::fs::read_to_string(world.gate.dir.path().join("portcullis.yaml")).unwrap();
    let (elsewhere, other) = (Peer::start(modern).await, Issuer::start().await);
    let moved = format!("http://{}/mcp", elsewhere.addr);
    for (from, to) in [
        (format!("http://{}/mcp", world.gate.up.addr), moved),
        (format!("issuer: \"{}\" }} }}", world.issuer.url()), format!("issuer: \"{}\" }} }}", other.url())),
        ("per_user: { ".to_owned(), "per_user: { client_id: another, ".to_owned()),
    ] {
        assert!(config.contains(&from), "{from}");
        let called = world.call(&token, "github__echo", "").await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
        let before = world.gate.up.calls().len();
        world.gate.reload("portcullis.yaml", &config.replace(&from, &to));
        // The account is known from a moment ago; with the config it stops being one.
        world.until(&token, "input_required").await;
        let late = world.gate.up.calls().len();
        question(&world.call(&token, "github__echo", "").await);
        assert_eq!(world.gate.up.calls().len(), late, "{to}");
        assert!(late >= before);
        world.gate.reload("portcullis.yaml", &config);
        world.until(&token, "complete").await;
    }
    assert!(!elsewhere.seen().iter().any(|seen| seen.header("authorization").is_some()));
    assert!(world.issuer.state.lock().revoked.is_empty() && other.state.lock().tokens.is_empty());
}

#[tokio::test]
async fn a_server_whose_metadata_does_not_fit_is_used_as_it_is_written() {
    let settings = "client_id: own, client_secret: s, danger_pkce_unannounced: true, scopes: [files.read]";
    for (sent, resource) in [("danger_no_resource: true", None), ("resource: \"api://files\"", Some("api://files"))] {
        let urls = "authorization_url: \"ISSUER/authorize\", token_url: \"ISSUER/token\"";
        let config = super::CONFIG.replace("issuer: \"ISSUER\"", &format!("issuer: \"ISSUER\", {settings}, {urls}, {sent}"));
        let world = World::run(true, &config).await;
        {
            let mut issuer = world.issuer.state.lock();
            issuer.clients.insert("own".to_owned(), "s".to_owned());
            // Nobody looks at it.
            issuer.metadata =
                serde_json::json!({"issuer": "https://elsewhere.example", "code_challenge_methods_supported": null});
            issuer.life_s = 1;
        }
        world.linked("alice").await;
        let called = world.call(&world.alice(), "github__echo", "").await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
        let issuer = world.issuer.state.lock();
        assert_eq!(issuer.authorized[0]["code_challenge_method"], "S256");
        assert_eq!(issuer.authorized[0]["scope"], "files.read");
        let asked: Vec<_> =
            issuer.authorized.iter().chain(&issuer.tokens).map(|form| form.get("resource").map(String::as_str)).collect();
        assert_eq!(asked, [resource; 3], "the page, the code and the refresh");
    }
}
