//! A connection to an origin, plain or TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::dial::{DialError, DialPolicy, dial, unbracketed};
use crate::vocab::Deadline;
use crate::vocab::limits::TLS_HANDSHAKE_MS_MAX;

/// Scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// True for https.
    pub https: bool,
    /// A name, or an IP literal without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// The origin of an http or https URL; `None` for any other scheme, or without a host.
    pub fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Some(Self { https, host, port: url.port_or_known_default()? })
    }

    /// The value of the `Host` header: brackets around an IPv6 literal, no default port.
    pub fn authority(&self) -> String {
        let host = unbracketed(&self.host);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == if self.https { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// What may be dialled for an origin that is written in the config: a loopback address there is its own consent.
    pub fn policy(&self, allow_private: bool) -> DialPolicy {
        DialPolicy { allow_private, allow_loopback: self.names_loopback() }
    }

    /// True if the host is written as a loopback address or as `localhost`: its own consent to be dialled.
    pub fn names_loopback(&self) -> bool {
        let host = unbracketed(&self.host);
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl DialPolicy {
    /// For a URL that is written in the config: a loopback address there is its own consent.
    pub fn written(url: &Url, allow_private: bool) -> Self {
        Origin::of(url).map_or(Self { allow_private, allow_loopback: false }, |origin| origin.policy(allow_private))
    }
}

/// A connected byte stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP only.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to `origin` through the guarded dial and, for https, completes the handshake for its host name or IP literal.
///
/// # Errors
/// [`DialError`].
pub async fn connect(
    origin: &Origin,
    policy: DialPolicy,
    tls: &Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<Stream, DialError> {
    let tcp = dial(&origin.host, origin.port, policy, deadline).await?;
    if !origin.https {
        return Ok(Stream::Plain(tcp));
    }
    secure(tcp, origin, tls, deadline).await
}

/// Completes the TLS handshake over `tcp`, for the host name or IP literal of `origin`.
///
/// # Errors
/// [`DialError::Timeout`], [`DialError::Tls`].
pub async fn secure(tcp: TcpStream, origin: &Origin, tls: &Arc<ClientConfig>, deadline: Deadline) -> Result<Stream, DialError> {
    let name = ServerName::try_from(unbracketed(&origin.host).to_owned()).map_err(|e| DialError::Tls(e.to_string()))?;
    let deadline = deadline.capped(Duration::from_millis(TLS_HANDSHAKE_MS_MAX));
    let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
    let stream = timeout_at(deadline.instant().into(), handshake)
        .await
        .map_err(|_| DialError::Timeout)?
        .map_err(|e| DialError::Tls(e.to_string()))?;
    Ok(Stream::Tls(Box::new(stream)))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
