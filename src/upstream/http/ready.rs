//! What is known of an upstream before anything is called.

use std::sync::Arc;

use tokio::time::timeout_at;

use super::Http;
use super::call::late;
use super::shown::Whom;
use crate::mcp::client_caps::ClientCaps;
use crate::upstream::key::SessionKey;
use crate::upstream::pipe::Pipe as _;
use crate::upstream::wire::{Facts, STATELESS};
use crate::vocab::{Deadline, Fault, PrincipalKey};

impl Http {
    /// What is known of the upstream as `who` sees it.
    pub(in crate::upstream) async fn ready(
        self: &Arc<Self>,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        deadline: Deadline,
    ) -> Result<Facts, Fault> {
        let known = timeout_at(deadline.instant().into(), self.known(who, capabilities)).await.map_err(|_| late())?;
        if let Some(facts) = known? {
            return self.breaker.pass().map(|()| facts);
        }
        let facts = async {
            if self.pinned.is_none_or(|r| r == STATELESS)
                && let Some(facts) = self.stateless_facts(Whom::any_account(who), deadline).await?
            {
                return Ok(facts);
            }
            if !self.has_lines() {
                match self.session_of(who, capabilities, deadline).await {
                    Err(_) if self.has_lines() => {}
                    found => return found.map(|(_, session)| session.facts.clone()),
                }
            }
            self.line_of(who, capabilities, deadline).await?.1.talk().facts()
        };
        self.guarded(Box::pin(facts), deadline).await
    }

    /// As [`Self::ready`], without asking the upstream.
    async fn known(&self, who: &PrincipalKey, capabilities: ClientCaps) -> Result<Option<Facts>, Fault> {
        if self.pinned.is_none_or(|r| r == STATELESS) {
            match self.era.in_force() {
                None => return Ok(None),
                Some(Some(facts)) => return Ok(Some(facts)),
                Some(None) => {}
            }
        }
        let account = self.show(Whom::any_account(who)).await?.account;
        let key = SessionKey::of(self.settings.shared, who, account, capabilities);
        if self.has_lines() {
            return self.lines.find(&key).map(|line| line.talk().facts()).transpose();
        }
        Ok(self.sessions.find(&key).map(|session| session.facts.clone()))
    }
}
