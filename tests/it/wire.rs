//! Clients that send exactly the bytes they are told to, over TLS, in HTTP/1.1 and HTTP/2.

mod coming;
mod message;

pub(crate) use self::message::{Req, Resp};

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait for anything that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// How to reach a listener.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) addr: SocketAddr,
    roots: Option<Arc<RootCertStore>>,
    /// PEM of a certificate and its key to show.
    shows: Option<(String, String)>,
}

impl Reach {
    /// Plain TCP.
    pub(crate) fn plain(addr: SocketAddr) -> Self {
        Self { addr, roots: None, shows: None }
    }

    /// TLS with a certificate of the CA in `ca`.
    pub(crate) fn tls(addr: SocketAddr, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        Self { addr, roots: Some(Arc::new(roots)), shows: None }
    }

    /// The same, showing the certificate `cert` with `key`, both PEM.
    pub(crate) fn showing(&self, cert: &str, key: &str) -> Self {
        Self { shows: Some((cert.into(), key.into())), ..self.clone() }
    }

    /// A connection that speaks `alpn`.
    async fn connect(&self, alpn: &[u8]) -> Stream {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let Some(roots) = &self.roots else { return Stream::Plain(stream) };
        let provider = rustls::crypto::aws_lc_rs::default_provider().into();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone());
        let mut config = match &self.shows {
            None => config.with_no_client_auth(),
            Some((cert, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()], key).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::from(self.addr.ip());
        Stream::Tls(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()))
    }

    /// A connection for HTTP/1.1.
    pub(crate) async fn open(&self) -> Conn {
        Conn { stream: self.connect(b"http/1.1").await, buffer: Vec::new(), events: String::new() }
    }

    /// Sends one request over HTTP/1.1 and reads the answer; where that says `close`, also the end of the connection.
    pub(crate) async fn send(&self, request: &Req) -> Resp {
        self.raw(&request.bytes()).await
    }

    /// As [`Self::send`], of any bytes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Resp {
        let mut conn = self.open().await;
        conn.write(bytes).await;
        conn.response().await
    }

    /// Sends one request over HTTP/2; `authority` stands for the Host header.
    pub(crate) async fn send_h2(&self, request: &Req, authority: &str) -> Resp {
        let stream = TokioIo::new(self.connect(b"h2").await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let body = Full::new(Bytes::from(request.body.clone()));
        let request = self.head_h2(request, authority).body(body).unwrap();
        let answer = tokio::time::timeout(SOON, sender.send_request(request)).await.unwrap();
        let answer = answer.map(hyper::Response::into_parts);
        let Ok((head, body)) = answer else { return Resp { ended: true, ..Resp::default() } };
        let headers =
            head.headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
        let body = body.collect().await.map(|b| b.to_bytes().to_vec()).unwrap_or_default();
        connection.abort();
        Resp { status: head.status.as_u16(), headers, body, ended: false }
    }

    /// Sends the head of `request` that often over one HTTP/2 connection, and nothing of any body. Their statuses, as they are answered.
    pub(crate) async fn heads_h2(&self, request: &Req, authority: &str, count: usize) -> JoinSet<u16> {
        let stream = TokioIo::new(self.connect(b"h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut heads = JoinSet::new();
        for _ in 0..count {
            let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
            let (mut sender, request) = (sender.clone(), self.head_h2(request, authority).body(never).unwrap());
            heads.spawn(async move { sender.send_request(request).await.unwrap().status().as_u16() });
        }
        heads
    }

    fn head_h2(&self, request: &Req, authority: &str) -> http::request::Builder {
        let scheme = if self.roots.is_some() { "https" } else { "http" };
        let mut builder = http::Request::builder()
            .method(request.verb.as_str())
            .uri(format!("{scheme}://{authority}{}", request.target))
            .version(http::Version::HTTP_2);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        builder
    }
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One HTTP/1.1 connection.
pub(crate) struct Conn {
    stream: Stream,
    buffer: Vec<u8>,
    /// What came of an event stream and is not a whole event yet.
    events: String,
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or(Value::Null)
    }
}

impl Conn {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // A refusal may come, and the connection end, before all is written.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// False at the end.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(SOON, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("the gateway answers or closes"), Ok(n) if n > 0)
    }

    /// Status 0 where the connection ended without an answer.
    pub(crate) async fn response(&mut self) -> Resp {
        let mut answer = loop {
            let Some(answer) = self.one().await else { return Resp { ended: true, ..Resp::default() } };
            if answer.status >= 200 {
                break answer;
            }
        };
        if answer.closes() {
            let nothing = self.buffer.is_empty();
            answer.ended = nothing && !self.more().await;
        }
        answer
    }

    /// The head of an answer that comes in pieces.
    pub(crate) async fn head(&mut self) -> Resp {
        self.just_head().await.unwrap_or_default()
    }

    /// The next event of such an answer; comments are passed over. `None` at its end.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.events.split_once("\n\n").map(|(e, r)| (e.to_owned(), r.to_owned())) {
                self.events = rest;
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
                if let Some(data) = field("data:") {
                    return Some(Event { id: field("id:"), data });
                }
            }
            let piece = self.chunk().await.filter(|piece| !piece.is_empty())?;
            self.events.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    async fn just_head(&mut self) -> Option<Resp> {
        let end = self.until(b"\r\n\r\n").await?;
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> =
            lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
        Some(Resp { status, headers, ..Resp::default() })
    }

    async fn one(&mut self) -> Option<Resp> {
        let mut answer = self.just_head().await?;
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks().await;
        } else {
            let length = answer.header("content-length").map_or(0, |v| v.parse().unwrap());
            while self.buffer.len() < length && self.more().await {}
            answer.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        }
        Some(answer)
    }

    /// Sends a request that is answered by an event stream, and reads the head of that.
    pub(crate) async fn stream(&mut self, request: &Req) {
        self.write(&request.bytes()).await;
        let end = self.until(b"\r\n\r\n").await.unwrap();
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ") && head.contains("text/event-stream"), "{head}");
    }

    /// The next message of an event stream; events without one are passed over. `None` at its end.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            let event = self.event().await?;
            if let Ok(message) = serde_json::from_str(&event.data) {
                return Some(message);
            }
        }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await.filter(|chunk| !chunk.is_empty()) {
            body.extend(chunk);
        }
        body
    }

    /// The next chunk; the last is empty.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = self.until(b"\r\n").await?;
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap();
        while self.buffer.len() < size + 2 && self.more().await {}
        let mut chunk: Vec<u8> = self.buffer.drain(..(size + 2).min(self.buffer.len())).collect();
        chunk.truncate(size);
        Some(chunk)
    }

    async fn until(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, mark) {
                return Some(at);
            }
            if !self.more().await {
                return None;
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_shutdown(cx),
        }
    }
}
