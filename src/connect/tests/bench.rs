//! A desk, and an authorization server whose token endpoint says what a test wants.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde_json::json;
use tempfile::TempDir;

use super::super::*;
use crate::net::{DialPolicy, Fetch, client_config};
use crate::oauth::tests::Site as Server;
use crate::vault::{Account, Ring, Tokens, VaultKey};
use crate::web::Site;

pub(super) struct Bench {
    _dir: TempDir,
    pub(super) server: Server,
    pub(super) desk: Arc<Desk>,
    pub(super) link: Arc<Link>,
    pub(super) clock: Clock,
}

/// An authorization server where `token` answers the token endpoint, and registrations are numbered.
pub(super) async fn bench(token: impl Fn() -> (u16, String) + Send + Sync + 'static) -> Bench {
    crate::identity::install_crypto();
    let made = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |line, own| match line {
        "GET /.well-known/oauth-authorization-server" => {
            let metadata = json!({
                "issuer": own, "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token"),
                "registration_endpoint": format!("{own}/register"), "revocation_endpoint": format!("{own}/revoke"),
                "code_challenge_methods_supported": ["S256"],
            });
            (200, metadata.to_string())
        }
        "POST /register" => {
            let n = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (201, json!({"client_id": format!("registered-{n}"), "client_secret": "s"}).to_string())
        }
        "POST /token" => token(),
        "POST /revoke" => (200, String::new()),
        _ => (404, String::new()),
    })
    .await;
    let dir = TempDir::new().unwrap();
    let clock = Clock::system();
    let store = Store::open(&dir.path().join("state.db"), clock.clone()).unwrap();
    let ring = Ring::new(&Zeroizing::new([7; 32]), &[]).unwrap();
    let desk = Desk::new(DeskParts {
        vault: Vault::new(store.clone(), ring),
        store,
        sealer: Arc::new(Sealer::with_key(&[7; 32]).unwrap()),
        clock: clock.clone(),
        fetch: Fetch::new(client_config(None).unwrap()),
        key: None,
        metrics: Arc::new(Metrics::new()),
    });
    let link = Link {
        upstream: "up".into(),
        url: "https://up.example/mcp".parse().unwrap(),
        by_sign_in: false,
        dial: DialPolicy::default(),
        issuer: Some(server.origin.clone()),
        registered: None,
        scopes: Vec::new(),
        pkce_unannounced: false,
        written: None,
        resource: None,
        consent: server.consent(),
        site: Site::new("https://gw.example"),
        people: "https://idp.example".into(),
    };
    Bench { _dir: dir, server, desk: Arc::new(desk), link: Arc::new(link), clock }
}

/// What a token endpoint answers that gives the token `name`.
pub(super) fn granted(name: &str) -> (u16, String) {
    let tokens =
        json!({"access_token": name, "refresh_token": format!("{name}-refresh"), "token_type": "Bearer", "expires_in": 3_600});
    (200, tokens.to_string())
}

impl Bench {
    /// The same, where the operator registered the gateway.
    pub(super) fn registered(mut self, client_id: &str) -> Self {
        let own = OwnRegistration { client_id: client_id.to_owned(), secret: Some("s".into()) };
        self.link = Arc::new(Link { registered: Some(own), ..Link::clone(&self.link) });
        self
    }

    pub(super) fn key(&self, client_id: &str) -> VaultKey {
        let issuer = self.server.origin.as_str().into();
        VaultKey { principal: super::person("alice"), upstream: "up".into(), issuer, client_id: client_id.into() }
    }

    /// Links an account whose token ends `life_s` from now.
    pub(super) async fn account(&self, client_id: &str, token: &str, life_s: i64) -> VaultKey {
        let key = self.key(client_id);
        let tokens = Tokens {
            access: token.into(),
            refresh: Some(format!("{token}-refresh").into()),
            expires_at_s: Some(self.clock.unix_s().saturating_add_signed(life_s)),
            scopes: Vec::new(),
        };
        let account = Account {
            tokens,
            resource: "https://up.example/mcp".into(),
            serial: u64::from_be_bytes(std::array::from_fn(|at| *token.as_bytes().get(at).unwrap_or(&0))),
            linked_at_s: self.clock.unix_s(),
            asked: Vec::new(),
            wanted: Vec::new(),
        };
        self.desk.vault.link(&key, &account).await.unwrap();
        self.desk.unlearn(&key.principal, &key.upstream);
        key
    }

    /// The token that is shown now.
    pub(super) async fn token(&self) -> Result<String, FaultKind> {
        self.token_of(&self.link).await
    }

    pub(super) async fn token_of(&self, link: &Arc<Link>) -> Result<String, FaultKind> {
        let deadline = Deadline::after(Duration::from_secs(10));
        let got = self.desk.token(link, &super::person("alice"), deadline).await;
        got.map(|usable| usable.secret.expose_secret().to_owned()).map_err(|fault| fault.kind)
    }

    /// The account that is kept.
    pub(super) async fn kept(&self) -> Option<Account> {
        self.desk.vault.tokens(&super::person("alice"), "up").await.unwrap().map(|held| held.account)
    }

    /// How often `line` was asked for.
    pub(super) fn asked(&self, line: &str) -> usize {
        self.server.lines().iter().filter(|seen| *seen == line).count()
    }

    /// Waits until the server has been asked for `line`.
    pub(super) async fn until(&self, line: &str) {
        while self.asked(line) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
