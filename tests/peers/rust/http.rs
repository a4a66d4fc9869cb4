//! HTTP/1.1 for the SDK's client: a connection for each request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sse_stream::{Error as SseError, Sse, SseStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Failure = StreamableHttpError<io::Error>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// See the module. Notes every request, as `countingFetch` of the drivers does.
#[derive(Clone, Default)]
pub(crate) struct Carrier {
    pub(crate) requests: Arc<Mutex<Vec<Value>>>,
}

/// What a request carries beside its body.
struct Head {
    method: Method,
    uri: Arc<str>,
    session: Option<Arc<str>>,
    token: Option<String>,
    headers: HashMap<HeaderName, HeaderValue>,
}

async fn sender(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// TLS with certificates of the CA in the file NODE_EXTRA_CA_CERTS.
fn trusting() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let file = std::env::var("NODE_EXTRA_CA_CERTS").expect("a CA");
    for certificate in CertificateDer::pem_file_iter(file).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Carrier {
    async fn send(&self, head: Head, body: Vec<u8>) -> io::Result<Response<Incoming>> {
        let uri: http::Uri = head.uri.parse().map_err(io::Error::other)?;
        let authority = uri.authority().expect("an absolute URI").as_str().to_owned();
        let stream = TcpStream::connect(&authority).await?;
        let mut sender = match uri.scheme_str() {
            Some("https") => {
                let name = ServerName::try_from(uri.host().expect("an absolute URI").to_owned()).map_err(io::Error::other)?;
                sender(trusting().connect(name, stream).await?).await?
            }
            _ => sender(stream).await?,
        };
        let mut request = Request::builder()
            .method(head.method.clone())
            .uri(uri.path())
            .header("host", authority)
            .header("accept", "text/event-stream, application/json")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", head.token.unwrap_or_default()));
        if let Some(session) = head.session {
            request = request.header("mcp-session-id", &*session);
        }
        for (name, value) in head.headers {
            request = request.header(name, value);
        }
        let read: Value = serde_json::from_slice(&body).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other);
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        self.requests.lock().unwrap().push(
            json!({"method": head.method.as_str(), "path": uri.path(), "rpc": read["method"], "id": read["id"], "status": status}),
        );
        answer
    }
}

fn events(answer: Response<Incoming>) -> Events {
    SseStream::new(answer.into_body()).boxed()
}

fn told(answer: &Response<Incoming>, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

impl StreamableHttpClient for Carrier {
    type Error = io::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let in_session = session.is_some();
        let head = Head { method: Method::POST, uri, session, token, headers };
        let answer = self.send(head, serde_json::to_vec(&message)?).await?;
        let status = answer.status();
        if status == StatusCode::ACCEPTED {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && in_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = told(&answer, "mcp-session-id");
        if told(&answer, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Ok(StreamableHttpPostResponse::Sse(events(answer), session));
        }
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let Ok(message) = serde_json::from_slice::<ServerJsonRpcMessage>(&body) else {
            let text = format!("{status}: {}", String::from_utf8_lossy(&body));
            return Err(StreamableHttpError::UnexpectedServerResponse(Cow::Owned(text)));
        };
        Ok(StreamableHttpPostResponse::Json(message, session))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let head = Head { method: Method::DELETE, uri, session: Some(session), token, headers };
        self.send(head, Vec::new()).await?;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        token: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Failure> {
        if let Some(id) = last_event_id {
            headers.insert(HeaderName::from_static("last-event-id"), HeaderValue::from_str(&id).map_err(io::Error::other)?);
        }
        let answer = self.send(Head { method: Method::GET, uri, session, token, headers }, Vec::new()).await?;
        match answer.status() {
            StatusCode::OK => Ok(events(answer)),
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            StatusCode::NOT_FOUND => Err(StreamableHttpError::SessionExpired),
            status => Err(StreamableHttpError::UnexpectedServerResponse(Cow::Owned(status.to_string()))),
        }
    }
}
