//! Tokens made by an authorization server: for the gateway itself, or for a person on whose behalf it calls.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret as _;
use url::Url;

use super::fixed;
use super::person::Refused;
use super::purse::{Held, Purse};
use super::settings::{ClientProof, Issuance, Issue, JagSubject, Subjects, TokenServer};
use crate::oauth::{
    At, Client, ClientAuth, Consent, Exchange, OAuthError, Registration, ServerMetadata, SigningKey, TYPE_ID_JAG, Tokens,
};
use crate::vocab::limits::CREDENTIAL_METADATA_MS_MAX;
use crate::vocab::{Clock, Fault, FaultKind, PrincipalKey};

/// Life of a token whose server does not say how long it lives, in seconds. Another one costs nobody anything.
const UNSAID_LIFE_S: u64 = 300;

/// See the module.
pub(super) struct Issued {
    issuance: Issuance,
    resource: String,
    server: Known,
    idp: Option<Known>,
    client: Client,
    clock: Clock,
    purse: Purse,
}

/// A server, the gateway as its client, and what the server said of itself.
struct Known {
    settings: TokenServer,
    auth: ClientAuth,
    consent: Consent,
    metadata: ArcSwapOption<(u64, ServerMetadata)>,
    /// Held while metadata is read, so that it is read once however many ask.
    reading: tokio::sync::Mutex<()>,
}

impl Issued {
    pub(super) fn new(issuance: &Issuance, resource: &str, client: Client, clock: Clock) -> Result<Self, &'static str> {
        let idp = match &issuance.issue {
            Issue::IdJag { idp, .. } => Some(Known::new(idp)?),
            _ => None,
        };
        Ok(Self {
            issuance: issuance.clone(),
            resource: issuance.resource.clone().unwrap_or_else(|| resource.to_owned()),
            server: Known::new(&issuance.server)?,
            idp,
            client,
            purse: Purse::new(clock.clone()),
            clock,
        })
    }

    pub(super) fn is_personal(&self) -> bool {
        let everybodys =
            matches!(self.issuance.issue, Issue::ClientCredentials | Issue::IdJag { subject: JagSubject::Workload(_), .. });
        !everybodys
    }

    fn whose(&self, who: &PrincipalKey) -> Option<PrincipalKey> {
        self.is_personal().then(|| who.clone())
    }

    /// The token to show on behalf of `who`.
    pub(super) async fn token(&self, who: &PrincipalKey) -> Result<Arc<Held>, Fault> {
        if let Issue::IdJag { subject: JagSubject::Caller(subjects), .. } = &self.issuance.issue {
            subjects.assertions.stands(who).await?;
        }
        let make = async |extra: Vec<String>| {
            let mut scopes = self.issuance.scopes.clone();
            scopes.extend(extra);
            let tokens = Box::pin(self.make(who, &scopes)).await?;
            let value = fixed::value(format!("Bearer {}", tokens.access.expose_secret()));
            let value = value.map_err(|why| Fault::internal(FaultKind::Credential, why))?;
            let now_ms = self.clock.unix_ms();
            let expires_at_s = tokens.expires_at_s.unwrap_or(now_ms / 1_000 + UNSAID_LIFE_S);
            Ok(Held::new(value, expires_at_s, now_ms))
        };
        self.purse.token(&self.whose(who), make).await
    }

    /// Whether another token may do better. A token for the gateway itself is not stepped up: what it may do is the operator's
    /// word, not the upstream's.
    pub(super) fn refused(&self, who: &PrincipalKey, held: &Arc<Held>, refused: &Refused) -> bool {
        let whose = self.whose(who);
        match refused.missing_scopes() {
            Some(scopes) if whose.is_some() => self.purse.step_up(&whose, held, &scopes, &self.issuance.scopes),
            _ if refused.status == http::StatusCode::UNAUTHORIZED => self.purse.forget(&whose, held),
            _ => false,
        }
    }

    async fn make(&self, who: &PrincipalKey, scopes: &[String]) -> Result<Tokens, Fault> {
        let server = self.server.metadata(&self.client, &self.clock).await?;
        let at = self.server.registration(&server.1);
        let at = At { server: &server.1, registration: &at, consent: &self.server.consent };
        match (&self.issuance.issue, &self.idp) {
            (Issue::Exchange { audience, actor, subjects }, _) => {
                let subject = subject(subjects, who, &at).await?;
                let actor =
                    if *actor { Some(subjects.assertions.actor(&at.server.issuer, &at.registration.client_id)?) } else { None };
                let exchange = Exchange {
                    subject_token: &subject.token,
                    subject_token_type: subject.kind,
                    actor_token: actor.as_ref(),
                    audience: audience.as_deref(),
                    requested_token_type: None,
                    scopes,
                    resource: &self.resource,
                };
                self.client.exchange_token(at, &exchange).await.map_err(fault)
            }
            (Issue::IdJag { subject, .. }, Some(idp)) => {
                let grant = self.identity_assertion(idp, subject, who, &at, scopes).await?;
                self.client.jwt_bearer(at, &grant.access, scopes, &self.resource).await.map_err(fault)
            }
            _ => self.client.client_credentials(at, scopes, &self.resource).await.map_err(fault),
        }
    }

    /// An ID-JAG of the identity provider for the upstream's authorization server.
    async fn identity_assertion(
        &self,
        idp: &Known,
        whose: &JagSubject,
        who: &PrincipalKey,
        upstream: &At<'_>,
        scopes: &[String],
    ) -> Result<Tokens, Fault> {
        let server = idp.metadata(&self.client, &self.clock).await?;
        let registration = idp.registration(&server.1);
        let at = At { server: &server.1, registration: &registration, consent: &idp.consent };
        let subject = match whose {
            JagSubject::Caller(subjects) => subject(subjects, who, &at).await?,
            JagSubject::Workload(own) => own.clone(),
        };
        let exchange = Exchange {
            subject_token: &subject.token,
            subject_token_type: subject.kind,
            actor_token: None,
            audience: Some(&upstream.server.issuer),
            requested_token_type: Some(TYPE_ID_JAG),
            scopes,
            resource: &self.resource,
        };
        self.client.exchange_token(at, &exchange).await.map_err(fault)
    }
}

