//! The byte stream below HTTP, plain or TLS, that notes reads and blocked writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::meter::Meter;

/// The socket with its notes. Bytes that were read to tell the protocol come first.
pub(super) struct Gauge {
    socket: TcpStream,
    meter: Arc<Meter>,
    sniffed: Sniffed,
    lingered: Option<usize>,
}

/// The first bytes of a cleartext connection, as far as they were read.
#[derive(Default)]
pub(super) struct Sniffed {
    bytes: [u8; PREFACE.len()],
    taken: usize,
    filled: usize,
}

/// A connection's bytes, whatever carries them. One type, so that HTTP is compiled once.
#[expect(clippy::large_enum_variant, reason = "nearly every connection is the large variant")]
pub(super) enum Wire {
    Plain(Gauge),
    Tls(TlsStream<Gauge>),
}

impl Gauge {
    pub(super) fn new(socket: TcpStream, meter: Arc<Meter>) -> Self {
        Self { socket, meter, sniffed: Sniffed::default(), lingered: None }
    }

    /// Reads until it is certain whether the peer opens with the HTTP/2 preface (RFC 9113 section 3.4). The caller sets the deadline.
    pub(super) async fn opens_with_preface(&mut self) -> io::Result<bool> {
        loop {
            let seen = self.sniffed.bytes.get(..self.sniffed.filled).unwrap_or_default();
            if !PREFACE.starts_with(seen) {
                return Ok(false);
            }
            if seen.len() == PREFACE.len() {
                return Ok(true);
            }
            self.socket.readable().await?;
            let room = self.sniffed.bytes.get_mut(self.sniffed.filled..).unwrap_or_default();
            match self.socket.try_read(room) {
                Ok(0) => return Ok(false),
                Ok(n) => self.sniffed.filled = self.sniffed.filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads on, discarding, until the peer closes: closing with unread bytes would reset the connection and take our last answer
    /// from the peer. Bounded here in bytes, by the meter in time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [std::mem::MaybeUninit::uninit(); LINGER_READ_BYTES];
        loop {
            let mut buf = ReadBuf::uninit(&mut waste);
            let Ok(()) = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf)) else { return Poll::Ready(()) };
            let seen = self.lingered.unwrap_or(0).saturating_add(buf.filled().len());
            self.lingered = Some(seen);
            if buf.filled().is_empty() || seen > LINGER_BYTES_MAX {
                return Poll::Ready(());
            }
        }
    }

    fn noted(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => self.meter.write_blocked(),
            Poll::Ready(Ok(_)) => self.meter.written(),
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl AsyncRead for Gauge {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.sniffed.taken < this.sniffed.filled {
            let end = this.sniffed.filled.min(this.sniffed.taken.saturating_add(buf.remaining()));
            if let Some(first) = this.sniffed.bytes.get(this.sniffed.taken..end) {
                buf.put_slice(first);
            }
            this.sniffed.taken = end;
            this.meter.received();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.meter.received();
        }
        result
    }
}

impl AsyncWrite for Gauge {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.noted(result)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.noted(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.lingered = Some(0);
            this.meter.lingering();
        }
        this.poll_linger(cx).map(Ok)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// How every HTTP/2 connection opens.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a closing peer that are read away.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read away at once.
const LINGER_READ_BYTES: usize = 4 * 1024;
