//! What an upstream is shown, found out for each call: per upstream, or per person at an upstream.
//!
//! Nothing of a client's credential comes this way, and no token leaves towards another upstream than the one it was made for:
//! a [`Keyring`] belongs to one upstream, and redirects are not followed. An upstream's 401 and 403 end here.

mod asserter;
mod fixed;
mod issued;
mod person;
mod purse;
mod settings;

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub use self::asserter::Asserter;
use self::issued::Issued;
pub use self::person::{PersonToken, PersonTokens, Place, Refused, Subject, SubjectAssertions};
use self::purse::Held;
pub(super) use self::settings::same_secret;
pub use self::settings::{ClientProof, Credential, Issuance, Issue, JagSubject, Subjects, TokenServer};
use super::settings::{Transport, UpstreamSettings};
use crate::net::{Fetch, with_certificate};
use crate::oauth;
use crate::vocab::{Clock, Fault, FaultKind, PrincipalKey};

/// The credentials of one upstream.
pub(super) struct Keyring {
    kind: Kind,
}

enum Kind {
    /// The same for everybody, for ever.
    Fixed(Option<(HeaderName, HeaderValue)>),
    /// Made by an authorization server.
    Issued(Box<Issued>),
    /// A person's own.
    Person(Arc<dyn PersonTokens>, Place),
}

/// What is shown with one request.
pub(super) struct Shown {
    /// The header, if there is one.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    /// Which account it opens. Sessions of one are never used for another.
    pub(super) account: u64,
    from: From,
}

enum From {
    Fixed,
    Issued(Arc<Held>),
    Person(PersonToken),
}

impl Shown {
    /// Whether a refusal can lead to something else being shown.
    pub(super) fn may_change(&self) -> bool {
        !matches!(self.from, From::Fixed)
    }
}

/// Whether what `settings` say can be shown to their upstream. Nothing is contacted, and nothing is kept.
///
/// # Errors
/// What makes the credential unusable; holds no secret.
pub fn usable(settings: &UpstreamSettings, tls: &Arc<ClientConfig>) -> Result<(), &'static str> {
    Keyring::new(settings, tls)?;
    Keyring::tls(settings, Arc::clone(tls)).map(drop)
}

impl Keyring {
    /// # Errors
    /// What makes the credential unusable; holds no secret.
    pub(super) fn new(settings: &UpstreamSettings, tls: &Arc<ClientConfig>) -> Result<Self, &'static str> {
        let kind = match &settings.credential {
            Credential::None | Credential::Mtls { .. } => Kind::Fixed(None),
            Credential::Bearer(token) => Kind::Fixed(Some(fixed::bearer(token)?)),
            Credential::Header { name, value } => Kind::Fixed(Some(fixed::header(name, value)?)),
            Credential::PerUser(people) => {
                Kind::Person(Arc::clone(people), Place { name: Arc::clone(&settings.name), url: endpoint(settings)?.clone() })
            }
            Credential::Issued(issuance) => {
                let url = endpoint(settings)?;
                let client = oauth::Client::new(Fetch::new(Arc::clone(tls)), Clock::system());
                Kind::Issued(Box::new(Issued::new(issuance, &oauth::canonical(url), client, Clock::system())?))
            }
        };
        let keyring = Self { kind };
        if settings.shared && keyring.is_personal() {
            return Err("a shared upstream cannot be shown what belongs to one person");
        }
        Ok(keyring)
    }

    /// TLS towards the upstream: with the certificate that is its credential, if that is the kind.
    ///
    /// # Errors
    /// As [`Keyring::new`].
    pub(super) fn tls(settings: &UpstreamSettings, base: Arc<ClientConfig>) -> Result<Arc<ClientConfig>, &'static str> {
        match &settings.credential {
            Credential::Mtls { chain, key } => with_certificate(&base, chain, key.expose_secret().as_bytes())
                .map_err(|_| "the certificate and key of `mtls` are no pair, or not in PEM"),
            _ => Ok(base),
        }
    }

    /// Whether two principals are shown different things.
    pub(super) fn is_personal(&self) -> bool {
        match &self.kind {
            Kind::Fixed(_) => false,
            Kind::Issued(issued) => issued.is_personal(),
            Kind::Person(..) => true,
        }
    }

    /// What to show on behalf of `who`. The caller bounds the time.
    ///
    /// # Errors
    /// [`FaultKind::Credential`] if there is nothing to show, [`FaultKind::Unlinked`] if the person has to link an account first.
    pub(super) async fn show(&self, who: &PrincipalKey) -> Result<Shown, Fault> {
        match &self.kind {
            Kind::Fixed(header) => Ok(Shown { header: header.clone(), account: 0, from: From::Fixed }),
            Kind::Issued(issued) => {
                // Boxed without its type, which would be part of the type of every call.
                let held = issued.token(who).boxed().await?;
                let header = Some((AUTHORIZATION, held.value.clone()));
                Ok(Shown { header, account: 0, from: From::Issued(held) })
            }
            Kind::Person(people, upstream) => {
                let token = people.token(who, upstream).await?;
                let header = Some((AUTHORIZATION, bearer(&token.secret)?));
                Ok(Shown { header, account: token.account, from: From::Person(token) })
            }
        }
    }

    /// The upstream refused what was shown. True if showing again may show something better.
    pub(super) async fn refused(&self, who: &PrincipalKey, shown: &Shown, refused: &Refused) -> bool {
        match (&self.kind, &shown.from) {
            (Kind::Issued(issued), From::Issued(held)) => issued.refused(who, held, refused),
            (Kind::Person(people, upstream), From::Person(token)) => people.rejected(who, upstream, token, refused).await,
            _ => false,
        }
    }
}

fn endpoint(settings: &UpstreamSettings) -> Result<&Url, &'static str> {
    match &settings.transport {
        Transport::Http { url, .. } => Ok(url),
        Transport::Stdio { .. } => Err("a credential means nothing for a process"),
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Fault> {
    fixed::value(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Fault::internal(FaultKind::Credential, "a token that cannot stand in a header"))
}
