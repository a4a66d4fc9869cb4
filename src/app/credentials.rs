//! What is shown to upstreams, from the config: files read, and the gateway's own assertions where they are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;

use crate::authserver::Lasting;
use crate::config;
use crate::connect::{Desk, Identities, People};
use crate::net::Fetch;
use crate::oauth::{SigningKey, TYPE_ACCESS_TOKEN, TYPE_ID_TOKEN, TYPE_JWT};
use crate::pipeline::World;
use crate::upstream::{Asserter, ClientProof, Credential, Issuance, Issue, JagSubject, Subject, Subjects, TokenServer};
use crate::vocab::Clock;
use crate::vocab::limits::SECRET_FILE_BYTES_MAX;

/// What reaches out of the gateway and outlives a reload.
pub(super) struct Outside {
    pub(super) fetch: Fetch,
    /// Where operators find the console, as `scheme://host:port`; absent without a listener for them.
    pub(super) console: Option<String>,
    /// What the authorization server keeps, where there is one.
    pub(super) lasting: Option<Lasting>,
    /// Where people link accounts, if they can sign in.
    pub(super) desk: Option<Arc<Desk>>,
    people: Option<Arc<People>>,
    identities: Option<Arc<Identities>>,
    assertions: Assertions,
}

/// The gateway's own assertions about people. Made when something needs them, once per public URL: an upstream whose assertions
/// are the same object did not change.
struct Assertions {
    key: PathBuf,
    clock: Clock,
    made: Mutex<Option<(String, Arc<Asserter>)>>,
}

/// Where other servers find the key that assertions are signed with.
pub(super) const KEY_SET_PATH: &str = "/oauth/jwks";

impl Outside {
    pub(super) fn new(fetch: Fetch, data_dir: &Path, clock: &Clock, lasting: Option<Lasting>, desk: Option<Arc<Desk>>) -> Self {
        let key = data_dir.join("keys/assertion");
        let people = desk.as_ref().map(People::of);
        let identities = desk.as_ref().map(Identities::of);
        let assertions = Assertions { key, clock: clock.clone(), made: Mutex::new(None) };
        Self { fetch, console: None, lasting, desk, people, identities, assertions }
    }

    /// The same, with operators at `origin`.
    pub(super) fn with_console(self, origin: Option<String>) -> Self {
        Self { console: origin, ..self }
    }

    /// Offers the links of `world`, and who signs people in there, which is in force from now on.
    pub(super) fn offer(&self, world: &World) {
        if let Some(desk) = &self.desk {
            desk.offer(world.links.clone(), world.authserver.as_ref().map(|server| server.sign_in().clone()));
        }
    }

    /// What `upstream` is shown. `origin` is what others see of the gateway.
    ///
    /// # Errors
    /// A sentence for the operator, without a secret.
    pub(super) fn credential(&self, upstream: &config::Upstream, origin: &str) -> Result<Credential, String> {
        let failed = |why: String| format!("upstream {}: {why}", upstream.name);
        let issued = |issue, server, asked: &config::TokenAsked| {
            let (scopes, resource) = (asked.scopes.clone(), asked.resource.clone());
            let server = token_server(server).map_err(failed)?;
            Ok(Credential::Issued(Box::new(Issuance { issue, server, scopes, resource })))
        };
        match &upstream.credential {
            config::Credential::None => Ok(Credential::None),
            config::Credential::Bearer(secret) => Ok(Credential::Bearer(secret.clone())),
            config::Credential::Header { name, value } => {
                let name = http::HeaderName::try_from(name).map_err(|_| failed("not a header name".to_owned()))?;
                Ok(Credential::Header { name, value: value.clone() })
            }
            config::Credential::Mtls { cert, key } => {
                let chain = read(cert).map_err(failed)?.into_bytes();
                Ok(Credential::Mtls { chain, key: read(key).map_err(failed)?.into() })
            }
            config::Credential::PerUser(_) => {
                let people =
                    self.people.clone().ok_or_else(|| failed("nobody can sign in to link an account: restart".to_owned()))?;
                Ok(Credential::PerUser(people))
            }
            config::Credential::ClientCredentials { server, asked } => issued(Issue::ClientCredentials, server, asked),
            config::Credential::TokenExchange { server, asked, audience, actor, subject_issuer } => {
                let subjects = self.subjects(subject_issuer, origin).map_err(failed)?;
                issued(Issue::Exchange { audience: audience.clone(), actor: *actor, subjects }, server, asked)
            }
            config::Credential::IdJag { idp, server, asked, subject } => {
                let subject = match subject {
                    config::JagSubject::Caller { issuer } => JagSubject::Caller(self.subjects(issuer, origin).map_err(failed)?),
                    config::JagSubject::Person => {
                        let missing = || failed("nobody can sign in: restart".to_owned());
                        let assertions = self.identities.clone().ok_or_else(missing)?;
                        let issuer = idp.issuer.clone().unwrap_or_default();
                        JagSubject::Caller(Subjects { issuer, assertions })
                    }
                    config::JagSubject::Workload { token, kind } => {
                        JagSubject::Workload(Subject { token: token.clone(), kind: type_of(*kind) })
                    }
                };
                let idp = token_server(idp).map_err(failed)?;
                issued(Issue::IdJag { idp, subject }, server, asked)
            }
        }
    }

