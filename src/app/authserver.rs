//! The authorization server's parts: what lasts from start to stop, and what each configuration makes anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::credentials::Outside;
use super::identity::{algorithm_of, issuer};
use crate::authserver::{
    AuthServer, CimdSettings, ClientSecret, ClientSettings, DcrSettings, EndedTokens, Grants, KeySource, Lasting, Pace,
    ResourceSettings, Settings,
};
use crate::config::{self, AuthClient, Config, Grant, Jwks};
use crate::identity::{IssuerSettings, Revocations};
use crate::net::DialPolicy;
use crate::pipeline::{Route, World};
use crate::signer::{self, Signer, SignerSettings, SigningAlgorithm};
use crate::signin::{IdpSettings, Keep, SignIn};
use crate::store::Store;
use crate::vocab::limits::JWKS_BYTES_MAX;
use crate::vocab::{Clock, Proof};
use crate::web::Site;

/// The longest life of an access token that can be configured: keys stay published for as long.
const SIGNED_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Where the keys are, below the data directory.
const KEYS: &str = "keys/authserver";
/// How often keys are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Registrations of an hour where there are none.
const NO_REGISTRATIONS: u32 = 1;

/// What lasts, kept in `store`, if there is an authorization server.
///
/// # Errors
/// A sentence for the operator.
pub(super) async fn open(config: &Config, store: &Store, clock: &Clock) -> Result<Option<Lasting>, String> {
    let Some(section) = &config.authserver else { return Ok(None) };
    let settings = SignerSettings {
        dir: config.data_dir.join(KEYS),
        algorithm: algorithm(section),
        rotate_every: section.key_rotation,
        signed_for: SIGNED_FOR,
    };
    let signer = Arc::new(Signer::open(settings, clock.clone()).map_err(|error| error.to_string())?);
    let ended = EndedTokens::load(store.clone(), clock.clone()).await.map_err(|error| error.to_string())?;
    let per_hour = section.dcr.as_ref().map_or(NO_REGISTRATIONS, |dcr| dcr.per_hour);
    let (pace, sign_ins) = (Arc::new(Pace::new(per_hour)), Arc::new(SignIn::pace()));
    Ok(Some(Lasting { store: store.clone(), signer, ended: Arc::new(ended), pace, sign_ins }))
}

/// Keeps the keys young until `stop`.
pub(super) async fn rotate(signer: Arc<Signer>, stop: CancellationToken) {
    let work = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let signer = signer.clone();
            match tokio::task::spawn_blocking(move || signer.rotate()).await {
                Ok(Ok(true)) => tracing::info!("the signing keys of the authorization server were rotated"),
                Ok(Err(error)) => tracing::error!(%error, "the signing keys could not be rotated; the old ones go on"),
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// How the authenticator knows the server's own tokens.
pub(super) fn own(config: &Config, origin: &str, lasting: Option<&Lasting>) -> Option<IssuerSettings> {
    let lasting = lasting.filter(|_| config.authserver.is_some())?;
    Some(issuer_of(origin, lasting.signer.document()))
}

/// The same, of the keys that are in the data directory: for judging a token while nothing runs.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn known(config: &Config, origin: &str) -> Result<Option<IssuerSettings>, String> {
    if config.authserver.is_none() {
        return Ok(None);
    }
    let document = signer::published(&config.data_dir.join(KEYS)).map_err(|error| error.to_string())?;
    Ok(document.map(|document| issuer_of(origin, Arc::new(ArcSwap::from_pointee(document)))))
}

fn issuer_of(origin: &str, document: Arc<ArcSwap<Bytes>>) -> IssuerSettings {
    IssuerSettings { algorithms: vec![Algorithm::ES256, Algorithm::EdDSA], ..IssuerSettings::own(origin.to_owned(), document) }
}

/// The server that the config wants, at `origin`, for `routes` and for nobody whom `revocations` name; it serves the key `asserting`
/// beside its own.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn server(
    config: &Config,
    origin: &str,
    routes: &[Route],
    outside: &Outside,
    asserting: Option<Value>,
    revocations: &Arc<Revocations>,
    clock: &Clock,
) -> Result<Option<AuthServer>, String> {
    let (Some(section), Some(lasting)) = (&config.authserver, &outside.lasting) else { return Ok(None) };
    let fetch = &outside.fetch;
    let idp = idp_settings(&section.upstream);
    let (store, revocations) = (lasting.store.clone(), revocations.clone());
    let (site, pace) = (Site::new(origin), lasting.sign_ins.clone());
    let sign_in = SignIn::new(idp, site, store, clock.clone(), fetch.clone(), revocations, pace)?;
    let wanted = config.upstreams.iter().any(|upstream| upstream.credential.signs_in());
    let sign_in = match &outside.desk {
        Some(desk) => sign_in.keeping(Keep { vault: desk.vault().clone(), wanted, life: section.refresh_token }),
        None => sign_in,
    };
    let settings = Settings { other_keys: asserting.into_iter().collect(), ..settings(section, origin, routes)? };
    let server = AuthServer::new(settings, lasting.clone(), Arc::new(sign_in), clock.clone(), fetch.clone())?;
    Ok(Some(server))
}

