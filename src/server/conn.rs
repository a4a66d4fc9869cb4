//! One connection, from the socket to its last byte.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::counted::counted;
use super::meter::{Deadlines, LINGER_MS_MAX, Meter, Verdict};
use super::wire::{Gauge, Wire};
use super::{Door, TlsHandle};
use crate::vocab::PeerCertificate;
use crate::vocab::limits::{H2_HEADER_LIST_BYTES_MAX, H2_STREAMS_MAX, HEADER_BYTES_MAX};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The peer's address.
    pub addr: SocketAddr,
    /// The address the peer connected to.
    pub local: SocketAddr,
    /// What the handshake showed; absent on a cleartext connection.
    pub tls: Option<TlsPeer>,
}

/// What a TLS handshake showed.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    /// The name the client asked for. Not authenticated.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, which the configured client CA vouches for; absent where none is asked for.
    pub client_certificate: Option<PeerCertificate>,
}

/// Runs one connection to its end. Errors are the peer's affair: they end the connection and nothing else.
pub(super) async fn run<M, S, B>(door: &Arc<Door>, stream: TcpStream, addr: SocketAddr, make: M)
where
    M: Fn(Peer) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let meter = Meter::new(door.stop.clone());
    let begun = tokio::select! {
        biased;
        () = door.cut.wait() => return,
        // Boxed: what a handshake takes is given back for as long as the connection lives.
        begun = Box::pin(begin(door, stream, addr, make, meter.clone())) => begun,
    };
    if let Some((conn, multiplexed)) = begun {
        drive(conn, door, &meter, multiplexed).await;
    }
}

/// What comes before the first request; `None` if nothing comes after it. True means HTTP/2.
async fn begin<M, S, B>(door: &Door, stream: TcpStream, addr: SocketAddr, make: M, meter: Arc<Meter>) -> Option<(Conn, bool)>
where
    M: Fn(Peer) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let local = stream.local_addr().ok()?;
    // Answers are written whole, so that waiting for more to send only adds latency.
    drop(stream.set_nodelay(true));
    let (wire, multiplexed, tls) = open(door, Gauge::new(stream, meter.clone())).await?;
    meter.await_first_request();
    let service = counted(make(Peer { addr, local, tls }), meter, multiplexed);
    let wire = TokioIo::new(wire);
    let conn: Conn = match multiplexed {
        true => Box::pin(h2(door).serve_connection(wire, service)),
        false => Box::pin(h1().serve_connection(wire, service)),
    };
    Some((conn, multiplexed))
}

/// The handshake, or the look at the first bytes; `None` if the peer fails either or takes too long. True means HTTP/2.
async fn open(door: &Door, mut gauge: Gauge) -> Option<(Wire, bool, Option<TlsPeer>)> {
    match &door.tls {
        Some(tls) => {
            let handshake = timeout(door.settings.handshake_timeout, TlsHandle::accept(tls, gauge));
            let Ok(done) = handshake.await else {
                door.settings.stats.count_cut();
                return None;
            };
            let (stream, multiplexed, peer) = done.inspect_err(|error| tracing::debug!(%error, "handshake failed")).ok()?;
            Some((Wire::Tls(stream), multiplexed, Some(peer)))
        }
        None => {
            let Ok(sniffed) = timeout(door.settings.header_timeout, gauge.opens_with_preface()).await else {
                door.settings.stats.count_cut();
                return None;
            };
            let multiplexed = sniffed.ok()?;
            Some((Wire::Plain(gauge), multiplexed, None))
        }
    }
}

fn h1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The number of fields has hyper's own bound, which is HEADER_COUNT_MAX: setting it would clear room for as many per head.
    // The head's deadline is the meter's: it tells an idle connection from a slow one, and costs no timer per request.
    builder.header_read_timeout(None).max_header_size(HEADER_BYTES_MAX).max_buf_size(HEADER_BYTES_MAX).half_close(false);
    builder
}

fn h2(door: &Door) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks(door.tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_LOCAL_RESETS_MAX)
        .max_header_list_size(H2_HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(Duration::from_millis(H2_PING_INTERVAL_MS))
        .keep_alive_timeout(Duration::from_millis(H2_PING_MS_MAX));
    builder
}

