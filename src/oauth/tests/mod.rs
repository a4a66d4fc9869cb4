//! Against authorization servers on loopback, written here.
#![expect(clippy::disallowed_methods, reason = "tests")]

mod challenge;
mod discovery;
mod flow;
mod refused;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::net::{DialPolicy, client_config};

const LOOPBACK: DialPolicy = DialPolicy { allow_private: false, allow_loopback: true };

/// A server that answers `method path` with a status and a JSON text.
pub(crate) struct Site {
    pub(crate) origin: String,
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(crate) async fn start(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let site = Self { origin: origin.clone(), seen: Arc::default() };
        let seen = Arc::clone(&site.seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                let whole = loop {
                    let n = stream.read(&mut piece).await.unwrap_or(0);
                    request.extend_from_slice(&piece[..n]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let length =
                        text.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
                    if n == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
                        break text;
                    }
                };
                let line = whole.split(" HTTP/1.1").next().unwrap_or_default().to_owned();
                let (status, body) = answer(&line, &origin);
                seen.lock().push(whole);
                let more = if status == 307 { format!("location: {body}\r\n") } else { String::new() };
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        site
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.origin)).unwrap()
    }

    pub(crate) fn consent(&self) -> Consent {
        Consent::none().and_written(&self.url("/"), false)
    }

    /// Request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.split(" HTTP/1.1").next().unwrap().to_owned()).collect()
    }
}

fn client() -> Client {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let fetch = Fetch::new(client_config(None).unwrap()).with_time_max(Duration::from_secs(5));
    Client::new(fetch, Clock::system())
}

fn metadata(issuer: &str) -> ServerMetadata {
    let mut server = ServerMetadata::written(Url::parse(&format!("{issuer}/token")).unwrap(), Some(issuer));
    server.authorization_endpoint = Some(Url::parse(&format!("{issuer}/authorize?tenant=1")).unwrap());
    server.code_challenge_methods_supported = vec!["plain".to_owned(), "S256".to_owned()];
    server
}

fn registration(issuer: &str, auth: ClientAuth) -> Registration {
    Registration { issuer: issuer.to_owned(), client_id: "gateway".to_owned(), auth, secret_ends_s: None }
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}
