//! The desk as upstreams see it: tokens of people, by name of the upstream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;

use super::{Desk, Link};
use crate::upstream::{PersonToken, PersonTokens, Place, Refused};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// Gives upstreams the tokens that people linked. One serves all upstreams and every reload.
pub struct People(Arc<Desk>);

impl People {
    /// Of `desk`.
    pub fn of(desk: &Arc<Desk>) -> Arc<Self> {
        Arc::new(Self(desk.clone()))
    }

    /// The link of the config in force, if that still means this endpoint: a call that began before a reload is judged by what is
    /// in force now, and shows its old upstream nothing that was linked for a new one.
    fn link(&self, upstream: &Place) -> Option<Arc<Link>> {
        self.0.links.load().get(&upstream.name).filter(|link| link.url == upstream.url && !link.by_sign_in).cloned()
    }
}

impl PersonTokens for People {
    fn token<'a>(&'a self, who: &'a PrincipalKey, upstream: &'a Place) -> BoxFuture<'a, Result<PersonToken, Fault>> {
        async move {
            let gone = || Fault::internal(FaultKind::Credential, "no account can be linked at this upstream any more");
            let link = self.link(upstream).ok_or_else(gone)?;
            let usable = self.0.token(&link, who, Deadline::after(TOKEN_TIME)).await?;
            Ok(PersonToken { secret: usable.secret, account: usable.account })
        }
        .boxed()
    }

    fn rejected<'a>(
        &'a self,
        who: &'a PrincipalKey,
        upstream: &'a Place,
        shown: &'a PersonToken,
        refused: &'a Refused,
    ) -> BoxFuture<'a, bool> {
        async move {
            let Some(link) = self.link(upstream) else { return false };
            if refused.status == StatusCode::UNAUTHORIZED {
                return self.0.unauthorized(&link, who, &shown.secret, refused).await;
            }
            if let (Some(_), Some(challenge)) = (refused.missing_scopes(), &refused.challenge)
                && let Err(error) = self.0.insufficient(&link, who, challenge).await
            {
                tracing::warn!(upstream = %upstream.name, %error, "the scopes that an upstream wants could not be noted");
            }
            false
        }
        .boxed()
    }
}

/// How long a call waits for a token; the call's own deadline may be shorter.
const TOKEN_TIME: Duration = Duration::from_secs(10);
