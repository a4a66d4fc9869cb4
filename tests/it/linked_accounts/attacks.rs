//! Everything that must not come of a link.

use serde_json::json;
use url::Url;

use super::browser::Browser;
use super::servers::Issuer;
use super::{World, question, title};
use crate::gate::soon;
use crate::wire::Req;

#[tokio::test]
async fn twenty_people_cannot_use_each_others_links_or_accounts() {
    let world = World::start().await;
    let people: Vec<String> = (0..20).map(|n| format!("user-{n}")).collect();
    let mut browsers = Vec::new();
    for person in &people {
        browsers.push(world.linked(person).await);
    }
    for person in &people {
        let called = world.call(&world.token(person, &["eng"]), "github__echo", "").await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    }
    let shown = world.shown();
    for (person, shown) in people.iter().zip(&shown) {
        assert!(shown.starts_with(&format!("Bearer access-canary-{person}-")), "{person} was served by {shown}");
    }
    // Links of all, opened by all others.
    for (at, owner) in people.iter().enumerate() {
        let token = world.token(owner, &["eng"]);
        let told = world.call(&token, "github__write", "").await;
        let url = question(&told)["url"].as_str().unwrap().to_owned();
        for (other, browser) in browsers.iter_mut().enumerate() {
            let resp = browser.get(&Url::parse(&url).unwrap()).await;
            assert_eq!(resp.status, if other == at { 200 } else { 403 }, "{other} with the link of {at}: {}", resp.whole());
        }
    }
    let refused = |records: &[serde_json::Value]| records.iter().filter(|record| record["outcome"]["http"] == 403).count();
    soon("a record of each refusal", || refused(&world.gate.records()) >= 20 * 19).await;
    assert_eq!(refused(&world.gate.records()), 20 * 19);
}

#[tokio::test]
async fn a_link_is_used_once_and_a_form_by_its_own_browser() {
    let world = World::start().await;
    let (url, unused) = (world.link(&world.alice()).await, world.link(&world.alice()).await);
    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(&url).await;
    // The page can be looked at twice, and its forms belong to this browser.
    let second = browser.open(&url).await;
    let mut elsewhere = Browser::of(&world.gate, "alice");
    elsewhere.open(&world.gate.url("/connect/")).await;
    let stolen = elsewhere.pressed(&page, "plan", "approve").await;
    assert_eq!(stolen.status, 400, "{}", stolen.whole());
    let mut stranger = Browser::of(&world.gate, "mallory");
    stranger.open(&world.gate.url("/connect/")).await;
    assert_eq!(stranger.pressed(&page, "plan", "approve").await.status, 400);
    let done = browser.press(&page, "plan", "approve").await;
    assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
    for used in [browser.pressed(&page, "plan", "approve").await, browser.pressed(&second, "plan", "approve").await] {
        assert_eq!(used.status, 410, "{}", used.whole());
    }
    assert_eq!(browser.open(&url).await.resp.status, 410);
    assert_eq!(world.issuer.state.lock().authorized.len(), 1);
    // Tickets that are none, and one that nobody used, with one character changed.
    let good = unused.split("ticket=").nth(1).unwrap();
    let altered = [0, good.len() / 2, good.len() - 2].map(|at| {
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    });
    for ticket in altered.iter().map(String::as_str).chain(["x"]) {
        let refused = browser.open(&world.gate.url(&format!("/connect/github?ticket={ticket}"))).await;
        assert_eq!(refused.resp.status, 410, "{ticket}: {}", refused.resp.whole());
    }
    assert_eq!(browser.open(&unused).await.resp.status, 200);
    assert_eq!(browser.open(&world.gate.url("/connect/plain")).await.resp.status, 404);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let world = World::start().await;
    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(&world.link(&world.alice()).await).await;
    let fields =
        [("do".to_owned(), "approve".to_owned()), ("plan".to_owned(), "x".to_owned()), ("csrf".to_owned(), "y".to_owned())];
    assert_eq!(browser.post(&page.url, &fields).await.status, 400, "a token that nobody made");
    // The right form of the right browser, sent by a page of somebody else, or by one that does not say whose it is.
    let own = world.gate.url("");
    let good = page.fields("plan", "approve");
    for from in [
        vec![("Origin", "https://evil.example.com")],
        vec![("Origin", "null")],
        vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "cross-site")],
        vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![],
    ] {
        let refused = browser.post_from(&page.url, &good, &from).await;
        assert!([400, 403].contains(&refused.status), "{from:?}: {}", refused.whole());
    }
    assert!(world.issuer.state.lock().authorized.is_empty());
    let taken = browser.post_from(&page.url, &good, &[("Origin", own.as_str())]).await;
    assert_eq!(taken.status, 303, "that was all that was wrong: {}", taken.whole());
    // Framed or cached it cannot be.
    for (name, value) in [("x-frame-options", "DENY"), ("cache-control", "no-store")] {
        assert_eq!(page.resp.header(name), Some(value));
    }
}

