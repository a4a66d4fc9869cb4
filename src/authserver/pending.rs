//! An authorization request that was understood and waits for a person.

use serde::{Deserialize, Serialize};

use super::error::{Code, Refused};
use super::{AuthServer, encode};
use crate::signin::Anew;
use crate::store::{Space, StoreError};
use crate::web::{PageAnswer, cookie, digest, digest_text, fresh_secret};

/// Time for a person to decide and to sign in.
pub(super) const PENDING_S_MAX: u64 = 900;
/// Requests that wait at once.
const PENDING_MAX: u64 = 20_000;
/// Cookie that binds requests to the browser that began them.
const BROWSER_COOKIE: &str = "browser";
/// Its life, in seconds.
const BROWSER_S: u64 = 3_600;

/// What was asked, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// SHA-256 of the cookie of the browser that asked.
    pub(super) browser: String,
    pub(super) client_id: String,
    /// The registration that the page showed.
    pub(super) client_digest: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) challenge: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    /// A person in front of that browser said yes.
    pub(super) approved: bool,
    /// Sign-ins of before this time do not count.
    pub(super) signed_in_after_s: u64,
    /// What the provider shall ask.
    #[serde(default)]
    pub(super) anew: Anew,
}

impl AuthServer {
    /// The secret of the browser's cookie: the one it has, or a new one.
    pub(super) fn browser(&self, headers: &http::HeaderMap) -> Result<String, Refused> {
        match cookie(headers, &self.site.cookie_name(BROWSER_COOKIE)) {
            Some(known) if known.len() == 43 => Ok(known.to_owned()),
            _ => Ok(fresh_secret()?),
        }
    }

    pub(super) fn with_browser(&self, answer: PageAnswer, browser: &str) -> PageAnswer {
        answer.cookie(self.site.set_cookie(BROWSER_COOKIE, browser, BROWSER_S))
    }

    /// Whether the request came from the browser that `pending` is bound to.
    pub(super) fn is_of_browser(&self, headers: &http::HeaderMap, pending: &Pending) -> bool {
        cookie(headers, &self.site.cookie_name(BROWSER_COOKIE)).is_some_and(|secret| digest_text(secret) == pending.browser)
    }

    /// Keeps `pending`, and gives the id to find it by.
    pub(super) async fn keep(&self, pending: &Pending) -> Result<String, Refused> {
        let id = fresh_secret()?;
        let ends_s = self.clock.unix_s().saturating_add(PENDING_S_MAX);
        let kept = self.store().add(Space::Authorization, &digest(&id), &encode(pending)?, ends_s, PENDING_MAX).await?;
        if kept { Ok(id) } else { Err(Refused::new(Code::SlowDown, "too many requests wait for a person")) }
    }

    pub(super) async fn kept(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        let value = self.store().get(Space::Authorization, &digest(id)).await?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// The request `id`, which is then no longer there.
    pub(super) async fn take(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        let value = self.store().take(Space::Authorization, &digest(id)).await?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Notes that a person said yes; false if something changed meanwhile.
    pub(super) async fn approve(&self, id: &str, pending: &Pending) -> Result<bool, StoreError> {
        let (before, after) = (encode(pending)?, encode(&Pending { approved: true, ..pending.clone() })?);
        let ends_s = self.clock.unix_s().saturating_add(PENDING_S_MAX);
        self.store().swap(Space::Authorization, &digest(id), Some(&before), Some(&after), Some(ends_s)).await
    }
}
