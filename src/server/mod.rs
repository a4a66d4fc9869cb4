//! The door: TCP, TLS, HTTP/1.1 and HTTP/2 connections with a deadline for every wait and a cap for every count.
//!
//! What a request means is not known here. Both listeners of the gateway are this one loop with another service behind it.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::net::drain::{Drain, Signal};

mod caps;
mod conn;
mod counted;
mod meter;
mod settings;
pub mod tls;
mod wire;

pub use conn::{Peer, TlsPeer};
pub use settings::{DoorSettings, DoorStats};
pub use tls::TlsHandle;

use caps::Caps;

/// Binds `addr` for [`serve`]: reusable at once after a restart, with a backlog that survives a burst.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG_MAX)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until `stop` begins, then finishes what was begun, at most for the drain's grace.
///
/// `make` gives the service of one connection. With `tls`, every connection shakes hands with the configuration that is
/// current when it is accepted, and ALPN picks the version; without, a connection that opens with the HTTP/2 preface is
/// HTTP/2, any other HTTP/1.1. Returns when every connection has ended.
pub async fn serve<M, S, B>(listener: TcpListener, tls: Option<TlsHandle>, settings: DoorSettings, make: M, stop: Drain)
where
    M: Fn(Peer) -> S + Clone + Send + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let door = Arc::new(Door {
        caps: Caps::new(settings.connections, settings.per_ip),
        tls,
        settings,
        stop: stop.clone(),
        cut: Signal::new(),
        tasks: TaskTracker::new(),
    });
    let mut stopping = std::pin::pin!(stop.wait());
    loop {
        tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => admit(&door, stream, from, &make),
                Err(error) => recover(&error).await,
            },
        }
    }
    // Who is already in the backlog was told that we accept; closing the listener would reset them.
    while let Some(Ok((stream, from))) = listener.accept().now_or_never() {
        admit(&door, stream, from, &make);
    }
    drop(listener);
    door.tasks.close();
    if tokio::time::timeout(stop.grace(), door.tasks.wait()).await.is_err() {
        tracing::warn!(connections = door.settings.stats.open(), "the drain's grace is over; connections are cut");
        door.cut.raise();
        door.tasks.wait().await;
    }
}

/// What every connection of one listener shares.
struct Door {
    caps: Arc<Caps>,
    tls: Option<TlsHandle>,
    settings: DoorSettings,
    stop: Drain,
    cut: Signal,
    tasks: TaskTracker,
}

fn admit<M, S, B>(door: &Arc<Door>, stream: TcpStream, from: SocketAddr, make: &M)
where
    M: Fn(Peer) -> S + Clone + Send + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Some(lease) = Caps::take(&door.caps, from.ip()) else {
        door.settings.stats.refuse();
        return;
    };
    let opened = door.settings.stats.opened();
    let (tracked, door, make) = (door.clone(), door.clone(), make.clone());
    let Some(place) = door.settings.workers.as_ref().and_then(|workers| workers.quietest()) else {
        drop(tracked.tasks.spawn(async move {
            conn::run(&door, stream, from, make).await;
            drop((lease, opened));
        }));
        return;
    };
    // The socket moves from the listener's reactor to the one of its new home.
    let Ok(stream) = stream.into_std() else { return };
    let home = place.handle().clone();
    let connection = async move {
        if let Ok(stream) = TcpStream::from_std(stream) {
            conn::run(&door, stream, from, make).await;
        }
        drop((lease, opened, place));
    };
    drop(tracked.tasks.spawn_on(connection, &home));
}

/// Waits where waiting helps: out of descriptors or memory. A connection that died in the backlog is no reason to wait.
fn recover(error: &io::Error) -> impl Future<Output = ()> + use<> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let harmless = matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted);
    if !harmless {
        tracing::error!(%error, "cannot accept connections; retrying");
    }
    let pause = if harmless { Duration::ZERO } else { Duration::from_millis(ACCEPT_PAUSE_MS) };
    tokio::time::sleep(pause)
}

/// Connections that the kernel holds while the loop is busy.
const LISTEN_BACKLOG_MAX: i32 = 4_096;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE_MS: u64 = 200;

#[cfg(test)]
mod tests;
