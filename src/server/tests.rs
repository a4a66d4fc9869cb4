#![expect(clippy::disallowed_methods, reason = "tests")]

use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::net::body::read_body;
use crate::net::head::{self, HeadRules};
use crate::vocab::Deadline;

mod deadlines;
mod framing;
mod over_tls;

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

/// Generous: how long anything that must happen may take.
const SOON: Duration = Duration::from_secs(20);

struct Running {
    addr: SocketAddr,
    stop: Drain,
    stats: Arc<DoorStats>,
    /// Lets one request to `/wait` go on.
    go: Arc<Notify>,
    /// Told when a request to `/wait` has come.
    came: Arc<Notify>,
    task: JoinHandle<()>,
}

fn start(settings: DoorSettings, tls: Option<TlsHandle>, grace: Duration) -> Running {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = Drain::new(grace);
    let (go, came) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stats = settings.stats.clone();
    let gates = (go.clone(), came.clone());
    let rules = HeadRules::new(&[], &["https://app.example.com".into()]).unwrap().with_loopback();
    let make = move |_: Peer| {
        let (gates, rules) = (gates.clone(), rules.clone());
        service_fn(move |request| answer(request, gates.clone(), rules.clone()))
    };
    let task = tokio::spawn(serve(listener, tls, settings, make, stop.clone()));
    Running { addr, stop, stats, go, came, task }
}

async fn answer(
    request: Request<Incoming>,
    (go, came): (Arc<Notify>, Arc<Notify>),
    rules: HeadRules,
) -> Result<Response<TestBody>, Infallible> {
    if let Err(r) = head::check(request.version(), request.method(), request.uri(), request.headers(), &rules) {
        return Ok(refuse(r.status, r.detail));
    }
    let whole = |text: Bytes| Response::new(Full::new(text).boxed_unsync());
    Ok(match request.uri().path() {
        "/wait" => {
            came.notify_one();
            go.notified().await;
            whole("waited".into())
        }
        "/big" => whole(vec![b'x'; 64 * 1024 * 1024].into()),
        "/silent" => Response::new(Silent(false).boxed_unsync()),
        "/refuse" => refuse(StatusCode::UNAUTHORIZED, "who are you"),
        _ => match read_body(request.into_body(), 64 * 1024, Deadline::after(Duration::from_secs(1))).await {
            Ok(body) => whole(body),
            Err(crate::net::body::BodyError::TooLarge) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            Err(crate::net::body::BodyError::Timeout) => refuse(StatusCode::REQUEST_TIMEOUT, "too slow"),
            Err(crate::net::body::BodyError::Broken) => refuse(StatusCode::BAD_REQUEST, "broken"),
        },
    })
}

fn refuse(status: StatusCode, detail: &'static str) -> Response<TestBody> {
    let mut response = Response::new(Full::new(Bytes::from_static(detail.as_bytes())).boxed_unsync());
    *response.status_mut() = status;
    head::close_after(response.headers_mut());
    response
}

/// A stream that has one event and then nothing, as an idle subscription.
struct Silent(bool);

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data("data: 1\n\n".into()))))
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(done) => done,
        Err(_) => panic!("not done in time: {what}"),
    }
}

async fn connect(running: &Running) -> TcpStream {
    soon("connect", TcpStream::connect(running.addr)).await.unwrap()
}

/// Sends `bytes` and reads until the server closes.
async fn exchange(running: &Running, bytes: &[u8]) -> String {
    let mut stream = connect(running).await;
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    soon("the server closes", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a Content-Length.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    soon("an answer", async {
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
                if body.len() >= length.parse().unwrap() {
                    return text;
                }
            }
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed after {text:?}");
        }
    })
    .await
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

async fn finish(running: Running) {
    running.stop.begin();
    soon("the drain", running.task).await.unwrap();
    assert_eq!(running.stats.open(), 0);
}
