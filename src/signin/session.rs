//! Browser sessions: eight hours at most, one hour without use.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{Person, SignIn};
use crate::store::StoreError;
use crate::web::{NoRandomness, cookie, digest, fresh_secret};

/// Longest life of a session, in seconds.
pub(super) const SESSION_S_MAX: u64 = 8 * 3_600;
/// Longest time without use, in seconds.
const IDLE_S_MAX: u64 = 3_600;
/// Use is written down this often at most, in seconds.
const TOUCH_S: u64 = 60;

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Session {
    /// Who.
    pub person: Person,
    /// The session's id: secret, and what form tokens are made of.
    pub(crate) secret: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("sub", &self.person.sub).finish_non_exhaustive()
    }
}

impl Session {
    /// What forms of this session's pages are bound to (see [`crate::web::csrf_token`]).
    pub fn form_secret(&self) -> &str {
        &self.secret
    }
}

impl SignIn {
    /// As [`Self::session`], for what nobody asked for themselves: it does not count as use of the session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unused_session(&self, headers: &HeaderMap) -> Result<Option<Session>, StoreError> {
        find(self, headers, false).await
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    person: Person,
    seen_s: u64,
}

/// The session of a browser; `used` puts off its end for want of use.
pub(super) async fn find(sign_in: &SignIn, headers: &HeaderMap, used: bool) -> Result<Option<Session>, StoreError> {
    let Some(id) = cookie(headers, &sign_in.site.cookie_name(sign_in.entrance.cookie)) else { return Ok(None) };
    let key = digest(id);
    let Some(value) = sign_in.store.get(sign_in.entrance.sessions, &key).await? else { return Ok(None) };
    let Ok(kept) = serde_json::from_slice::<Kept>(&value) else { return Ok(None) };
    let now_s = sign_in.clock.unix_s();
    let ends_s = kept.person.signed_in_s.saturating_add(SESSION_S_MAX);
    // Somebody of another provider than the configured one is nobody here any more.
    if now_s >= ends_s || kept.person.iss != sign_in.idp.issuer {
        return Ok(None);
    }
    if sign_in.is_revoked(&kept.person, None) {
        end(sign_in, id).await?;
        return Ok(None);
    }
    if used && now_s.saturating_sub(kept.seen_s) >= TOUCH_S {
        let touched = Kept { person: kept.person.clone(), seen_s: now_s };
        let new = encode(&touched)?;
        // Lost against another request of the same browser, it was touched all the same.
        sign_in.store.swap(sign_in.entrance.sessions, &key, Some(&value), Some(&new), Some(idle_end(now_s, ends_s))).await?;
    }
    Ok(Some(Session { person: kept.person, secret: id.to_owned() }))
}

/// A new session for `person`, with an id that nobody knew before.
pub(super) async fn create(sign_in: &SignIn, person: &Person) -> Result<String, super::SignInError> {
    let id = fresh_secret().map_err(|NoRandomness| NoRandomness)?;
    let now_s = sign_in.clock.unix_s();
    let value = encode(&Kept { person: person.clone(), seen_s: now_s })?;
    let end = idle_end(now_s, person.signed_in_s.saturating_add(SESSION_S_MAX));
    sign_in.store.put(sign_in.entrance.sessions, &digest(&id), &value, Some(end)).await?;
    Ok(id)
}

pub(super) async fn end(sign_in: &SignIn, id: &str) -> Result<(), StoreError> {
    sign_in.store.remove(sign_in.entrance.sessions, &digest(id)).await
}

fn idle_end(now_s: u64, ends_s: u64) -> u64 {
    now_s.saturating_add(IDLE_S_MAX).min(ends_s)
}

fn encode(kept: &Kept) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(kept).map_err(|error| StoreError::Failed(error.to_string()))
}
