//! A person signs in with a browser (OAuth 2.1 for native apps, RFC 8252): the answer comes to a port on loopback.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

use super::Settings;
use crate::net::{DialPolicy, Fetch, Origin};
use crate::oauth::{
    At, Challenge, Client, ClientAuth, Code, Consent, Flow, OAuthError, OAuthErrorKind, OwnClient, PendingFlow, Registration,
    ServerMetadata, Tokens,
};
use crate::vocab::Clock;

/// Signs in at the authorization server that the gateway names, and renews what came of it.
pub(super) struct SignIn {
    gateway: Url,
    client: Client,
    consent: Consent,
    client_id: Option<String>,
    state_file: Option<PathBuf>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
    /// What is kept between runs.
    kept: Option<Kept>,
}

/// What renews a token without the person.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    resource: String,
    scopes: Vec<String>,
    refresh_token: String,
}

impl SignIn {
    pub(super) fn new(settings: &Settings) -> Self {
        let here = Origin::of(&settings.url).is_some_and(|origin| origin.names_loopback());
        Self {
            gateway: settings.url.clone(),
            client: Client::new(Fetch::new(settings.tls.clone()), Clock::system()),
            consent: Consent::none()
                .and_written(&settings.url, settings.allow_private_addresses)
                .and_learnt(DialPolicy { allow_private: settings.allow_private_addresses, allow_loopback: here }),
            client_id: settings.client_id.clone(),
            state_file: settings.state_file.clone(),
            tell: settings.tell.clone(),
            kept: None,
        }
    }

    /// A token for the gateway: renewed where that is possible, else by way of a browser.
    ///
    /// # Errors
    /// What to tell the client.
    pub(super) async fn token(&mut self, challenge: Option<&Challenge>) -> Result<SecretString, String> {
        // What was granted before is not enough where the gateway asks for more.
        if !challenge.is_some_and(Challenge::wants_scope) {
            // Refresh tokens rotate, and one that is shown twice ends the sign-in: bridges for one gateway renew one by one.
            let _alone = timeout(ALONE_MS_MAX, self.alone()).await.map_err(|_| "another bridge is renewing the sign-in")?;
            if let Some(kept) = self.state_file.as_deref().and_then(read_state) {
                self.kept = Some(kept);
            }
            match self.renewed().await {
                Ok(Some(token)) => return Ok(token),
                Ok(None) => {}
                Err(error) if matches!(error.kind, OAuthErrorKind::InvalidGrant | OAuthErrorKind::InvalidClient) => {
                    self.kept = None
                }
                Err(error) => return Err(format!("the sign-in could not be renewed: {error}")),
            }
        }
        self.by_browser(challenge).await
    }

    /// Nobody else renews the sign-in for this gateway until it is dropped; `None` where none is kept.
    async fn alone(&self) -> Option<fs::File> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.state_file.as_ref()?.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(path.parent()?).ok()?;
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).ok()?;
            file.lock().ok()?;
            Some(file)
        });
        locked.await.ok()?
    }

    async fn renewed(&mut self) -> Result<Option<SecretString>, OAuthError> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let server = self.client.discover_server(&kept.issuer, &self.consent).await?;
        let auth = kept.client_secret.clone().map_or(ClientAuth::None, |secret| ClientAuth::Secret(secret.into()));
        let registration =
            Registration { issuer: kept.issuer.clone(), client_id: kept.client_id.clone(), auth, secret_ends_s: None };
        let at = At { server: &server, registration: &registration, consent: &self.consent };
        let refresh = SecretString::from(kept.refresh_token.clone());
        let mut tokens = self.client.refresh(at, &refresh, &kept.scopes, &kept.resource).await?;
        // A server that does not rotate sends none.
        tokens.refresh.get_or_insert(refresh);
        let (resource, scopes) = (kept.resource.clone(), kept.scopes.clone());
        Ok(Some(self.keep(tokens, &registration, resource, scopes)))
    }

    async fn by_browser(&mut self, challenge: Option<&Challenge>) -> Result<SecretString, String> {
        let failed = |error: OAuthError| format!("signing in failed: {error}");
        let resource = self.client.discover_protected(&self.gateway, challenge, &self.consent).await.map_err(failed)?;
        let issuer = resource.authorization_servers.first().ok_or("the gateway names no authorization server")?;
        let server = self.client.discover_server(issuer, &self.consent).await.map_err(failed)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("signing in failed: {error}"))?;
        let port = listener.local_addr().map_err(|error| format!("signing in failed: {error}"))?.port();
        let own = OwnClient { public_url: format!("http://127.0.0.1:{port}"), key: None };
        let known = self.client_id.clone().map(|client_id| Registration {
            issuer: server.issuer.clone(),
            client_id,
            auth: ClientAuth::None,
            secret_ends_s: None,
        });
        let registered = self.client.registration(&server, known.as_ref(), &own, &self.consent).await;
        let registration = registered.map_err(|error| format!("{}; or name a client with --client-id", failed(error)))?;
        let scopes = scopes(challenge, &resource.scopes_supported, &server);
        let started = Flow::start(&server, &registration, &self.consent, &own.redirect_uri(), &scopes, &resource.resource);
        let (page, pending) = started.map_err(failed)?;
        (self.tell)(&format!("Sign in to the gateway: {page}"));
        show(&page);
        let code = timeout(SIGN_IN_MS_MAX, answered(&listener, &pending)).await;
        let code = code.map_err(|_| "nobody signed in within five minutes: try again")??;
        let at = At { server: &server, registration: &registration, consent: &self.consent };
        let tokens = self.client.exchange_code(at, &code).await.map_err(failed)?;
        (self.tell)("Signed in.");
        Ok(self.keep(tokens, &registration, resource.resource, scopes))
    }

    /// Remembers how to renew, and gives the token.
    fn keep(&mut self, tokens: Tokens, registration: &Registration, resource: String, scopes: Vec<String>) -> SecretString {
        self.kept = tokens.refresh.map(|refresh| Kept {
            issuer: registration.issuer.clone(),
            client_id: registration.client_id.clone(),
            client_secret: match &registration.auth {
                ClientAuth::Secret(secret) => Some(secret.expose_secret().to_owned()),
                _ => None,
            },
            resource,
            scopes,
            refresh_token: refresh.expose_secret().to_owned(),
        });
        if let (Some(file), Some(kept)) = (&self.state_file, &self.kept)
            && let Err(error) = write_state(file, kept)
        {
            (self.tell)(&format!("{}: the sign-in is not kept: {error}", file.display()));
        }
        tokens.access
    }
}

