//! Upstreams that take a person's own sign-in at the gateway, by way of their identity provider (ID-JAG).

use super::browser::Browser;
use super::{CONFIG, World, question, title};

/// The same gateway, whose upstream `github` takes who signed in.
async fn world() -> World {
    let own = "idp: { issuer: \"IDP\", client_id: gw, client_secret: secret-canary-idp }";
    let server = "issuer: \"ISSUER\", client_id: gateway, client_secret: secret-canary-jag";
    let credential = format!("credential: {{ id_jag: {{ subject: person, {own}, {server} }} }}");
    let config = CONFIG.replace("credential: { per_user: { issuer: \"ISSUER\" } }", &credential);
    let config = config.replace("client_id: gw, algorithms", "client_id: gw, client_secret: secret-canary-idp, algorithms");
    assert!(config.contains(&credential) && config.contains("secret-canary-idp, algorithms"));
    let world = World::run(true, &config).await;
    world.issuer.state.lock().clients.insert("gateway".to_owned(), "secret-canary-jag".to_owned());
    world
}

impl World {
    /// The exchanges that the identity provider was asked for.
    fn exchanges(&self) -> Vec<std::collections::HashMap<String, String>> {
        let asked = self.provider.lock().asked.clone();
        asked.into_iter().filter(|form| form["grant_type"].ends_with("token-exchange")).collect()
    }

    async fn serves(&self, sub: &str) {
        let called = self.call(&self.token(sub, &["eng"]), "github__echo", "").await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{sub}: {}", called.whole());
    }
}

#[tokio::test]
async fn who_signed_in_is_vouched_for_by_their_own_provider_until_they_sign_out() {
    let world = world().await;
    let asked = world.call(&world.alice(), "github__echo", "").await;
    let url = question(&asked)["url"].as_str().unwrap().to_owned();
    assert!(world.gate.up.seen().is_empty());
    // Somebody else's link is of no use.
    let mut mallory = Browser::of(&world.gate, "mallory");
    assert_eq!(mallory.open(&url).await.resp.status, 403);
    let mut alice = Browser::of(&world.gate, "alice");
    let done = alice.open(&url).await;
    assert_eq!((done.resp.status, title(&done).as_str()), (200, "Signed in"), "{}", done.resp.whole());
    world.serves("alice").await;
    world.serves("alice").await;
    let shown = world.shown();
    assert!(shown.iter().all(|token| token.starts_with("Bearer access-canary-alice-")), "{shown:?}");
    let exchanges = world.exchanges();
    assert_eq!(exchanges.len(), 1, "what was made is used to its end");
    let form = &exchanges[0];
    let of = |name: &str| form[name].as_str();
    assert_eq!(of("subject_token_type"), "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!(of("requested_token_type"), "urn:ietf:params:oauth:token-type:id-jag");
    assert_eq!(of("audience"), world.issuer.url());
    assert_eq!(of("resource"), format!("http://{}/mcp", world.gate.up.addr));
    assert_ne!(of("subject_token"), world.alice(), "not what the client sent");

    // Everybody by themselves; being signed in for something else serves, too.
    question(&world.call(&world.token("bob", &["eng"]), "github__echo", "").await);
    let mut bob = Browser::of(&world.gate, "bob");
    let list = bob.open(&world.gate.url("/connect/")).await;
    assert!(list.resp.text().contains("You linked no account"), "{}", list.resp.whole());
    world.serves("bob").await;
    assert!(world.shown().last().unwrap().starts_with("Bearer access-canary-bob-"));

    // Signed out, nothing of it serves any more, although the upstream would still take it.
    let page = alice.open(&world.gate.url("/oauth/signout")).await;
    let out = alice.press(&page, "csrf", "out").await;
    assert_eq!(title(&out), "Signed out", "{}", out.resp.whole());
    let before = world.gate.up.seen().len();
    let again = world.call(&world.alice(), "github__echo", "").await;
    let url = question(&again)["url"].as_str().unwrap().to_owned();
    assert_eq!(world.gate.up.seen().len(), before);
    world.serves("bob").await;
    let done = alice.open(&url).await;
    assert_eq!(title(&done), "Signed in", "{}", done.resp.whole());
    world.serves("alice").await;
    world.apart(&[&asked, &done.resp, &again]).await;
}

#[tokio::test]
async fn a_sign_in_that_is_over_is_renewed_or_asked_for() {
    let world = world().await;
    // It is over as soon as it is made.
    world.provider.lock().life_s = 5;
    let mut alice = Browser::of(&world.gate, "alice");
    let refused = alice.open(&world.link(&world.alice()).await).await;
    assert_eq!(refused.resp.status, 502, "and asking again changes nothing: {}", refused.resp.whole());
    world.provider.lock().refreshes = true;
    let mut again = Browser::of(&world.gate, "alice");
    let done = again.open(&world.gate.url("/connect/github")).await;
    assert_eq!(title(&done), "Signed in", "{}", done.resp.whole());
    world.serves("alice").await;
    let renewals = world.provider.lock().asked.iter().filter(|form| form["grant_type"] == "refresh_token").count();
    assert_eq!((renewals, world.exchanges().len()), (1, 1));
    world.apart(&[&refused.resp, &done.resp]).await;
}
