//! Opens watches of processes, in the way the process has.

use std::sync::Arc;

use super::Stdio;
use super::process::ended;
use crate::mcp::Interest;
use crate::mcp::client_caps::ClientCaps;
use crate::upstream::feed::Tap;
use crate::upstream::key::SessionKey;
use crate::upstream::pipe::{OverPipe, PipeListen};
use crate::upstream::table::Kept as _;
use crate::upstream::watch::Line;
use crate::upstream::wire::STATELESS;
use crate::vocab::{Deadline, Fault, PrincipalKey};

impl Stdio {
    /// A line on which `who` hears what is of `interest`, and what the process agreed to.
    pub(in crate::upstream) async fn watch(
        self: Arc<Self>,
        who: PrincipalKey,
        capabilities: ClientCaps,
        interest: Interest,
    ) -> Result<(Line, Interest), Fault> {
        // That it says nothing of itself is nothing against calls to it.
        self.breaker.enter()?.note(self.open_watch(&who, capabilities, &interest)).await
    }

    async fn open_watch(
        &self,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        interest: &Interest,
    ) -> Result<(Line, Interest), Fault> {
        let key = SessionKey::of(self.settings.shared, who, 0, capabilities);
        let process = self.process(&key, Deadline::after(self.settings.timeout)).await?;
        if process.is_gone() {
            return Err(ended());
        }
        if process.talk.facts()?.revision == STATELESS {
            let opened = PipeListen::open(process, interest).await?;
            self.breaker.heard();
            return Ok(
                opened.map_or((Line::Mute, Interest::default()), |(listen, agreed)| (Line::Pipe(Box::new(listen)), agreed))
            );
        }
        let (tap, agreed) = Tap::open(Arc::new(OverPipe(process)), interest).await?;
        Ok((Line::Tap(Box::new(tap)), agreed))
    }
}
