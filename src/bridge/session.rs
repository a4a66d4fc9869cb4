//! The session at the gateway, for clients of 2025-11-25 and older. The bridge opens it again when the gateway forgot it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;

use super::Bridge;
use super::http::Answer;
use crate::mcp::headers::{PROTOCOL_VERSION, SESSION_ID};
use crate::mcp::json::unquote;
use crate::mcp::{Reply, ResultBody};

/// What was agreed, and how to agree on it again.
#[derive(Default)]
pub(super) struct Session {
    open: Mutex<Option<Open>>,
    /// The client's own `initialize`, to open another session with.
    opening: Mutex<Option<Bytes>>,
    reopening: tokio::sync::Mutex<()>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Open {
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

impl Open {
    /// The headers of every message in the session.
    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let id = self.id.clone().map(|id| (SESSION_ID, id));
        let version = self.version.clone().map(|version| (PROTOCOL_VERSION, version));
        id.into_iter().chain(version).collect()
    }

    /// Whether there is anything that the gateway could have forgotten.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

impl Session {
    pub(super) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    pub(super) fn current(&self) -> Option<Open> {
        self.open.lock().clone()
    }

    /// The client opens a session with this line: what was before is over.
    pub(super) fn begin(&self, line: Bytes) {
        *self.open.lock() = None;
        *self.opening.lock() = Some(line);
    }

    /// The gateway agreed.
    pub(super) fn agreed(&self, id: Option<&HeaderValue>, body: &ResultBody) {
        let version = body.member("protocolVersion").and_then(|raw| unquote(raw.as_str()).ok());
        let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
        *self.open.lock() = Some(Open { id: id.cloned(), version });
    }
}

impl Bridge {
    /// Opens a session in place of `gone`, unless somebody did already.
    ///
    /// # Errors
    /// What to tell the client.
    pub(super) async fn reopen(self: &Arc<Self>, gone: &Open) -> Result<(), String> {
        let _one = self.session.reopening.lock().await;
        if self.session.current().as_ref() != Some(gone) {
            return Ok(());
        }
        let line = self.session.opening.lock().clone().ok_or("the session is over")?;
        let answer = self.post(line, Vec::new()).await?;
        let id = answer.headers.get(SESSION_ID).cloned();
        match self.reply_of(answer).await? {
            Reply::Result(body) => self.session.agreed(id.as_ref(), &body),
            Reply::Error(_) => return Err("the gateway opens no new session".to_owned()),
        }
        let headers = self.session.current().map(|open| open.headers()).unwrap_or_default();
        self.post(Bytes::from_static(INITIALIZED), headers).await?.whole().await?;
        self.listen();
        Ok(())
    }

    /// Tells the gateway that the session is not needed any more.
    pub(super) async fn end_session(&self) {
        if let Some(open) = self.session.current().filter(Open::has_id) {
            let bearer = self.bearer.shown();
            let _ = self.http.send(Method::DELETE, Bytes::new(), open.headers(), bearer.as_ref()).await;
        }
    }

    /// Posts a message of the bridge's own, with whatever token there is.
    async fn post(&self, line: Bytes, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Answer, String> {
        let answer = self.http.send(Method::POST, line, headers, self.bearer.shown().as_ref()).await?;
        match answer.status {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(answer),
            status => Err(format!("the gateway answered {}", status.as_u16())),
        }
    }
}

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
