//! Requests as somebody: with what the upstream is shown, and once more where it refuses that.

use http::StatusCode;

use super::Http;
use super::post::{Answered, Door, GetFor, Replay, Sending};
use super::session::Session;
use crate::mcp::Lowered;
use crate::upstream::credential::{Refused, Shown};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// On whose behalf, and, in a session, with which account it was opened.
#[derive(Clone, Copy)]
pub(super) struct Whom<'a> {
    pub(super) who: &'a PrincipalKey,
    pub(super) account: Option<u64>,
}

impl<'a> Whom<'a> {
    pub(super) fn any_account(who: &'a PrincipalKey) -> Self {
        Self { who, account: None }
    }
}

impl Http {
    /// Sends a message and waits for the head of an answer that is neither 401 nor 403.
    ///
    /// Refused, it is sent once more where something better can be shown. That is safe for every message, writes included: a
    /// server that refuses the credential has not done what was asked (RFC 9110 sections 15.5.2 and 15.5.4). It never happens
    /// twice.
    ///
    /// In a session 401 may also be about that, see [`Refused::in_session`]. If nothing better helps, the session is over: what the
    /// next one is opened with tells which it was.
    pub(super) async fn post(
        &self,
        whom: Whom<'_>,
        message: Lowered,
        session: Option<&Session>,
        replay: Replay,
        deadline: Deadline,
    ) -> Result<Answered, Fault> {
        self.send_through(&self.door, whom, Sending::Post { message, replay }, session, deadline).await
    }

    /// As [`Self::post`], whatever is sent, through `door`.
    pub(super) async fn send_through(
        &self,
        door: &Door,
        whom: Whom<'_>,
        sending: Sending,
        session: Option<&Session>,
        deadline: Deadline,
    ) -> Result<Answered, Fault> {
        let session = session.filter(|session| session.id.is_some());
        let named = session.and_then(|session| session.id.as_ref());
        let shown = self.show(whom).await?;
        // A refusal of a stream may be about that alone. One for news is not worth a new credential.
        let (is_call, is_news) =
            (matches!(sending, Sending::Post { .. }), matches!(sending, Sending::Get { why: GetFor::News, .. }));
        let again = (shown.may_change() && !is_news).then(|| sending.clone());
        let answered = door.send_out(sending, &shown, named, deadline).await;
        // Also said is what cannot be used.
        if answered.as_ref().err().is_none_or(|fault| matches!(fault.kind, FaultKind::Malformed | FaultKind::TooLarge)) {
            self.breaker.heard();
        }
        let answered = answered?;
        let Some(refused) = &answered.refused else { return Ok(answered) };
        let refused = Refused { in_session: session.is_some(), ..(**refused).clone() };
        answered.exchange.finish();
        if let Some(sending) = again
            && self.keyring.refused(whom.who, &shown, &refused).await
        {
            let shown = Box::pin(self.show(whom)).await?;
            let answered = Box::pin(door.send_out(sending, &shown, named, deadline)).await?;
            if answered.refused.is_none() {
                return Ok(answered);
            }
            answered.exchange.finish();
        }
        if let Some(session) = session.filter(|_| is_call && refused.status == StatusCode::UNAUTHORIZED) {
            session.feed.end();
        }
        Err(Fault::upstream(FaultKind::Unauthorized, format!("answered {}", refused.status.as_u16())))
    }

    /// What to show now. Never another account's in a session.
    pub(super) async fn show(&self, whom: Whom<'_>) -> Result<Shown, Fault> {
        let shown = self.keyring.show(whom.who).await?;
        if whom.account.is_some_and(|account| account != shown.account) {
            return Err(Fault::upstream(FaultKind::Unauthorized, "the person linked another account meanwhile"));
        }
        Ok(shown)
    }
}
