//! Answers in pieces outlast the moment in which their caller was authenticated: they end when the credential does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Gateway;
use super::ctx::Ctx;
use crate::vocab::Principal;

/// The longest time between two looks: a clock may be set, a machine may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Watches over the credential of one caller.
pub(super) struct Standing {
    gateway: Arc<Gateway>,
    principal: Option<Arc<Principal>>,
    /// Changes when another set of rules, keys and revocations is in force.
    revised: watch::Receiver<()>,
}

impl Standing {
    pub(super) fn of(ctx: &Ctx) -> Self {
        let revised = ctx.gateway.revised.subscribe();
        Self { gateway: ctx.gateway.clone(), principal: ctx.principal.clone(), revised }
    }

    /// Returns, with the reason for the log, once the credential no longer holds.
    pub(super) async fn over(&mut self) -> &'static str {
        loop {
            let Some(principal) = &self.principal else { return std::future::pending().await };
            let standing = self.gateway.world.load().identity.standing(principal);
            let left = match standing {
                Ok(left) => left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY)),
                Err(why) => return why,
            };
            tokio::select! {
                changed = self.revised.changed() => if changed.is_err() { tokio::time::sleep(left).await },
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}
