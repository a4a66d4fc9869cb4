//! Offboarding: what people linked who were revoked since is dropped, and revoked where it was issued.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connect::Desk;
use crate::pipeline::{Gateway, World};
use crate::vocab::PrincipalKey;

/// Time for all accounts of one person. They are dropped first; what servers were not told by then, they are not told.
const PERSON_TIME: Duration = Duration::from_secs(30);
/// After this everybody is looked at again: for what failed, and for a link that was on its way when its person was revoked.
const AGAIN: Duration = Duration::from_secs(600);

/// Runs until `stop`: at the start, and with every reload, in the background and one person after the other.
pub(super) async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let Some(desk) = &gateway.desk else { return };
    let mut reloads = gateway.revised.subscribe();
    let work = async {
        loop {
            let world = gateway.world.load_full();
            for who in revoked(&world) {
                forget(desk, &world, &who).await;
            }
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, reloads.changed()).await {
                return;
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Everybody who is revoked, as accounts know them: by the provider that they sign in with, even where they are revoked as
/// subjects of our own tokens.
fn revoked(world: &World) -> Vec<PrincipalKey> {
    let known_as = |iss| match &world.authserver {
        Some(server) if server.issuer() == iss => Arc::from(server.sign_in().issuer()),
        _ => Arc::from(iss),
    };
    world.identity.revocations().people().map(|(iss, sub)| PrincipalKey { iss: known_as(iss), sub: Arc::from(sub) }).collect()
}

async fn forget(desk: &Desk, world: &World, who: &PrincipalKey) {
    let PrincipalKey { iss, sub } = who;
    match tokio::time::timeout(PERSON_TIME, desk.forget(&world.links, who)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(accounts)) => tracing::info!(%iss, %sub, accounts, "the linked accounts of a revoked person were dropped"),
        Ok(Err(error)) => tracing::error!(%iss, %sub, %error, "the linked accounts of a revoked person could not be dropped"),
        Err(_) => tracing::warn!(%iss, %sub, "the linked accounts of a revoked person could not all be revoked in time"),
    }
}