    fn subjects(&self, issuer: &str, origin: &str) -> Result<Subjects, String> {
        Ok(Subjects { issuer: issuer.to_owned(), assertions: self.assertions.of(origin)? })
    }

    /// The public key that assertions are signed with, if any upstream of `config` needs them. It is served at [`KEY_SET_PATH`]:
    /// together with the keys of the authorization server where there is one, else alone.
    pub(super) fn asserting_key(&self, config: &config::Config, origin: &str) -> Result<Option<Value>, String> {
        let asserted = config.upstreams.iter().any(|upstream| upstream.credential.is_asserted());
        if asserted { Ok(Some(self.assertions.of(origin)?.public_jwk())) } else { Ok(None) }
    }
}

impl Assertions {
    fn of(&self, origin: &str) -> Result<Arc<Asserter>, String> {
        let mut made = self.made.lock();
        if let Some((_, asserter)) = made.as_ref().filter(|(of, _)| of == origin) {
            return Ok(Arc::clone(asserter));
        }
        let key = SigningKey::open_or_create(&self.key).map_err(|error| format!("{}: {error}", self.key.display()))?;
        let asserter = Arc::new(Asserter::new(origin.to_owned(), key, self.clock.clone()));
        *made = Some((origin.to_owned(), Arc::clone(&asserter)));
        Ok(asserter)
    }
}

fn token_server(server: &config::TokenServer) -> Result<TokenServer, String> {
    let proof = match &server.proof {
        config::ClientProof::Secret(secret) => ClientProof::Secret(secret.clone()),
        config::ClientProof::PrivateKey { file, key_id } => {
            ClientProof::PrivateKey { pem: SecretString::from(read(file)?), key_id: key_id.clone() }
        }
    };
    Ok(TokenServer {
        issuer: server.issuer.clone(),
        token_url: server.token_url.clone(),
        client_id: server.client_id.clone(),
        proof,
        allow_private: server.allow_private_addresses,
    })
}

/// RFC 8693 section 3.
fn type_of(kind: config::SubjectTokenType) -> &'static str {
    match kind {
        config::SubjectTokenType::IdToken => TYPE_ID_TOKEN,
        config::SubjectTokenType::Jwt => TYPE_JWT,
        config::SubjectTokenType::AccessToken => TYPE_ACCESS_TOKEN,
    }
}

/// A PEM file, bounded.
fn read(file: &Path) -> Result<String, String> {
    let said = |why: String| format!("{}: {why}", file.display());
    let about = fs::metadata(file).map_err(|error| said(error.to_string()))?;
    if !about.is_file() || about.len() > SECRET_FILE_BYTES_MAX {
        return Err(said(format!("not a file of at most {SECRET_FILE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(file).map_err(|error| said(error.to_string()))
}