/// Goes as far as the authorization server's redirect, and gives where that leads.
async fn response(world: &World, browser: &mut Browser<'_>, sub: &str) -> Url {
    let page = browser.open(&world.link(&world.token(sub, &["eng"])).await).await;
    let resp = browser.pressed(&page, "plan", "approve").await;
    let authorize = Url::parse(resp.header("location").unwrap_or_else(|| panic!("{}", resp.whole()))).unwrap();
    let resp = browser.get(&authorize).await;
    Url::parse(resp.header("location").unwrap()).unwrap()
}

fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
    url
}

#[tokio::test]
async fn a_response_is_taken_from_the_right_server_by_the_right_browser_once() {
    let world = World::start().await;
    let mut browser = Browser::of(&world.gate, "alice");
    let other = Issuer::start().await;
    let own = world.issuer.url();
    for iss in [Some(other.url()), Some(format!("{own}/")), Some(own.to_uppercase()), None] {
        let back = response(&world, &mut browser, "alice").await;
        let resp = browser.get(&with(&back, "iss", iss.as_deref())).await;
        assert_eq!(resp.status, 400, "{iss:?}: {}", resp.whole());
        // The state is used up by it.
        assert_eq!(browser.get(&back).await.status, 400);
    }
    // An error of the wrong server is not shown.
    let back = response(&world, &mut browser, "alice").await;
    let wrong = with(&with(&back, "iss", Some(&other.url())), "error", Some("access_denied"));
    assert_eq!(browser.get(&with(&wrong, "error_description", Some("<script>"))).await.status, 400);
    let back = response(&world, &mut browser, "alice").await;
    let resp = browser.get(&with(&with(&back, "code", None), "error", Some("access_denied"))).await;
    assert_eq!(resp.status, 403, "{}", resp.whole());
    // Another browser, signed in or not, of the same person or another.
    for person in ["alice", "mallory"] {
        let mut elsewhere = Browser::of(&world.gate, person);
        let back = response(&world, &mut browser, "alice").await;
        assert_eq!(elsewhere.get(&back).await.status, 400);
        elsewhere.open(&world.gate.url("/connect/")).await;
        let back = response(&world, &mut browser, "alice").await;
        assert_eq!(elsewhere.get(&back).await.status, 400);
    }
    let back = response(&world, &mut browser, "alice").await;
    for state in [None, Some("x"), Some("")] {
        assert_eq!(browser.get(&with(&back, "state", state)).await.status, 400);
    }
    let twice = Url::parse(&format!("{back}&state=x")).unwrap();
    assert_eq!(browser.get(&twice).await.status, 400);
    assert!(world.issuer.state.lock().tokens.is_empty(), "no code went anywhere");
    assert_eq!(browser.get(&back).await.status, 200);
    assert_eq!(browser.get(&back).await.status, 400);
    assert_eq!(world.issuer.state.lock().tokens.len(), 1);
}

#[tokio::test]
async fn a_code_of_somebody_else_is_of_no_use() {
    let world = World::start().await;
    let (mut alice, mut mallory) = (Browser::of(&world.gate, "alice"), Browser::of(&world.gate, "mallory"));
    let hers = response(&world, &mut alice, "alice").await;
    let theirs = response(&world, &mut mallory, "mallory").await;
    let code = theirs.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let resp = alice.get(&with(&hers, "code", Some(&code))).await;
    assert_eq!(resp.status, 502, "{}", resp.whole());
    question(&world.call(&world.alice(), "github__echo", "").await);
    world.apart(&[&resp]).await;
}

