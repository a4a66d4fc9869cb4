//! Accounts that people link: the desk, and what each configuration offers at it.

use std::sync::Arc;

use url::Url;

use crate::config::{self, Config, Credential, PerUser, ResourceSent, Transport};
use crate::connect::{Desk, DeskParts, Link, Links, OwnRegistration};
use crate::net::{DialPolicy, Fetch, Origin};
use crate::oauth::{Consent, ServerMetadata, SigningKey};
use crate::seal::Sealer;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::vault::{Ring, Vault};
use crate::vocab::Clock;
use crate::web::Site;

/// Opens the desk over `store`.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn desk(
    config: &Config,
    store: &Store,
    sealer: &Arc<Sealer>,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    fetch: &Fetch,
) -> Result<Arc<Desk>, String> {
    let ring = Ring::open(&config.vault_keys).map_err(|error| format!("keys.vault: {error}"))?;
    let key = config.data_dir.join("keys/client");
    let key = SigningKey::open_or_create(&key).map_err(|error| format!("{}: {error}", key.display()))?;
    Ok(Arc::new(Desk::new(DeskParts {
        vault: Vault::new(store.clone(), ring),
        store: store.clone(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        fetch: fetch.clone(),
        key: Some(Arc::new(key)),
        metrics: metrics.clone(),
    })))
}

/// The upstreams of `config` at which people link accounts, for browsers that know us at `origin`.
pub(super) fn links(config: &Config, origin: &str) -> Links {
    let Some(section) = &config.authserver else { return Links::new() };
    let people = &section.upstream.issuer;
    let link = |upstream: &config::Upstream| {
        let Transport::Http { url, .. } = &upstream.transport else { return None };
        let own = PerUser::default();
        let per_user = match &upstream.credential {
            Credential::PerUser(per_user) => per_user,
            credential if credential.signs_in() => &own,
            _ => return None,
        };
        let name: Arc<str> = Arc::from(upstream.name.as_str());
        Some((name.clone(), Arc::new(self::link(name, upstream, url, per_user, origin, people))))
    };
    config.upstreams.iter().filter_map(link).collect()
}

fn link(name: Arc<str>, upstream: &config::Upstream, url: &Url, per_user: &PerUser, origin: &str, people: &str) -> Link {
    let private = upstream.allow_private_addresses;
    // A loopback address written in the config is its own consent.
    let allow_loopback = Origin::of(url).is_some_and(|origin| origin.names_loopback());
    let dial = DialPolicy { allow_private: private, allow_loopback };
    let mut consent = Consent::none().and(url, dial).and_learnt(dial);
    if let Some(issuer) = per_user.issuer.as_ref().and_then(|issuer| issuer.parse().ok()) {
        consent = consent.and_written(&issuer, private);
    }
    for url in per_user.endpoints.iter().flat_map(|(authorization, token)| [authorization, token]) {
        consent = consent.and_written(url, private);
    }
    let written = per_user.endpoints.as_ref().map(|(authorization, token)| ServerMetadata {
        authorization_endpoint: Some(authorization.clone()),
        ..ServerMetadata::written(token.clone(), per_user.issuer.as_deref())
    });
    let resource = match &per_user.resource {
        ResourceSent::Said => None,
        ResourceSent::Written(resource) => Some(resource.clone()),
        ResourceSent::None => Some(String::new()),
    };
    let registered = per_user.client_id.clone();
    let registered = registered.map(|client_id| OwnRegistration { client_id, secret: per_user.client_secret.clone() });
    Link {
        upstream: name,
        url: url.clone(),
        by_sign_in: upstream.credential.signs_in(),
        dial,
        issuer: per_user.issuer.clone(),
        registered,
        scopes: per_user.scopes.clone(),
        pkce_unannounced: per_user.pkce_unannounced,
        written,
        resource,
        consent,
        site: Site::new(origin),
        people: people.into(),
    }
}
