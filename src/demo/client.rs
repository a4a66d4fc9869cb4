//! A small MCP client for revision 2026-07-28: one connection per request, TLS with the demo's own CA, everything bounded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::DemoError;

/// The revision spoken.
const REVISION: &str = "2026-07-28";
/// Time for a whole exchange; the first one waits for the sample server to start.
pub(super) const EXCHANGE_S_MAX: u64 = 30;
/// Size of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client of one gateway.
pub(super) struct Client {
    url: Url,
    tls: TlsConnector,
}

/// A JSON-RPC answer (`result` or `error` is there).
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Client {
    /// A client of the endpoint `url` that trusts the CA in the PEM file `ca`, and nobody else.
    pub(super) fn new(url: &str, ca: &Path) -> Result<Self, DemoError> {
        let url = Url::parse(url).map_err(|error| DemoError::fault(url, error))?;
        let failed = |error: &dyn std::fmt::Display| DemoError::fault(ca.display(), error);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| failed(&error))? {
            roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        }
        let config = ClientConfig::builder_with_provider(crate::net::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { url, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a request and waits for its answer. `name` is what the request is about, if anything.
    pub(super) async fn request(
        &self,
        token: &SecretString,
        id: &str,
        method: &str,
        name: Option<&str>,
        params: Value,
    ) -> Result<Answer, DemoError> {
        let request = self.build(token, id, method, name, params).map_err(|why| DemoError::fault(method, why))?;
        let exchange = Box::pin(self.exchange(request, id));
        let answer = tokio::time::timeout(Duration::from_secs(EXCHANGE_S_MAX), exchange).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(DemoError::unexpected(method, "an answer", why)),
            Err(_) => Err(DemoError::unexpected(method, "an answer", format!("none within {EXCHANGE_S_MAX} s"))),
        }
    }

    fn build(
        &self,
        token: &SecretString,
        id: &str,
        method: &str,
        name: Option<&str>,
        mut params: Value,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        if let Some(params) = params.as_object_mut() {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientInfo": { "name": "portcullis-demo", "version": env!("CARGO_PKG_VERSION") },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".to_owned(), meta);
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
        bearer.set_sensitive(true);
        let mut request = Request::post(self.url.path())
            .header(HOST, authority(&self.url))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(AUTHORIZATION, bearer)
            .header("MCP-Protocol-Version", REVISION)
            .header("Mcp-Method", method);
        if let Some(name) = name {
            request = request.header("Mcp-Name", name);
        }
        request.body(Full::new(Bytes::from(body.to_string())))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, id: &str) -> Result<Answer, String> {
        let says = |error: &dyn std::fmt::Display| error.to_string();
        let address = self.url.socket_addrs(|| None).map_err(|error| says(&error))?;
        let tcp = TcpStream::connect(address.as_slice()).await.map_err(|error| says(&error))?;
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let host = ServerName::try_from(host).map_err(|error| says(&error))?;
        let stream = self.tls.connect(host, tcp).await.map_err(|error| says(&error))?;
        let Whole { status, is_stream, text } = over(stream, request).await?;
        let found = if is_stream { streamed(&text, id) } else { serde_json::from_str(&text).ok() };
        match found {
            Some(body) if body.get("id").and_then(Value::as_str) == Some(id) => Ok(Answer { status, body }),
            _ => Err(format!("{status} without an answer to this request: {}", text.chars().take(200).collect::<String>())),
        }
    }
}

/// An answer, read to its end.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    is_stream: bool,
    pub(super) text: String,
}

/// Sends the only request of a connection, and reads its answer.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Whole, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let work = async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        read(response).await
    };
    tokio::pin!(work);
    // The connection is driven here, beside its only request, so that it ends with it.
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ = connection => {}
    }
    work.await
}

/// Host and port as a browser would send them.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn read(response: Response<Incoming>) -> Result<Whole, String> {
    let status = response.status();
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let mut body = response.into_body();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > ANSWER_BYTES_MAX {
            return Err(format!("more than {ANSWER_BYTES_MAX} bytes"));
        }
        whole.extend_from_slice(&data);
    }
    let text = String::from_utf8(whole.to_vec()).map_err(|error| error.to_string())?;
    Ok(Whole { status, is_stream, text })
}

/// The message of an event stream that answers the request `id`.
fn streamed(text: &str, id: &str) -> Option<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str::<Value>(data.trim_start()).ok())
        .find(|message| message.get("id").and_then(Value::as_str) == Some(id) && message.get("method").is_none())
}

impl Answer {
    /// The text of a tool result, with whether it is an error.
    pub(super) fn tool_text(&self) -> Option<(String, bool)> {
        let result = self.body.get("result")?;
        let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
        let texts = result.get("content")?.as_array()?.iter().filter_map(|block| block.get("text")?.as_str());
        Some((texts.collect::<Vec<_>>().join("\n"), is_error))
    }

    /// A member of the denial that a refused call carries.
    pub(super) fn denial(&self, member: &str) -> Option<&Value> {
        self.body.get("result")?.get("_meta")?.get("dev.portcullis/denial")?.get(member)
    }

    /// Code and message of an error.
    pub(super) fn error(&self) -> Option<(i64, &str)> {
        let error = self.body.get("error")?;
        Some((error.get("code")?.as_i64()?, error.get("message")?.as_str()?))
    }

    /// For the report of something unexpected.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.status, self.body)
    }
}
