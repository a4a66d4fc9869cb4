//! Tokens are renewed once, put where they came from, and shown to nobody else.

use std::sync::mpsc;

use parking_lot::Mutex;
use secrecy::ExposeSecret as _;

use super::super::*;
use super::bench::{Bench, bench, granted};
use crate::oauth::Challenge;
use crate::upstream::{PersonTokens as _, Place};

/// A bench whose token endpoint waits for a word before it answers.
async fn waiting(name: &'static str) -> (Bench, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let bench = bench(move || {
        wait.lock().recv_timeout(Duration::from_secs(30)).unwrap();
        granted(name)
    });
    (bench.await.registered("gateway"), go)
}

/// Begins to ask for the token, and gives up once the server was asked.
async fn given_up(bench: &Bench) {
    let asking = Box::pin(bench.token());
    let begun = Box::pin(async {
        // The request is seen when it has been answered, so what shows that it is under way is the connection of the metadata.
        bench.until("GET /.well-known/oauth-authorization-server").await;
    });
    assert!(matches!(futures_util::future::select(asking, begun).await, futures_util::future::Either::Right(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_that_nobody_waits_for_is_kept_and_then_forgotten() {
    let (bench, go) = waiting("new").await;
    let key = bench.account("gateway", "old", 1).await;
    given_up(&bench).await;
    go.send(()).unwrap();
    while bench.kept().await.unwrap().tokens.access.expose_secret() != "new" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(bench.token().await.unwrap(), "new");
    // Half a minute later, unlinked: what the refresh gave is nobody's.
    bench.desk.vault.unlink(&key).await.unwrap();
    bench.desk.unlearn(&key.principal, &key.upstream);
    bench.desk.fresh.invalidate_all();
    assert_eq!(bench.token().await, Err(FaultKind::Unlinked));
    bench.account("gateway", "other", 3_600).await;
    assert_eq!(bench.token().await.unwrap(), "other");
    assert_eq!(bench.asked("POST /token"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_under_way_is_no_business_of_the_account_that_is_linked_instead() {
    let (bench, go) = waiting("new").await;
    let key = bench.account("gateway", "old", 1).await;
    given_up(&bench).await;
    bench.desk.vault.unlink(&key).await.unwrap();
    bench.account("gateway", "other", 3_600).await;
    assert_eq!(bench.token().await.unwrap(), "other", "without waiting for the other");
    go.send(()).unwrap();
    bench.until("POST /revoke").await;
    let revoked = bench.server.seen.lock().last().unwrap().clone();
    assert!(revoked.contains("token=new-refresh"), "{revoked}");
    assert_eq!(bench.token().await.unwrap(), "other");
    assert_eq!(bench.kept().await.unwrap().tokens.access.expose_secret(), "other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scopes_that_are_noted_while_a_token_is_renewed_cost_no_grant() {
    let (bench, go) = waiting("new").await;
    let key = bench.account("gateway", "old", 1).await;
    given_up(&bench).await;
    let mut headers = http::HeaderMap::new();
    let says = "Bearer error=\"insufficient_scope\", scope=\"more\"";
    headers.insert(http::header::WWW_AUTHENTICATE, says.parse().unwrap());
    let challenge = Challenge::bearer(&headers).unwrap();
    bench.desk.insufficient(&bench.link, &key.principal, &challenge).await.unwrap();
    go.send(()).unwrap();
    assert_eq!(bench.token().await.unwrap(), "new");
    let kept = bench.kept().await.unwrap();
    assert_eq!((kept.tokens.access.expose_secret(), kept.wanted), ("new", vec!["more".to_owned()]));
    assert_eq!((bench.asked("POST /token"), bench.asked("POST /revoke")), (1, 0));
}

#[tokio::test]
async fn what_was_read_before_an_unlink_is_not_remembered_after_it() {
    let bench = bench(|| (500, String::new())).await.registered("gateway");
    let key = bench.account("gateway", "old", 3_600).await;
    let (epoch, whose) = (bench.desk.epoch(), (key.principal.clone(), key.upstream.clone()));
    let held = bench.desk.vault.tokens(&key.principal, "up").await.unwrap().unwrap();
    bench.desk.vault.unlink(&key).await.unwrap();
    bench.desk.unlearn(&key.principal, &key.upstream);
    bench.desk.learn(&whose, &held, epoch);
    assert_eq!(bench.token().await, Err(FaultKind::Unlinked));
}

#[tokio::test]
async fn a_token_is_for_the_endpoint_server_and_client_of_the_config_in_force() {
    let bench = bench(|| (500, String::new())).await.registered("gateway");
    let key = bench.account("gateway", "old", 3_600).await;
    let changed = |change: fn(&mut Link)| {
        let mut link = Link::clone(&bench.link);
        change(&mut link);
        Arc::new(link)
    };
    let moved = changed(|link| link.url = "https://elsewhere.example/mcp".parse().unwrap());
    for link in [
        moved.clone(),
        changed(|link| link.issuer = Some("https://other.example".to_owned())),
        changed(|link| link.registered.as_mut().unwrap().client_id = "another".to_owned()),
    ] {
        // Known from a moment ago, and for this one.
        assert_eq!(bench.token().await.unwrap(), "old");
        assert_eq!(bench.token_of(&link).await, Err(FaultKind::Unlinked), "{link:?}");
    }
    // What goes on from before a reload shows the old place nothing of the new one, nor the other way round.
    let people = People::of(&bench.desk);
    for (in_force, asks, serves) in [(&bench.link, &bench.link, true), (&bench.link, &moved, false), (&moved, &bench.link, false)]
    {
        bench.desk.offer(Arc::new(Links::from([("up".into(), in_force.clone())])), None);
        let place = Place { name: "up".into(), url: asks.url.clone() };
        assert_eq!(people.token(&key.principal, &place).await.is_ok(), serves, "{} {}", in_force.url, asks.url);
    }
}
