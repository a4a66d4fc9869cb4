//! What only shows when values of a config are used: the files that it names are read as a start reads them. Nothing is made, opened for
//! long or contacted.

use std::sync::Arc;

use rustls::ClientConfig;

use super::credentials::Outside;
use super::identity::issuer;
use super::load::upstream_settings;
use super::start::{origin, tls_files_of};
use crate::audit::CheckpointKey;
use crate::config::{self, Config, Credential, Mistake, Tls};
use crate::identity::{Authenticator, Settings, SettingsError};
use crate::net::{Fetch, client_config};
use crate::notice::Prepared;
use crate::server::tls::mistakes;
use crate::upstream;
use crate::vault::Ring;
use crate::vocab::{Clock, Problem};

/// Every value of `config` with which the gateway would not start.
pub(super) fn unusable(config: &Config) -> Vec<Problem> {
    let clock = Clock::system();
    let mut found = listener("tls", &config.tls, config, &clock);
    if let Some(admin) = &config.admin {
        found.extend(listener("admin.tls", &admin.tls, config, &clock));
    }
    match client_config(None) {
        Ok(tls) => {
            let fetch = Fetch::new(tls.clone());
            found.extend(issuers(config, &clock, &fetch));
            found.extend(upstreams(config, &clock, &fetch, &tls));
        }
        Err(error) => found.push(mistake("", error)),
    }
    for (i, channel) in config.approvals.channels.iter().enumerate() {
        found.extend(Prepared::new(channel).err().map(|error| mistake(format!("approvals.channels[{i}].ca"), error)));
    }
    if let Some(ca) = config.telemetry.otlp.as_ref().and_then(|otlp| otlp.ca.as_deref()) {
        found.extend(client_config(Some(ca)).err().map(|error| mistake("telemetry.otlp.ca", error)));
    }
    found.extend(keys(config));
    config::placed(&config.file, found)
}

fn mistake(path: impl Into<String>, why: impl std::fmt::Display) -> Mistake {
    Mistake { path: path.into(), message: why.to_string() }
}

/// The certificate of the listener at `path`, which is no file's business where it is self-signed.
fn listener(path: &str, tls: &Tls, config: &Config, clock: &Clock) -> Vec<Mistake> {
    if *tls == Tls::SelfSigned {
        return Vec::new();
    }
    let Ok(Some(files)) = tls_files_of(tls, &config.data_dir, clock) else { return Vec::new() };
    let wrong = mistakes(&files, clock).into_iter();
    wrong.map(|(key, error)| mistake(key.map_or_else(|| path.to_owned(), |key| format!("{path}.{key}")), error)).collect()
}

/// Issuers one by one, so that each that is wrong is named.
fn issuers(config: &Config, clock: &Clock, fetch: &Fetch) -> Vec<Mistake> {
    let own = config.identity.issuers.iter().enumerate().map(|(i, one)| (format!("identity.issuers[{i}]"), one));
    let granting = config.authserver.iter().flat_map(|section| &section.id_jag).enumerate();
    let granting = granting.map(|(i, one)| (format!("authserver.id_jag.issuers[{i}]"), one));
    let wrong = |(path, one): (String, &config::Issuer)| {
        let settings = Settings { issuers: vec![issuer(one)], ..Settings::default() };
        let error = Authenticator::new(settings, clock.clone(), fetch.clone()).err()?;
        let path = if matches!(error, SettingsError::Jwks { .. }) { format!("{path}.jwks") } else { path };
        Some(mistake(path, error))
    };
    own.chain(granting).filter_map(wrong).collect()
}

fn upstreams(config: &Config, clock: &Clock, fetch: &Fetch, tls: &Arc<ClientConfig>) -> Vec<Mistake> {
    let outside = Outside::new(fetch.clone(), &config.data_dir, clock, None, None);
    let origin = origin(config, &format!("https://{}", config.listen));
    let wrong = |(i, upstream): (usize, &config::Upstream)| {
        let tried = |credential: Credential| {
            let upstream = config::Upstream { credential, ..upstream.clone() };
            let settings = outside.credential(&upstream, &origin).and_then(|shown| upstream_settings(config, &upstream, shown));
            settings.and_then(|settings| upstream::usable(&settings, tls).map_err(str::to_owned)).err()
        };
        let why = provable(&upstream.credential).into_iter().find_map(tried)?;
        let kind = if matches!(upstream.credential, Credential::Mtls { .. }) { ".mtls" } else { "" };
        Some(mistake(format!("upstreams[{i}].credential{kind}"), why))
    };
    config.upstreams.iter().enumerate().filter_map(wrong).collect()
}

/// What stands for a credential whose making would write keys or needs people: the proofs that it shows to servers.
fn provable(credential: &Credential) -> Vec<Credential> {
    let proof = |server: &config::TokenServer, asked: &config::TokenAsked| Credential::ClientCredentials {
        server: server.clone(),
        asked: asked.clone(),
    };
    match credential {
        Credential::PerUser(_) => Vec::new(),
        Credential::TokenExchange { server, asked, .. } => vec![proof(server, asked)],
        Credential::IdJag { idp, server, asked, .. } => vec![proof(idp, asked), proof(server, asked)],
        other => vec![other.clone()],
    }
}

/// Keys that are there. Those that are not are made at the start, where one may be.
fn keys(config: &Config) -> Vec<Mistake> {
    let checkpoint = Some(&config.audit.checkpoint_key).filter(|file| file.exists());
    let checkpoint = checkpoint.and_then(|file| CheckpointKey::open(file).err()).map(|error| mistake("keys.checkpoint", error));
    // Nobody links accounts where nobody signs in.
    let vault: &[_] = if config.authserver.is_some() { &config.vault_keys } else { &[] };
    let vault = vault.iter().enumerate().filter(|(_, file)| file.exists()).filter_map(|(i, file)| {
        let path = if config.vault_keys.len() == 1 { "keys.vault".to_owned() } else { format!("keys.vault[{i}]") };
        Some(mistake(path, Ring::open(&[file]).err()?))
    });
    checkpoint.into_iter().chain(vault).collect()
}
