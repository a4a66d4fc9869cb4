//! What the gateway says without being asked, in a session: the stream by GET.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};

use super::Bridge;
use super::call::{RETRY_MS, RETRY_MS_MAX, RETRY_MS_MIN, decoder};
use super::http::Answer;
use crate::mcp::headers::LAST_EVENT_ID;

impl Bridge {
    /// Listens for as long as this session lasts.
    pub(super) fn listen(self: &Arc<Self>) {
        let this = self.clone();
        let over = self.over.child_token();
        self.tasks.spawn(async move {
            over.run_until_cancelled(this.push()).await;
        });
    }

    async fn push(self: &Arc<Self>) {
        let Some(open) = self.session.current().filter(|open| open.has_id()) else { return };
        let (mut last_id, mut wait): (Option<HeaderValue>, _) = (None, RETRY_MS);
        // Another session has a stream of its own.
        while self.session.current().as_ref() == Some(&open) {
            let mut headers = open.headers();
            headers.extend(last_id.clone().map(|id| (LAST_EVENT_ID, id)));
            let shown = self.bearer.shown();
            match self.http.send(Method::GET, Bytes::new(), headers, shown.as_ref()).await {
                Ok(answer) if answer.status == StatusCode::OK && answer.is_stream() => {
                    let told = self.relay(answer, &mut last_id).await;
                    wait = told.unwrap_or(RETRY_MS);
                }
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
                    if self.bearer.renew(shown.as_ref(), &answer.headers).await.is_err() {
                        return;
                    }
                }
                // There is no such stream, or no such session: calls will open another.
                Ok(answer) if answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS => return,
                Ok(_) | Err(_) => wait = (wait * 2).min(RETRY_MS_MAX),
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Writes events as lines until the stream ends. The time to wait, where the gateway says it.
    async fn relay(&self, mut answer: Answer, last_id: &mut Option<HeaderValue>) -> Option<Duration> {
        let (mut decoder, mut retry) = (decoder(), None);
        while let Ok(Some(chunk)) = answer.chunk().await {
            if decoder.push(&chunk).is_err() {
                break;
            }
            while let Some(event) = decoder.next_event() {
                if let Some(id) = event.id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
                    *last_id = Some(id);
                }
                retry = event.retry.map(|ms| Duration::from_millis(ms).clamp(RETRY_MS_MIN, RETRY_MS_MAX)).or(retry);
                if !event.data.is_empty() {
                    self.say(event.data.to_vec()).await;
                }
            }
        }
        retry
    }
}
