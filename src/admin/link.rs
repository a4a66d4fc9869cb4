//! Signing in without an identity provider, in development: a link that is printed at the start, works once, and soon no more.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Map;
use subtle::ConstantTimeEq as _;

use crate::vocab::{Clock, Principal};
use crate::web::{NoRandomness, digest, fresh_secret};

/// The issuer of whoever came by the link.
pub const LINK_ISSUER: &str = "portcullis:console";
/// Their subject.
pub const LINK_SUBJECT: &str = "console";
/// How long the link works, in seconds.
const LINK_S_MAX: u64 = 600;
/// How long its session lives, in seconds.
pub(super) const LINK_SESSION_S_MAX: u64 = 8 * 3_600;

/// The link and the one session that comes of it. Nothing of it outlives the process.
pub struct OneTimeLink {
    clock: Clock,
    state: Mutex<State>,
}

enum State {
    /// Not used yet: SHA-256 of its secret, and the second at which it is over.
    Unused([u8; 32], u64),
    /// Used: SHA-256 of the session's id, and the second at which that is over.
    Used([u8; 32], u64),
    /// Signed out.
    Over,
}

impl OneTimeLink {
    /// A link, and its secret.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(clock: Clock) -> Result<(Self, String), NoRandomness> {
        let secret = fresh_secret()?;
        let state = State::Unused(digest(&secret), clock.unix_s().saturating_add(LINK_S_MAX));
        Ok((Self { clock, state: Mutex::new(state) }, secret))
    }

    /// The id of a new session, for whoever brings the link's secret first and in time.
    pub(super) fn redeem(&self, secret: &str) -> Result<Option<String>, NoRandomness> {
        let id = fresh_secret()?;
        let mut state = self.state.lock();
        let now_s = self.clock.unix_s();
        match &*state {
            State::Unused(known, until_s) if now_s < *until_s && same(known, secret) => {
                *state = State::Used(digest(&id), now_s.saturating_add(LINK_SESSION_S_MAX));
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    /// Whether `id` is the session.
    pub(super) fn holds(&self, id: &str) -> bool {
        matches!(&*self.state.lock(), State::Used(known, until_s) if self.clock.unix_s() < *until_s && same(known, id))
    }

    /// Ends the session.
    pub(super) fn end(&self) {
        *self.state.lock() = State::Over;
    }

    /// Whoever came by the link.
    pub(super) fn person() -> Arc<Principal> {
        Arc::new(Principal {
            iss: Arc::from(LINK_ISSUER),
            sub: Arc::from(LINK_SUBJECT),
            claims: Map::new(),
            anonymous: false,
            ..Principal::anonymous()
        })
    }
}

fn same(known: &[u8; 32], secret: &str) -> bool {
    known.ct_eq(&digest(secret)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once_and_in_time() {
        let clock = Clock::system();
        let (link, secret) = OneTimeLink::new(clock.clone()).unwrap();
        assert_eq!(link.redeem("other").unwrap(), None);
        assert!(!link.holds(&secret), "the link is no session");
        let id = link.redeem(&secret).unwrap().unwrap();
        assert_eq!(link.redeem(&secret).unwrap(), None, "once");
        assert!(link.holds(&id) && !link.holds(&secret));
        link.end();
        assert!(!link.holds(&id));
        assert_eq!(link.redeem(&secret).unwrap(), None, "signing out does not revive it");
    }

    #[test]
    fn a_link_is_over_after_ten_minutes_and_its_session_after_eight_hours() {
        let clock = Clock::system();
        let (late, secret) = OneTimeLink::new(clock.clone()).unwrap();
        let (link, other) = OneTimeLink::new(clock.clone()).unwrap();
        let id = link.redeem(&other).unwrap().unwrap();
        clock.advance_ms(LINK_S_MAX as i64 * 1_000);
        assert_eq!(late.redeem(&secret).unwrap(), None);
        assert!(link.holds(&id));
        clock.advance_ms(LINK_SESSION_S_MAX as i64 * 1_000);
        assert!(!link.holds(&id));
    }
}
