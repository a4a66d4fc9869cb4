//! What others provide: tokens of people, and assertions about them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use secrecy::SecretString;
use url::Url;

use crate::oauth::Challenge;
use crate::vocab::{Fault, PrincipalKey};

/// Tokens that people consented to at an upstream's authorization server.
pub trait PersonTokens: Send + Sync {
    /// The token of `who` for `upstream`, fresh. Must be quick when nothing has to be renewed.
    ///
    /// # Errors
    /// [`crate::vocab::FaultKind::Unlinked`] when the person has to link an account first,
    /// [`crate::vocab::FaultKind::Credential`] when there is none for another reason.
    fn token<'a>(&'a self, who: &'a PrincipalKey, upstream: &'a Place) -> BoxFuture<'a, Result<PersonToken, Fault>>;

    /// The upstream refused `shown`. True if [`PersonTokens::token`] may now give a better one; the call is then sent once more.
    fn rejected<'a>(
        &'a self,
        who: &'a PrincipalKey,
        upstream: &'a Place,
        shown: &'a PersonToken,
        refused: &'a Refused,
    ) -> BoxFuture<'a, bool>;
}

/// An upstream as the one who asks knows it. A reload may have moved the name to another endpoint since, which is then another
/// upstream: tokens for one are not shown to the other.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoint.
    pub url: Url,
}

/// A person's token.
#[derive(Clone, Debug)]
pub struct PersonToken {
    /// Shown as `Authorization: Bearer`.
    pub secret: SecretString,
    /// Another number for another account or another linking: a session with the upstream is never used across two.
    pub account: u64,
}

/// How an upstream refused a credential.
#[derive(Clone, Debug)]
pub struct Refused {
    /// 401 or 403.
    pub status: StatusCode,
    /// What it wants to see, where it says so.
    pub challenge: Option<Challenge>,
    /// In a session of 2025-11-25 or older, of which many servers say the same when they do not know it any more. Something better may
    /// be shown, but nothing is given up for it.
    pub in_session: bool,
}

impl Refused {
    /// The scopes that would help, if that is what it is about (RFC 6750 section 3.1).
    pub fn missing_scopes(&self) -> Option<Vec<String>> {
        let challenge = self.challenge.as_ref().filter(|challenge| challenge.wants_scope())?;
        Some(challenge.scopes()).filter(|scopes| self.status == StatusCode::FORBIDDEN && !scopes.is_empty())
    }
}

/// Says to an authorization server on whose behalf the gateway asks. Never with anything that a client sent.
pub trait SubjectAssertions: Send + Sync {
    /// A token about `who` for the server called `audience`, where the gateway is the client `client_id`.
    ///
    /// # Errors
    /// [`crate::vocab::FaultKind::Credential`] for a principal that is nobody there.
    fn subject<'a>(
        &'a self,
        who: &'a PrincipalKey,
        audience: &'a str,
        client_id: &'a str,
    ) -> BoxFuture<'a, Result<Subject, Fault>>;

    /// Whether what was made of an earlier [`SubjectAssertions::subject`] about `who` still serves. Asked for every call: must be quick.
    ///
    /// # Errors
    /// [`crate::vocab::FaultKind::Unlinked`] when the person has to sign in again.
    fn stands<'a>(&'a self, _who: &'a PrincipalKey) -> BoxFuture<'a, Result<(), Fault>> {
        std::future::ready(Ok(())).boxed()
    }

    /// A JWT about the gateway itself, which acts.
    ///
    /// # Errors
    /// [`crate::vocab::FaultKind::Credential`].
    fn actor(&self, audience: &str, client_id: &str) -> Result<SecretString, Fault>;
}

/// A token about a person.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The token.
    pub token: SecretString,
    /// Its type (RFC 8693 section 3).
    pub kind: &'static str,
}