async fn subject(subjects: &Subjects, who: &PrincipalKey, at: &At<'_>) -> Result<super::Subject, Fault> {
    if *who.iss != *subjects.issuer {
        return Err(Fault::internal(FaultKind::Credential, "the caller is no person of the issuer whose people are asserted"));
    }
    subjects.assertions.subject(who, &at.server.issuer, &at.registration.client_id).await
}

impl Known {
    fn new(settings: &TokenServer) -> Result<Self, &'static str> {
        let auth = match &settings.proof {
            ClientProof::Secret(secret) => ClientAuth::Secret(secret.clone()),
            ClientProof::PrivateKey { pem, key_id } => {
                let key = SigningKey::from_pem(pem.expose_secret());
                let key = key.map_err(|_| "the private key is not RSA, EC or Ed25519 in PEM")?;
                ClientAuth::PrivateKey(Arc::new(match key_id {
                    Some(id) => key.called(id.clone()),
                    None => key,
                }))
            }
        };
        let issuer = settings.issuer.as_deref().and_then(|issuer| Url::parse(issuer).ok());
        let written = issuer.iter().chain(&settings.token_url);
        let consent = written.fold(Consent::none(), |consent, url| consent.and_written(url, settings.allow_private));
        Ok(Self {
            settings: settings.clone(),
            auth,
            consent,
            metadata: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    fn registration(&self, server: &ServerMetadata) -> Registration {
        let client_id = self.settings.client_id.clone();
        Registration { issuer: server.issuer.clone(), client_id, auth: self.auth.clone(), secret_ends_s: None }
    }

    /// What is written, or was read not too long ago; else read now. What was read before outlives a failure to read it again.
    async fn metadata(&self, client: &Client, clock: &Clock) -> Result<Arc<(u64, ServerMetadata)>, Fault> {
        let recent = || {
            let known = self.metadata.load_full();
            known.filter(|known| clock.unix_ms().abs_diff(known.0) < CREDENTIAL_METADATA_MS_MAX)
        };
        if let Some(known) = recent() {
            return Ok(known);
        }
        let _one = self.reading.lock().await;
        if let Some(known) = recent() {
            return Ok(known);
        }
        let (issuer, token_url) = (self.settings.issuer.as_deref(), &self.settings.token_url);
        let metadata = match (token_url, issuer) {
            (Some(url), issuer) => ServerMetadata::written(url.clone(), issuer),
            (None, Some(issuer)) => match client.discover_server(issuer, &self.consent).await {
                Ok(metadata) => metadata,
                Err(error) => return self.metadata.load_full().ok_or_else(|| fault(error)),
            },
            (None, None) => return Err(Fault::internal(FaultKind::Internal, "no authorization server is written")),
        };
        let known = Arc::new((clock.unix_ms(), metadata));
        self.metadata.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

/// No token. Its text is for the log, and counts neither for nor against the upstream itself.
fn fault(error: OAuthError) -> Fault {
    Fault::upstream(FaultKind::Credential, format!("no token: {error}"))
}
