//! A bridge for clients that only speak stdio: lines on one side, the gateway's Streamable HTTP on the other.
//!
//! It decides nothing. A client's line leaves byte for byte as the body of one POST, with the headers that its revision wants;
//! what comes back, whole or as events, is written as lines. Sessions, streams and their resumption are the bridge's own
//! business, and so is the token: the client never sees one.

mod bearer;
mod call;
mod http;
mod lines;
mod push;
mod session;
mod sign_in;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use self::bearer::Bearer;
use self::http::Http;
use self::lines::{Lines, write_lines};
use self::session::Session;
use crate::mcp::json::push_string;
use crate::mcp::mirror::Mirror;
use crate::mcp::{Body, Message, Method, RawId, Shape, codes, decode};

/// Where to, and as whom.
pub struct Settings {
    /// A route of the gateway.
    pub url: Url,
    /// A token or API key to show; without one a person signs in with a browser when the gateway asks for it.
    pub token: Option<SecretString>,
    /// A client id that the authorization server knows, where it takes no registrations.
    pub client_id: Option<String>,
    /// Whom to trust.
    pub tls: Arc<ClientConfig>,
    /// Private addresses are fine; loopback ones are where the URL names them.
    pub allow_private_addresses: bool,
    /// Where the refresh token of a sign-in is kept, readable by its owner only. Nowhere without a path.
    pub state_file: Option<std::path::PathBuf>,
    /// Tells the person something.
    pub tell: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Why the bridge could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The URL is no address of a gateway.
    #[error("{0}")]
    Url(&'static str),
    /// A line is over the limit, or the pipe broke.
    #[error("standard input: {0}")]
    Input(std::io::Error),
}

/// Carries lines until `input` ends or `stop` is cancelled, then ends the session at the gateway.
///
/// # Errors
/// [`BridgeError`]. What the gateway refuses is an answer to the client, not an error.
pub async fn run<I, O>(settings: Settings, input: I, output: O, stop: CancellationToken) -> Result<(), BridgeError>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin + Send + 'static,
{
    let (out, queue) = mpsc::channel(LINES_WAITING_MAX);
    let tasks = TaskTracker::new();
    let written = tasks.spawn(write_lines(output, queue));
    let http = Http::new(&settings.url, settings.tls.clone(), settings.allow_private_addresses, tasks.clone())?;
    let bridge = Arc::new(Bridge {
        bearer: Bearer::new(&settings),
        http,
        session: Session::default(),
        mirrors: Mutex::default(),
        calls: Mutex::default(),
        places: Arc::new(Semaphore::new(REQUESTS_MAX)),
        out,
        tasks,
        over: stop.child_token(),
        tell: settings.tell.clone(),
    });
    let carried =
        bridge.over.clone().run_until_cancelled_owned(Box::pin(bridge.carry(Lines::new(input)))).await.unwrap_or(Ok(()));
    bridge.over.cancel();
    bridge.leave().await;
    bridge.tasks.close();
    drop(bridge);
    // What was answered is written before the end; a reader that stopped reading is not waited for.
    let _ = tokio::time::timeout(LEAVE_MS_MAX, written).await;
    carried
}

struct Bridge {
    http: Http,
    bearer: Bearer,
    session: Session,
    /// Mirrored parameters of the tools that were listed (2026-07-28).
    mirrors: Mutex<HashMap<String, Vec<Mirror>>>,
    /// Requests under way, by id.
    calls: Mutex<HashMap<String, CancellationToken>>,
    places: Arc<Semaphore>,
    out: mpsc::Sender<Bytes>,
    tasks: TaskTracker,
    over: CancellationToken,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Bridge {
    async fn carry(self: &Arc<Self>, mut lines: Lines<impl AsyncRead + Unpin>) -> Result<(), BridgeError> {
        loop {
            let Some(line) = lines.next().await.map_err(BridgeError::Input)? else { return Ok(()) };
            match decode(&line, DEPTH_MAX) {
                Ok(Body::Single(message)) => self.take(line, *message).await,
                // Only sessions of 2025-03-26 have arrays; the gateway says so where there is none.
                Ok(Body::Batch(_)) => self.spawn(line, None).await,
                Err(error) => self.say(refusal(error.id.as_ref(), error.code, error.message)).await,
            }
        }
    }

    async fn take(self: &Arc<Self>, line: Bytes, message: Message) {
        match message.shape {
            Shape::Request => self.spawn(line, Some(message)).await,
            Shape::Notification if message.method_name == CANCELLED && !self.session.is_open() => self.cancel(&message),
            // In order, as their meaning may depend on what was said before.
            Shape::Notification | Shape::Response => self.tell_gateway(line, &message).await,
        }
    }

    /// Makes a request in a task of its own; when too many are under way, the next line waits.
    async fn spawn(self: &Arc<Self>, line: Bytes, message: Option<Message>) {
        let Ok(place) = self.places.clone().acquire_owned().await else { return };
        let cancelled = self.over.child_token();
        let key = message.as_ref().and_then(|message| message.id.as_ref()).map(|id| id.as_str().to_owned());
        if let Some(key) = &key {
            self.calls.lock().insert(key.clone(), cancelled.clone());
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            let _place = place;
            // Dropping the request closes its stream, which is how 2026-07-28 cancels.
            cancelled.run_until_cancelled(this.request(line, message.as_ref())).await;
            if let Some(key) = key {
                this.calls.lock().remove(&key);
            }
        });
    }

    fn cancel(&self, message: &Message) {
        let id = message.params.request_id.as_ref();
        if let Some(call) = id.and_then(|id| self.calls.lock().get(id.as_str()).cloned()) {
            call.cancel();
        }
    }

    /// Writes a line to the client.
    async fn say(&self, line: Vec<u8>) {
        // A reader that is gone ends the program by ending its input.
        let _ = self.out.send(line.into()).await;
    }

    async fn leave(&self) {
        let _ = tokio::time::timeout(LEAVE_MS_MAX, self.end_session()).await;
    }
}

/// A JSON-RPC error as the bridge's own answer.
fn refusal(id: Option<&RawId>, code: i64, message: &str) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
    out.extend_from_slice(id.map_or(b"null".as_slice(), |id| id.as_str().as_bytes()));
    out.extend_from_slice(format!(",\"error\":{{\"code\":{code},\"message\":").as_bytes());
    push_string(&mut out, message);
    out.extend_from_slice(b"}}");
    out
}

/// As [`refusal`], for what went wrong between here and the gateway.
fn failure(id: Option<&RawId>, message: &str) -> Vec<u8> {
    refusal(id, codes::INTERNAL_ERROR, message)
}

/// True for requests that open something that lasts.
fn lasts(method: Method) -> bool {
    method == Method::Listen
}

const CANCELLED: &str = "notifications/cancelled";
/// Requests under way at once; the client's next line waits for one of them.
const REQUESTS_MAX: usize = 256;
/// Lines waiting for the client to read.
const LINES_WAITING_MAX: usize = 64;
/// Depth of a message.
const DEPTH_MAX: usize = 128;
/// Time for saying goodbye.
const LEAVE_MS_MAX: Duration = Duration::from_millis(2_000);

#[cfg(test)]
mod tests;