/// The identity provider of a config.
pub(super) fn idp_settings(upstream: &config::AuthUpstream) -> IdpSettings {
    IdpSettings {
        issuer: upstream.issuer.clone(),
        client_id: upstream.client_id.clone(),
        client_secret: upstream.client_secret.clone(),
        scopes: upstream.scopes.clone(),
        groups_claim: upstream.groups_claim.clone(),
        required_claims: upstream.required_claims.clone(),
        algorithms: upstream.algorithms.iter().map(|algorithm| algorithm_of(*algorithm)).collect(),
        allow_private_addresses: upstream.allow_private_addresses,
    }
}

/// `server` with what the one that runs already knows: it is kept, as for issuers of access tokens.
pub(super) fn knowing(server: Option<AuthServer>, running: Option<&World>) -> Option<Arc<AuthServer>> {
    let (server, running) = (server?, running.and_then(|running| running.authserver.as_deref()));
    Some(Arc::new(match running {
        Some(running) => server.with_keys_of(running),
        None => server,
    }))
}

fn settings(section: &config::AuthServer, origin: &str, routes: &[Route]) -> Result<Settings, String> {
    let resource = |route: &Route| ResourceSettings { url: route.resource.url.clone(), scopes: route.resource.scopes.clone() };
    let mut scopes: BTreeMap<String, String> = section.scopes.clone();
    for scope in routes.iter().flat_map(|route| &route.resource.scopes) {
        scopes.entry(scope.clone()).or_default();
    }
    let dcr = section.dcr.as_ref();
    Ok(Settings {
        issuer: origin.to_owned(),
        // Tokens made here are bound to nothing, and would not be taken where bound ones are needed.
        resources: routes.iter().filter(|route| route.resource.proof == Proof::None).map(resource).collect(),
        scopes,
        clients: section.clients.iter().map(client).collect::<Result<_, _>>()?,
        cimd: section.cimd.as_ref().map(|cimd| CimdSettings {
            allow: cimd.allow.clone(),
            any: cimd.any,
            dial: DialPolicy { allow_private: cimd.allow_private_addresses, allow_loopback: false },
        }),
        dcr: dcr.map(|dcr| DcrSettings { per_hour: dcr.per_hour, expires: dcr.expires }),
        id_jag: section.id_jag.iter().map(issuer).collect(),
        access_token: section.access_token,
        refresh_token: section.refresh_token,
        algorithm: algorithm(section),
        other_keys: Vec::new(),
    })
}

fn algorithm(section: &config::AuthServer) -> SigningAlgorithm {
    match section.algorithm {
        config::Algorithm::EdDSA => SigningAlgorithm::EdDsa,
        _ => SigningAlgorithm::Es256,
    }
}

fn client(client: &AuthClient) -> Result<ClientSettings, String> {
    let secret = match (&client.secret_sha256, &client.jwks) {
        (Some(hash), _) => Some(ClientSecret::Sha256(*hash)),
        (None, Some(Jwks::File(path))) => Some(ClientSecret::Keys(KeySource::Document(document(path)?))),
        (None, Some(Jwks::Url(url))) => {
            Some(ClientSecret::Keys(KeySource::Url { url: url.clone(), allow_private_addresses: client.allow_private_addresses }))
        }
        _ => None,
    };
    let has = |grant| client.grants.contains(&grant);
    Ok(ClientSettings {
        client_id: client.client_id.clone(),
        name: client.name.clone(),
        redirect_uris: client.redirect_uris.clone(),
        secret,
        grants: Grants {
            authorization_code: has(Grant::AuthorizationCode),
            refresh_token: has(Grant::RefreshToken),
            client_credentials: has(Grant::ClientCredentials),
            jwt_bearer: has(Grant::JwtBearer),
        },
    })
}

/// A key set of a client; the file is watched, so that a change means a reload.
fn document(path: &Path) -> Result<Bytes, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text = super::load::read(path).map_err(wrong)?;
    if text.len() > JWKS_BYTES_MAX { Err(wrong("too large for a key set".to_owned())) } else { Ok(text.into()) }
}
