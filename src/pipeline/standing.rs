//! Answers in pieces outlast the moment in which their caller was authenticated: they end when the credential does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Gateway;
use super::ctx::Ctx;
use super::world::World;
use crate::vocab::Principal;

/// The longest time between two looks: a clock may be set, a machine may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Watches over the credential of one caller.
pub(super) struct Standing {
    gateway: Arc<Gateway>,
    principal: Option<Arc<Principal>>,
    /// Changes when another set of rules, keys and revocations is in force.
    revised: watch::Receiver<()>,
    /// Changes when a token of our own authorization server ends before its time; that memory outlives every set of rules.
    endings: Option<watch::Receiver<()>>,
}

impl Standing {
    pub(super) fn of(ctx: &Ctx) -> Self {
        let revised = ctx.gateway.revised.subscribe();
        let endings = ctx.world.authserver.as_ref().map(|server| server.endings());
        Self { gateway: ctx.gateway.clone(), principal: ctx.principal.clone(), revised, endings }
    }

    /// Returns, with the reason for the log, once the credential no longer holds.
    pub(super) async fn over(&mut self) -> &'static str {
        loop {
            let Some(principal) = &self.principal else { return std::future::pending().await };
            let world = self.gateway.world.load_full();
            if has_ended(&world, principal) {
                return "the token was revoked";
            }
            let left = match world.identity.standing(principal) {
                Ok(left) => left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY)),
                Err(why) => return why,
            };
            tokio::select! {
                changed = self.revised.changed() => if changed.is_err() { tokio::time::sleep(left).await },
                () = changed(&mut self.endings) => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

/// Whether the token behind `principal` is one of our own authorization server that ended before its time.
pub(super) fn has_ended(world: &World, principal: &Principal) -> bool {
    world.authserver.as_ref().is_some_and(|server| server.has_ended(principal))
}

/// Returns after a change; never where there is nothing that changes.
async fn changed(endings: &mut Option<watch::Receiver<()>>) {
    let ended = match endings {
        Some(receiver) => receiver.changed().await.is_err(),
        None => true,
    };
    if ended {
        std::future::pending().await
    }
}