/// What to ask for: what the gateway says it needs, and to be let stay where that is offered.
fn scopes(challenge: Option<&Challenge>, supported: &[String], server: &ServerMetadata) -> Vec<String> {
    let mut scopes = challenge.map(Challenge::scopes).filter(|scopes| !scopes.is_empty()).unwrap_or_else(|| supported.to_vec());
    if server.scopes_supported.iter().any(|scope| scope == OFFLINE) && !scopes.iter().any(|scope| scope == OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    scopes
}

/// Waits for the browser to come back with the answer to `pending`. Whoever else knocks holds nobody up.
async fn answered(listener: &TcpListener, pending: &PendingFlow) -> Result<Code, String> {
    let mut knocks = FuturesUnordered::new();
    loop {
        let (mut stream, query) = tokio::select! {
            knock = listener.accept(), if knocks.len() < KNOCKS_MAX => {
                let (mut stream, _) = knock.map_err(|error| format!("signing in failed: {error}"))?;
                knocks.push(async move {
                    let query = timeout(REQUEST_MS_MAX, query(&mut stream)).await.ok().flatten();
                    (stream, query)
                });
                continue;
            }
            Some((stream, Some(query))) = knocks.next() => (stream, query),
            else => continue,
        };
        let params: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match pending.clone().accept(&params) {
            Ok(code) => {
                say(&mut stream, "200 OK", "You are signed in. You can close this page.").await;
                return Ok(code);
            }
            // Not the answer to this: anybody on this machine can knock here.
            Err(error) if error.kind == OAuthErrorKind::Mismatch => {
                say(&mut stream, "400 Bad Request", "This is not the answer that is waited for.").await;
            }
            Err(error) => {
                say(&mut stream, "200 OK", "You are not signed in. You can close this page.").await;
                return Err(format!("signing in failed: {error}"));
            }
        }
    }
}

/// The query of a GET to the callback; `None` for anything else.
async fn query(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let line = std::str::from_utf8(&head).ok()?.lines().next()?;
    let target = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    match target.split_once('?') {
        Some((CALLBACK, query)) => Some(query.to_owned()),
        _ => {
            say(stream, "404 Not Found", "There is nothing here.").await;
            None
        }
    }
}

async fn say(stream: &mut TcpStream, status: &str, words: &'static str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>Portcullis</title><p>{words}</p>");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    let _ = timeout(REQUEST_MS_MAX, stream.write_all(answer.as_bytes())).await;
    let _ = stream.shutdown().await;
}

/// Opens the page in the person's browser, if there is one; its address was told anyway. No shell sees it.
fn show(page: &Url) {
    let browser = std::env::var_os("BROWSER").filter(|browser| !browser.is_empty());
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = browser.unwrap_or_else(|| opener.into());
    let started = std::process::Command::new(program)
        .arg(page.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(started);
}

fn read_state(file: &Path) -> Option<Kept> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Written beside and moved into place, so that another bridge reads the old or the new.
fn write_state(file: &Path, kept: &Kept) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let draft = file.with_extension(format!("{}.new", uuid::Uuid::now_v7().simple()));
    let written = (|| {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        out.write_all(&serde_json::to_vec(kept)?)?;
        fs::rename(&draft, file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

const OFFLINE: &str = "offline_access";
const CALLBACK: &str = "/connect/callback";
/// Time for a person to sign in.
const SIGN_IN_MS_MAX: Duration = Duration::from_millis(300_000);
/// Time for other bridges to renew the same sign-in.
const ALONE_MS_MAX: Duration = Duration::from_millis(30_000);
/// Browsers, and whoever else knocks, that are listened to at once.
const KNOCKS_MAX: usize = 16;
/// Time for the browser's request.
const REQUEST_MS_MAX: Duration = Duration::from_millis(5_000);
/// Head of the browser's request.
const HEAD_BYTES_MAX: usize = 32 * 1024;
