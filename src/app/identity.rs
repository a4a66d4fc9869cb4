//! The identity of the config, as the authenticator takes it.

use jsonwebtoken::Algorithm;

use super::authserver;
use super::load::resource;
use crate::config::{self, Config};
use crate::identity::dev::DevIssuer;
use crate::identity::{
    Authenticator, CertificateSettings, DirectoryGroup, DpopUse, IntrospectionSettings, IssuerSettings, JwksSource, KeySettings,
    Member, Refusal, Revocation, Settings, TokenType,
};
use crate::net::{Fetch, client_config};
use crate::vocab::{Clock, Principal};

/// What the authenticator is told. `own` is our own authorization server.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn identity_settings(config: &Config, own: Option<IssuerSettings>) -> Result<Settings, String> {
    // Our own first, so that clients are sent there first.
    let mut issuers: Vec<IssuerSettings> = own.into_iter().chain(config.identity.issuers.iter().map(issuer)).collect();
    if config.identity.dev {
        let dev = DevIssuer::open_or_create(&config.data_dir).map_err(|error| error.to_string())?;
        issuers.push(dev.settings());
    }
    let key = |key: &config::ApiKey| KeySettings {
        id: key.id.clone(),
        name: key.name.clone(),
        sha256: key.sha256,
        groups: key.groups.clone(),
        scopes: key.scopes.clone(),
        expires_unix_s: key.expires_unix_s,
    };
    let api_keys = config.identity.api_keys.iter().map(key).collect();
    let config::Identity { anonymous, client_certificates, revocations, directory, dpop_nonce_optional, .. } = &config.identity;
    Ok(Settings {
        anonymous: *anonymous,
        issuers,
        api_keys,
        client_certificates: client_certificates.as_ref().map(|certificates| CertificateSettings {
            subjects: certificates.subjects.clone(),
            trust_domain: certificates.trust_domain.clone(),
        }),
        revocations: revocations.iter().map(revocation).collect(),
        directory: directory.iter().map(group).collect(),
        nonce_optional: *dpop_nonce_optional,
    })
}

fn revocation(revocation: &config::Revocation) -> Revocation {
    let config::Revocation { iss, sub, jti, client_id, key, before_unix_s } = revocation.clone();
    Revocation { iss, sub, jti, client_id, key, before_s: before_unix_s }
}

fn group(group: &config::DirectoryGroup) -> DirectoryGroup {
    let member = |member: &config::DirectoryMember| match member.clone() {
        config::DirectoryMember { iss, email: Some(email), .. } => Some(Member::Email { iss, email }),
        config::DirectoryMember { iss: Some(iss), sub: Some(sub), .. } => Some(Member::Subject { iss, sub }),
        config::DirectoryMember { .. } => None,
    };
    let members = group.members.iter().filter_map(member).collect();
    DirectoryGroup { name: group.name.clone(), includes: group.includes.clone(), members }
}

/// The principal of `token` at the route at `path`, and when it was asked. What a token is bound to cannot be proven here and is
/// not asked for; nor are the scopes of the route.
///
/// # Errors
/// A sentence for the operator.
pub fn principal_of(config: &Config, origin: &str, path: &str, token: &str) -> Result<Principal, String> {
    let route = config.routes.iter().find(|route| route.path == path).ok_or("the route is not configured")?;
    let resource = resource(route, origin);
    let tls = client_config(None).map_err(|error| error.to_string())?;
    let clock = Clock::system();
    let authenticator =
        Authenticator::new(identity_settings(config, authserver::known(config, origin)?)?, clock, Fetch::new(tls))
            .map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let found = runtime.block_on(authenticator.examine(token, &resource));
    found.map(|principal| Principal::clone(&principal)).map_err(|refusal| match refusal {
        Refusal::Invalid { private } | Refusal::Proof { private, .. } => format!("the token is refused: {private}"),
        Refusal::Unavailable => "the issuer's keys, or its answer, are not to be had".to_owned(),
        Refusal::Malformed => "is not a token".to_owned(),
        Refusal::Missing | Refusal::InsufficientScope { .. } => "the token is refused".to_owned(),
    })
}

pub(super) fn issuer(issuer: &config::Issuer) -> IssuerSettings {
    let jwks = match &issuer.jwks {
        config::Jwks::File(path) => JwksSource::File(path.clone()),
        config::Jwks::Url(url) => JwksSource::Url(url.clone()),
        config::Jwks::Discovered => JwksSource::Discovered,
        config::Jwks::None => JwksSource::None,
    };
    IssuerSettings {
        token_type: if issuer.at_jwt_only { TokenType::AccessToken } else { TokenType::Any },
        subjects: issuer.subjects.clone(),
        required_claims: issuer.required_claims.clone(),
        scope_implies: issuer.scope_implies.clone(),
        dpop: match issuer.dpop {
            config::Dpop::Off => DpopUse::Off,
            config::Dpop::Accept => DpopUse::Accept,
            config::Dpop::Require => DpopUse::Require,
        },
        clock_skew_s: issuer.clock_skew.as_secs(),
        token_age_s_max: issuer.max_token_age.map(|age| age.as_secs()),
        introspection: issuer.introspection.as_ref().map(|introspection| IntrospectionSettings {
            url: introspection.url.clone(),
            client_id: introspection.client_id.clone(),
            client_secret: introspection.client_secret.clone(),
            cache_ms: u64::try_from(introspection.cache.as_millis()).unwrap_or(u64::MAX),
            jwts_too: introspection.jwts_too,
        }),
        audience: issuer.audience.clone(),
        algorithms: issuer.algorithms.iter().map(|algorithm| algorithm_of(*algorithm)).collect(),
        claims: issuer.claims.clone(),
        allow_private_addresses: issuer.allow_private_addresses,
        ..IssuerSettings::new(issuer.issuer.clone(), jwks)
    }
}

pub(super) fn algorithm_of(algorithm: config::Algorithm) -> Algorithm {
    match algorithm {
        config::Algorithm::RS256 => Algorithm::RS256,
        config::Algorithm::RS384 => Algorithm::RS384,
        config::Algorithm::RS512 => Algorithm::RS512,
        config::Algorithm::PS256 => Algorithm::PS256,
        config::Algorithm::PS384 => Algorithm::PS384,
        config::Algorithm::PS512 => Algorithm::PS512,
        config::Algorithm::ES256 => Algorithm::ES256,
        config::Algorithm::ES384 => Algorithm::ES384,
        config::Algorithm::EdDSA => Algorithm::EdDSA,
    }
}
