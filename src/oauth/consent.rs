//! Which addresses may be contacted: those the operator wrote, and public ones.

use url::Url;

use super::error::{OAuthError, OAuthErrorKind};
use super::shown;
use crate::net::{DialPolicy, Origin};

/// What an operator consented to by writing URLs. A URL learnt from metadata, challenges or answers gets the consent of an
/// origin that was written, or none: then it is https at a public address, judged again at every dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    written: Vec<(Origin, DialPolicy)>,
    learnt: Option<DialPolicy>,
}

impl Consent {
    /// Public addresses over https, nothing else.
    pub fn none() -> Self {
        Self::default()
    }

    /// And the origin of `url`, which the operator wrote, at the addresses that `dial` permits.
    #[must_use]
    pub fn and(mut self, url: &Url, dial: DialPolicy) -> Self {
        self.written.extend(Origin::of(url).map(|origin| (origin, dial)));
        self
    }

    /// As [`Consent::and`], where the written URL's own host is the consent: a loopback one to loopback, and private addresses
    /// as `allow_private` says.
    #[must_use]
    pub fn and_written(self, url: &Url, allow_private: bool) -> Self {
        let allow_loopback = Origin::of(url).is_some_and(|origin| origin.names_loopback());
        self.and(url, DialPolicy { allow_private, allow_loopback })
    }

    /// And what is learnt from a server of which the operator wrote that it may be at the addresses that `dial` permits, where that is
    /// more than public ones: at those addresses too. Loopback is this machine, with everything else that listens on it: it is never
    /// learnt from a server elsewhere, and plain http only there. Link-local and metadata addresses are never dialled.
    #[must_use]
    pub fn and_learnt(mut self, dial: DialPolicy) -> Self {
        self.learnt = dial.allow_private.then_some(dial);
        self
    }

    /// The addresses at which `url` may be contacted.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Refused`] for a URL that is neither https nor of a written origin, or has a user name in it.
    pub fn policy(&self, url: &Url) -> Result<DialPolicy, OAuthError> {
        let refused = |why: &str| OAuthError::new(OAuthErrorKind::Refused, format!("{}: {why}", shown(url)));
        let origin = Origin::of(url).ok_or_else(|| refused("neither https nor http"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("holds a user name"));
        }
        if let Some((_, dial)) = self.written.iter().find(|(written, _)| *written == origin) {
            return Ok(*dial);
        }
        match self.learnt {
            Some(dial) if origin.https || (dial.allow_loopback && origin.names_loopback()) => Ok(dial),
            _ if origin.https => Ok(DialPolicy::default()),
            _ => Err(refused("learnt, and not https")),
        }
    }
}