#[tokio::test]
async fn metadata_that_cannot_be_trusted_leads_nowhere() {
    let world = World::start().await;
    let mut browser = Browser::of(&world.gate, "alice");
    for metadata in [
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"authorization_endpoint": "data:text/html,x"}),
        json!({"authorization_endpoint": "file:///etc/passwd"}),
        json!({"authorization_endpoint": "http://198.51.100.7/authorize"}),
        json!({"authorization_endpoint": null}),
        json!({"code_challenge_methods_supported": ["plain"]}),
        json!({"code_challenge_methods_supported": null}),
        json!({"issuer": "http://127.0.0.1:1"}),
    ] {
        world.issuer.state.lock().metadata = metadata.clone();
        let page = browser.open(&world.link(&world.alice()).await).await;
        assert_eq!(page.resp.status, 502, "{metadata}: {}", page.resp.whole());
        assert!(!page.resp.text().contains("alert"));
    }
    world.issuer.state.lock().metadata = json!({});
    // An upstream that names another server than the operator, or is another resource.
    let issuer = world.issuer.url();
    for (resource, server) in [("OWN/mcp", "https://evil.example.com"), ("https://evil.example.com/mcp", issuer.as_str())] {
        let document = json!({"resource": resource.replace("OWN", &format!("http://{}", world.gate.up.addr)), "authorization_servers": [server]});
        let guard = super::guarded(&world.issuer.state, &issuer);
        world.gate.up.behave(move |seen| match super::servers::path(seen).as_str() {
            "/.well-known/oauth-protected-resource/mcp" => crate::peer::Answer::Json(200, "", document.to_string()),
            _ => guard(seen),
        });
        let page = browser.open(&world.link(&world.alice()).await).await;
        assert_eq!(page.resp.status, 502, "{resource} {server}: {}", page.resp.whole());
    }
    let state = world.issuer.state.lock();
    assert!(state.authorized.is_empty() && state.registered.is_empty() && state.tokens.is_empty());
}

#[tokio::test]
async fn a_state_of_ours_is_of_one_person_and_one_call() {
    let world = World::start().await;
    let asked = world.call(&world.alice(), "github__echo", "").await;
    let state = asked.json()["result"]["requestState"].as_str().unwrap().to_owned();
    world.linked("alice").await;
    world.linked("bob").await;
    let retry = format!(r#""requestState":"{state}","#);
    for (sub, tool) in [("bob", "github__echo"), ("alice", "github__write"), ("alice", "plain__echo")] {
        let refused = world.call(&world.token(sub, &["eng"]), tool, &retry).await;
        assert_eq!(refused.code(), -32602, "{sub} {tool}: {}", refused.whole());
    }
    assert!(world.gate.up.calls().is_empty());
    let called = world.call(&world.alice(), "github__echo", &retry).await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
}

#[tokio::test]
async fn one_person_cannot_open_pages_without_end() {
    let world = World::start().await;
    let page = Url::parse(&world.gate.url("/connect/github")).unwrap();
    let (mut alice, mut bob) = (Browser::of(&world.gate, "alice"), Browser::of(&world.gate, "bob"));
    alice.open(page.as_str()).await;
    let mut opened = 1;
    let refused = loop {
        let resp = alice.get(&page).await;
        if resp.status != 200 {
            break resp;
        }
        opened += 1;
        assert!(opened <= 100, "without end");
    };
    assert_eq!(refused.status, 429, "{}", refused.whole());
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert!(opened >= 20, "{opened}");
    assert_eq!(bob.open(page.as_str()).await.resp.status, 200, "nobody else is held up");
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_with_when_to_try_again() {
    let world = World::here().await;
    world.idp.behave(|_| crate::peer::Answer::Json(500, "", String::new()));
    for page in ["/connect/", "/connect/github", "/confirm/x"] {
        let resp = world.gate.reach.send(&Req::new("GET", page).add("Host", &world.gate.authority())).await;
        assert_eq!((resp.status, resp.header("retry-after")), (503, Some("5")), "{page}: {}", resp.whole());
    }
}

/// Whoever is not signed in is counted by address, whichever page begins the sign-in.
#[tokio::test]
async fn strangers_cannot_begin_sign_ins_without_end() {
    let world = World::start().await;
    let mut alice = Browser::of(&world.gate, "alice");
    assert_eq!(alice.open(&world.gate.url("/connect/")).await.resp.status, 200);
    let mut conn = world.gate.reach.open().await;
    let mut begun = 1;
    let refused = loop {
        let page = ["/connect/", "/confirm/x", "/connect/github"][begun % 3];
        conn.write(&Req::new("GET", page).add("Host", &world.gate.authority()).bytes()).await;
        let resp = conn.response().await;
        if resp.status != 303 {
            break resp;
        }
        begun += 1;
        assert!(begun < 600, "without end");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")), "{}", refused.whole());
    assert!(begun >= 120, "{begun}");
    assert_eq!(alice.open(&world.gate.url("/connect/")).await.resp.status, 200, "whoever is signed in is not held up");
}

#[tokio::test]
async fn pages_of_links_say_which_methods_they_take() {
    let world = World::here().await;
    for (verb, path, allowed) in [("PUT", "/connect/github", "GET, POST"), ("POST", "/connect/callback", "GET")] {
        let resp = world.gate.reach.send(&Req::new(verb, path).add("Host", &world.gate.authority())).await;
        assert_eq!((resp.status, resp.header("allow")), (405, Some(allowed)), "{verb} {path}: {}", resp.whole());
    }
}
