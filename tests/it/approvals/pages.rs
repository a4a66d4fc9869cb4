//! The page where people confirm calls of their own.

use portcullis::approval::State;
use serde_json::json;

use super::{RULES, World, denial, did};
use crate::gate::Gate;
use crate::keys;
use crate::linked_accounts::browser::{Browser, Screen};
use crate::linked_accounts::servers::provider;
use crate::peer::Peer;
use crate::wire::Resp;

const MINE: &str = "up__two__parts";

/// A gateway where people sign in at `idp`, who is the issuer of their agents' tokens too.
async fn world() -> (World, Peer) {
    let (idp, _) = provider().await;
    let url = format!("http://{}", idp.addr);
    let gate = Gate::with(|files| {
        files.policy = RULES.to_owned();
        files.config = files.config.replace(keys::ISSUER, &url);
        let section = format!("authserver: {{ upstream: {{ issuer: \"{url}\", client_id: gw, algorithms: [EdDSA] }} }}\n");
        files.config.push_str(&section);
        files.config.push_str("approvals: { wait: 100ms }\n");
    })
    .await;
    let mut claims = keys::claims(&json!([gate.url("/mcp")]), "alice", &["eng"]);
    claims["iss"] = url.into();
    let alice = keys::ED.token(&keys::header(), &claims);
    (World { gate, alice }, idp)
}

async fn call(world: &World) -> Resp {
    let caps = json!({"elicitation": {"url": {}, "form": {}}});
    world.gate.reach.send(&world.calling(MINE, &json!({"a": "\u{202e}<b>"}), &caps, &json!({}))).await
}

/// The page that a call is led to.
async fn page(world: &World) -> String {
    let asked = call(world).await.json();
    let params = asked["result"]["inputRequests"]["dev.portcullis/approval"]["params"].clone();
    assert_eq!(params["mode"], "url", "{asked}");
    params["url"].as_str().unwrap().to_owned()
}

fn title(screen: &Resp) -> String {
    screen.text().split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

async fn run(world: &World) -> Resp {
    world.gate.reach.send(&world.calling(MINE, &json!({"a": "\u{202e}<b>"}), &json!({}), &json!({}))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_called_signs_in_sees_the_call_and_says_yes() {
    let (world, _idp) = world().await;
    let url = page(&world).await;
    let request = world.requests()[0].clone();
    assert_eq!(url, format!("{}/confirm/{}", world.gate.url(""), request.id));
    let mut browser = Browser::of(&world.gate, "alice");
    let shown = browser.open(&url).await;
    assert_eq!((shown.resp.status, title(&shown.resp).as_str()), (200, "Confirm a call"), "{}", shown.resp.whole());
    let text = shown.resp.text();
    for part in [MINE, "destructive", r"\u202e&lt;b&gt;", &request.bound.arguments.to_string()] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("<b>") && !text.contains('\u{202e}'));
    let csp = shown.resp.header("content-security-policy").unwrap();
    assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{csp}");
    let done = browser.press(&shown, "csrf", "approve").await;
    assert_eq!(title(&done.resp), "Confirmed", "{}", done.resp.whole());
    assert_eq!((world.desk().get(&request.id).unwrap().state, world.ran()), (State::Approved, 0));
    assert!(did(&run(&world).await));
    assert_eq!((title(&browser.open(&url).await.resp).as_str(), world.ran()), ("Done", 1));
    // The form again is of a page that is over.
    assert_eq!(title(&browser.press(&shown, "csrf", "approve").await.resp), "Done");
    // No is no.
    let url = page(&world).await;
    let shown = browser.open(&url).await;
    assert_eq!(title(&browser.press(&shown, "csrf", "deny").await.resp), "Refused");
    assert_eq!(denial(&run(&world).await)["reason"], "approval_denied");
    assert_eq!(world.ran(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_sees_or_decides_anything() {
    let (world, _idp) = world().await;
    let url = page(&world).await;
    let request = world.requests()[0].clone();
    let mut alice = Browser::of(&world.gate, "alice");
    let shown = alice.open(&url).await;
    let mut bob = Browser::of(&world.gate, "bob");
    let seen = bob.open(&url).await;
    let nothing = bob.open(&format!("{}/confirm/apr_AAAAAAAAAAAAAAAAAAAAAA", world.gate.url(""))).await;
    assert_eq!((seen.resp.status, nothing.resp.status), (404, 404));
    let same = |screen: &Screen| screen.resp.text().split("nonce").next().unwrap().to_owned();
    assert_eq!(same(&seen), same(&nothing));
    let still = || assert_eq!(world.desk().get(&request.id).unwrap().state, State::Pending);
    // With the fields of another's page.
    assert_eq!(bob.post(&shown.url, &shown.fields("csrf", "approve")).await.status, 404);
    still();
    // From another site, without a token, with that of another page, and without a word.
    let elsewhere = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    let crossed = alice.post_from(&shown.url, &shown.fields("csrf", "approve"), &elsewhere).await;
    assert!(crossed.status >= 400, "{}", crossed.whole());
    still();
    let mut fields = shown.fields("csrf", "approve");
    fields[0].1 = "AAAA".to_owned();
    assert_eq!(alice.post(&shown.url, &fields).await.status, 400);
    assert_eq!(alice.post(&shown.url, &[("do".to_owned(), "approve".to_owned())]).await.status, 400);
    assert_eq!(alice.post(&shown.url, &shown.fields("csrf", "perhaps")).await.status, 400);
    still();
    assert_eq!(world.ran(), 0);
}
