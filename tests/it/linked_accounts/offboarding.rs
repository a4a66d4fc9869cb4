//! People who leave.

use std::time::Duration;

use url::Url;

use super::{World, question};
use crate::gate::soon;
use crate::wire::SOON;

#[tokio::test]
async fn whoever_is_revoked_loses_session_and_accounts() {
    let world = World::here().await;
    let (mut alices, mut bobs) = (world.linked("alice").await, world.linked("bob").await);
    let (alice, bob) = (world.alice(), world.token("bob", &["eng"]));
    let pages = Url::parse(&world.gate.url("/connect/")).unwrap();
    assert!(alices.get(&pages).await.text().contains("github"));

    let revoked = format!("- {{ iss: \"http://{}\", sub: alice }}\n", world.idp.addr);
    world.gate.reload("revoked.yaml", &revoked);
    soon("the token is revoked where it was issued", || world.issuer.state.lock().revoked.len() == 1).await;
    assert_eq!(world.call(&alice, "github__echo", "").await.status, 401);
    // Her session is gone, and the provider signing her in again gives her no other.
    let away = alices.get(&pages).await;
    assert_eq!(away.status, 303, "{}", away.whole());
    let refused = alices.follow(pages.clone(), away).await;
    assert_eq!(refused.resp.status, 403, "{}", refused.resp.whole());
    assert!(refused.resp.text().contains("no access here any more"), "{}", refused.resp.whole());
    // Nobody else is touched.
    assert!(bobs.get(&pages).await.text().contains("github"));
    let called = world.call(&bob, "github__echo", "").await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    assert_eq!(world.issuer.state.lock().revoked.len(), 1);

    // Back again, she begins with nothing.
    world.gate.reload("revoked.yaml", "[]");
    let back = async {
        loop {
            let called = world.call(&alice, "github__echo", "").await;
            if called.status != 401 {
                return called;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    question(&tokio::time::timeout(SOON, back).await.unwrap());
    assert_eq!(alices.get(&pages).await.status, 303, "the session did not come back");
}
