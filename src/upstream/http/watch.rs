//! Opens watches over HTTP, in the way the upstream has.

use std::sync::Arc;

use super::Http;
use super::listen::Listen;
use super::push::InSession;
use super::shown::Whom;
use crate::mcp::Interest;
use crate::mcp::client_caps::ClientCaps;
use crate::upstream::feed::Tap;
use crate::upstream::key::SessionKey;
use crate::upstream::watch::Line;
use crate::vocab::{Deadline, Fault, PrincipalKey};

impl Http {
    /// A line on which `who` hears what is of `interest`, and what the upstream agreed to.
    pub(in crate::upstream) async fn watch(
        self: Arc<Self>,
        who: PrincipalKey,
        capabilities: ClientCaps,
        interest: Interest,
    ) -> Result<(Line, Interest), Fault> {
        // Asked for leave, but nothing said about: that an upstream has no good streams is nothing against calls to it.
        let _ticket = self.breaker.enter()?;
        let deadline = Deadline::after(self.settings.timeout);
        let as_them = Whom::any_account(&who);
        if self.is_stateless(as_them, deadline).await? {
            let opened = Listen::open(&self, &who, &interest).await?;
            return Ok(
                opened.map_or((Line::Mute, Interest::default()), |(listen, agreed)| (Line::Listen(Box::new(listen)), agreed))
            );
        }
        let account = self.show(as_them).await?.account;
        let key = SessionKey::of(self.settings.shared, &who, account, capabilities);
        let session = self.session(&key, Whom { who: &who, account: Some(account) }, deadline).await?;
        let announcer = Arc::new(InSession { http: Arc::clone(&self), session });
        let (tap, agreed) = Tap::open(announcer, &interest).await?;
        Ok((Line::Tap(Box::new(tap)), agreed))
    }
}
