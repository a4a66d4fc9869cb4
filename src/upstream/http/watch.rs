//! Opens watches over HTTP, in the way the upstream has.

use std::sync::Arc;

use super::Http;
use super::listen::Listen;
use super::push::InSession;
use super::session::Session;
use super::shown::Whom;
use crate::mcp::Interest;
use crate::mcp::client_caps::ClientCaps;
use crate::upstream::feed::{Announcer, Tap};
use crate::upstream::pipe::OverPipe;
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
        let ticket = self.breaker.enter()?;
        // Only what it said is told of: that an upstream has no good streams is nothing against calls to it.
        ticket.note(self.open_watch(&who, capabilities, &interest)).await
    }

    async fn open_watch(
        self: &Arc<Self>,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        interest: &Interest,
    ) -> Result<(Line, Interest), Fault> {
        let deadline = Deadline::after(self.settings.timeout);
        if self.is_stateless(Whom::any_account(who), deadline).await? {
            let opened = Listen::open(self, who, interest).await?;
            return Ok(
                opened.map_or((Line::Mute, Interest::default()), |(listen, agreed)| (Line::Listen(Box::new(listen)), agreed))
            );
        }
        let announcer: Arc<dyn Announcer> = match self.session_unless_lines(who, capabilities, deadline).await? {
            Some(session) => Arc::new(InSession { http: Arc::clone(self), session }),
            None => Arc::new(OverPipe(self.line_of(who, capabilities, deadline).await?.1)),
        };
        let (tap, agreed) = Tap::open(announcer, interest).await?;
        Ok((Line::Tap(Box::new(tap)), agreed))
    }

    async fn session_unless_lines(
        self: &Arc<Self>,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        deadline: Deadline,
    ) -> Result<Option<Arc<Session>>, Fault> {
        if self.has_lines() {
            return Ok(None);
        }
        match self.session_of(who, capabilities, deadline).await {
            Err(_) if self.has_lines() => Ok(None),
            found => found.map(|(_, session)| Some(session)),
        }
    }
}