/// Polls the connection, and ends it when the meter, the drain or the cut says so.
async fn drive(mut conn: Conn, door: &Door, meter: &Meter, multiplexed: bool) {
    let limits = Deadlines::new(&door.settings, multiplexed);
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut stop = pin!(door.stop.wait());
    let mut cut = pin!(door.cut.wait());
    let mut listening = false;
    let (mut closing, mut lingers) = (None::<ClosingSince>, false);
    poll_fn(|cx| {
        // A task keeps its waker, so that being registered once is enough; polling these each time would take locks.
        if !listening {
            listening = true;
            let _registered = (stop.as_mut().poll(cx), cut.as_mut().poll(cx));
        }
        loop {
            if door.cut.raised() || conn.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if closing.is_none() && door.stop.begun() {
                let at_ms = meter.now_ms();
                closing = Some(ClosingSince { at_ms, told: multiplexed });
                timer.as_mut().reset(Instant::now() + Duration::from_millis(DRAIN_IDLE_MS));
                if multiplexed {
                    conn.as_mut().end();
                    continue;
                }
            }
            if !lingers && meter.lingers() {
                lingers = true;
                timer.as_mut().reset(Instant::now() + Duration::from_millis(LINGER_MS_MAX));
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let (verdict, now_ms) = (meter.judge(meter.now_ms(), &limits), meter.now_ms());
            let wait_ms = match (verdict, &mut closing) {
                (Verdict::Cut(why), _) => {
                    door.settings.stats.count_cut();
                    tracing::debug!(why, "connection cut");
                    return Poll::Ready(());
                }
                (Verdict::Over, _) => return Poll::Ready(()),
                (Verdict::Fine(wait_ms), None) => wait_ms,
                (_, Some(since)) => match since.step(now_ms, meter.idle()) {
                    Step::Wait(wait_ms) => wait_ms,
                    Step::Tell => {
                        conn.as_mut().end();
                        CLOSE_MS_MAX
                    }
                    Step::Drop => return Poll::Ready(()),
                },
                (Verdict::End, None) => {
                    closing = Some(ClosingSince { at_ms: now_ms, told: true });
                    conn.as_mut().end();
                    CLOSE_MS_MAX
                }
            };
            timer.as_mut().reset(Instant::now() + Duration::from_millis(wait_ms));
        }
    })
    .await;
}

/// A connection that is on its way out.
struct ClosingSince {
    at_ms: u64,
    /// True once HTTP was told to end. Before that, an HTTP/1.1 peer has a moment to have its next request answered with
    /// `Connection: close`: closing at once could cross a request on its way.
    told: bool,
}

enum Step {
    Wait(u64),
    Tell,
    Drop,
}

impl ClosingSince {
    fn step(&mut self, now_ms: u64, idle: bool) -> Step {
        if !self.told {
            let left = DRAIN_IDLE_MS.saturating_sub(now_ms.saturating_sub(self.at_ms));
            if left > 0 {
                return Step::Wait(left);
            }
            self.told = true;
            self.at_ms = now_ms;
            return Step::Tell;
        }
        if !idle {
            // What is under way may finish; its own deadlines hold.
            self.at_ms = now_ms;
            return Step::Wait(CLOSE_MS_MAX);
        }
        match CLOSE_MS_MAX.saturating_sub(now_ms.saturating_sub(self.at_ms)) {
            0 => Step::Drop,
            left => Step::Wait(left),
        }
    }
}

/// A connection of either HTTP. Boxed, so that one of HTTP/1.1 does not take the room of one of HTTP/2.
type Conn = Pin<Box<dyn Closing + Send>>;

/// A connection that can be asked to end once what is under way is done.
trait Closing: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<S, B> Closing for http1::Connection<TokioIo<Wire>, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Closing for http2::Connection<TokioIo<Wire>, S, Tasks>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs the streams of HTTP/2 connections as tasks that the drain waits for.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// Streams that a peer may open and reset before we have looked at them.
const H2_PENDING_RESETS_MAX: usize = 20;
/// Streams of one connection that we may have to reset for the peer's mistakes.
const H2_LOCAL_RESETS_MAX: usize = 256;
/// Bytes of one request body on their way to us, unread.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes of all request bodies of one connection on their way to us, unread.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one answer handed to HTTP/2 and not taken by the peer.
const H2_SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Time between two looks whether the peer still lives.
const H2_PING_INTERVAL_MS: u64 = 20_000;
/// Time that the peer has to answer such a look.
const H2_PING_MS_MAX: u64 = 10_000;
/// Time that idle HTTP/1.1 connections get to send one more request after the drain began.
const DRAIN_IDLE_MS: u64 = 1_000;
/// Time that a connection with nothing under way gets to close, after it was told to.
const CLOSE_MS_MAX: u64 = 2_000;
