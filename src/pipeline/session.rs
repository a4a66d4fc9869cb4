//! Legacy sessions (2025-03-26 to 2025-11-25): sealed into their own id, so that any replica can open them and none is stored.
//!
//! Only what cannot be sealed lives in bounded local tables: a changed log level, the ids that were ended, and of each principal the
//! latest sessions. Those that make room for newer ones need no entry: ids are in the order of their making (RFC 9562, version 7), and
//! the newest that made room ends all that are older. Sessions that were opened elsewhere, or before a restart, are no exception: since
//! then their principal has opened as many here as it may have.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use crate::mcp::LogLevel;
use crate::mcp::client_caps::ClientCaps;
use crate::seal::{Binding, Purpose, Sealer, Unsealed};
use crate::vocab::limits::{REQUEST_STATE_S_MAX, SESSION_S_MAX, SESSION_STATES_MAX};
use crate::vocab::{PrincipalKey, Revision};

/// What a session id says when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unguessable, unique; the key of the local table.
    pub id: u128,
    /// The revision agreed at `initialize`.
    pub revision: Revision,
    /// What the client declared there that it can be asked.
    pub caps: ClientCaps,
    /// When it is over, in seconds since the Unix epoch.
    pub expires_s: u64,
}

/// Mints and opens session ids.
pub struct Sessions {
    levels: Cache<u128, LogLevel>,
    /// False until a first session sets a level: few ever do, and every call asks.
    leveled: AtomicBool,
    ended: Cache<u128, ()>,
    spent: Cache<[u8; 32], ()>,
    /// Sessions opened here, per principal.
    open: Cache<PrincipalKey, Arc<Mutex<Latest>>>,
    /// When the newest session was made that had to make room for another, in milliseconds since the Unix epoch: only what is not newer
    /// has to be looked for among [`Self::open`].
    outlived_unix_ms: AtomicU64,
}

/// The latest sessions of a principal.
#[derive(Default)]
struct Latest {
    /// Oldest first.
    ids: VecDeque<u128>,
    /// The newest that had to make room. What is not newer is over, wherever it was opened, but for [`Self::ids`].
    outlived: u128,
}

impl Sessions {
    /// No sessions.
    #[expect(clippy::new_without_default, reason = "a table is no neutral value")]
    pub fn new() -> Self {
        let life = Duration::from_secs(SESSION_S_MAX);
        Self {
            outlived_unix_ms: AtomicU64::new(0),
            leveled: AtomicBool::new(false),
            levels: Cache::builder()
                .eviction_policy(EvictionPolicy::lru())
                .max_capacity(SESSION_STATES_MAX)
                .time_to_idle(life)
                .build(),
            ended: Cache::builder()
                .eviction_policy(EvictionPolicy::lru())
                .max_capacity(SESSION_STATES_MAX)
                .time_to_live(life)
                .build(),
            open: Cache::builder()
                .eviction_policy(EvictionPolicy::lru())
                .max_capacity(SESSION_STATES_MAX)
                .time_to_idle(life)
                .build(),
            spent: Cache::builder()
                .eviction_policy(EvictionPolicy::lru())
                .max_capacity(SESSION_STATES_MAX)
                .time_to_live(Duration::from_secs(REQUEST_STATE_S_MAX))
                .build(),
        }
    }

    /// A new session of `principal` on `route`; the text is its id, visible ASCII as the protocol asks. A principal has at most
    /// `most` sessions: opening one more ends the oldest, whose client opens a new one when it is told so (404).
    ///
    /// # Errors
    /// [`Unsealed`] when the system has no randomness.
    pub fn open(
        &self,
        sealer: &Sealer,
        principal: &PrincipalKey,
        route: &str,
        (revision, caps): (Revision, ClientCaps),
        now_s: u64,
        most: usize,
    ) -> Result<(String, Vec<u128>), Unsealed> {
        let id = uuid::Uuid::now_v7().as_u128();
        let mut payload = id.to_be_bytes().to_vec();
        payload.push(caps.bits());
        payload.extend_from_slice(revision.as_str().as_bytes());
        let ended = self.count(principal, id, most);
        Ok((sealer.seal(binding(principal, route), &payload, now_s.saturating_add(SESSION_S_MAX))?, ended))
    }

    /// The session `text` names, if it is this principal's, of this route, and not over.
    ///
    /// # Errors
    /// [`Unsealed`], whatever the cause.
    pub fn find(
        &self,
        sealer: &Sealer,
        principal: &PrincipalKey,
        route: &str,
        text: &str,
        now_s: u64,
    ) -> Result<Session, Unsealed> {
        let (payload, expires_s) = sealer.open_with_expiry(binding(principal, route), text, now_s)?;
        let (id, rest) = payload.split_first_chunk::<16>().ok_or(Unsealed)?;
        let (caps, revision) = rest.split_first().ok_or(Unsealed)?;
        let id = u128::from_be_bytes(*id);
        let revision = std::str::from_utf8(revision).ok().and_then(Revision::parse).ok_or(Unsealed)?;
        self.going_on(principal, Session { id, revision, caps: ClientCaps::from_bits(*caps), expires_s }, now_s)
    }

    /// A session of `principal` that was found before, if it is not over by now.
    ///
    /// # Errors
    /// [`Unsealed`], as if it had never been found.
    pub fn going_on(&self, principal: &PrincipalKey, session: Session, now_s: u64) -> Result<Session, Unsealed> {
        let over = now_s >= session.expires_s || self.ended.contains_key(&session.id) || self.made_room(principal, session.id);
        if over { Err(Unsealed) } else { Ok(session) }
    }

    /// Whether a newer session of the principal took the place of this one.
    fn made_room(&self, principal: &PrincipalKey, id: u128) -> bool {
        if made_unix_ms(id) > self.outlived_unix_ms.load(Ordering::Acquire) {
            return false;
        }
        self.open.get(principal).is_some_and(|latest| {
            let latest = latest.lock();
            id <= latest.outlived && !latest.ids.contains(&id)
        })
    }

    fn count(&self, principal: &PrincipalKey, id: u128, most: usize) -> Vec<u128> {
        let latest = self.open.get_with(principal.clone(), Arc::default);
        let mut latest = latest.lock();
        latest.ids.push_back(id);
        let over = latest.ids.len().saturating_sub(most);
        let ended: Vec<u128> = latest.ids.drain(..over).collect();
        for oldest in &ended {
            self.outlived_unix_ms.fetch_max(made_unix_ms(*oldest), Ordering::AcqRel);
            latest.outlived = latest.outlived.max(*oldest);
            self.levels.invalidate(oldest);
        }
        ended
    }

    /// Ends a session: its id never opens again here.
    pub fn end(&self, principal: &PrincipalKey, session: Session) {
        if let Some(open) = self.open.get(principal) {
            open.lock().ids.retain(|id| *id != session.id);
        }
        self.levels.invalidate(&session.id);
        self.ended.insert(session.id, ());
    }

    /// True the first time a sealed `requestState` is used here, false ever after.
    pub(super) fn spend(&self, sealed: &str) -> bool {
        self.spent.entry(digest(sealed)).or_insert(()).is_fresh()
    }

    /// True once a sealed `requestState` was used here.
    pub(super) fn is_spent(&self, sealed: &str) -> bool {
        self.spent.contains_key(&digest(sealed))
    }

    /// The log level the session asked for, if it did.
    pub fn level(&self, session: Session) -> Option<LogLevel> {
        if self.leveled.load(Ordering::Acquire) { self.levels.get(&session.id) } else { None }
    }

    /// Sets the session's log level.
    pub fn set_level(&self, session: Session, level: LogLevel) {
        self.levels.insert(session.id, level);
        self.leveled.store(true, Ordering::Release);
    }
}

/// When the id was made, in milliseconds since the Unix epoch (RFC 9562, section 5.7).
fn made_unix_ms(id: u128) -> u64 {
    u64::try_from(id >> 80).unwrap_or(u64::MAX)
}

fn digest(text: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    <[u8; 32]>::try_from(digest.as_ref()).unwrap_or_default()
}

fn binding<'a>(principal: &'a PrincipalKey, route: &'a str) -> Binding<'a> {
    Binding { purpose: Purpose::Session, principal, route, context: b"" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_one_principal_on_one_route_until_it_ends() {
        let sealer = Sealer::with_key(&[1; 32]).unwrap();
        let sessions = Sessions::new();
        let key = |sub: &str| PrincipalKey { iss: "i".into(), sub: sub.into() };
        let caps = ClientCaps { roots: true, ..ClientCaps::NONE };
        let (alice, bob) = (key("alice"), key("bob"));
        let id = sessions.open(&sealer, &alice, "/mcp", (Revision::V2025_06_18, caps), 1_000, 2).unwrap().0;
        assert!(id.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        let session = sessions.find(&sealer, &alice, "/mcp", &id, 1_001).unwrap();
        assert_eq!((session.revision, session.caps), (Revision::V2025_06_18, caps));
        assert_eq!(sessions.going_on(&alice, session, 1_000 + SESSION_S_MAX - 1), Ok(session));
        assert_eq!(sessions.going_on(&alice, session, 1_000 + SESSION_S_MAX), Err(Unsealed));
        assert_eq!(sessions.find(&sealer, &bob, "/mcp", &id, 1_001), Err(Unsealed));
        assert_eq!(sessions.find(&sealer, &alice, "/other", &id, 1_001), Err(Unsealed));
        assert_eq!(sessions.find(&sealer, &alice, "/mcp", &id, 1_001 + SESSION_S_MAX), Err(Unsealed));
        sessions.set_level(session, LogLevel::Error);
        assert_eq!(sessions.level(session), Some(LogLevel::Error));
        sessions.end(&alice, session);
        assert_eq!(sessions.find(&sealer, &alice, "/mcp", &id, 1_001), Err(Unsealed));
        assert_eq!(sessions.going_on(&alice, session, 1_001), Err(Unsealed));
        assert_eq!(sessions.level(session), None);
    }

    #[test]
    fn one_session_too_many_ends_the_oldest() {
        let sealer = Sealer::with_key(&[1; 32]).unwrap();
        let sessions = Sessions::new();
        let alice = PrincipalKey { iss: "i".into(), sub: "alice".into() };
        let open = || sessions.open(&sealer, &alice, "/mcp", (Revision::V2025_06_18, ClientCaps::NONE), 1_000, 2).unwrap().0;
        let lives = |id: &str| sessions.find(&sealer, &alice, "/mcp", id, 1_001).is_ok();
        let ids = [open(), open(), open()];
        assert_eq!(ids.each_ref().map(|id| lives(id)), [false, true, true]);
        sessions.ended.run_pending_tasks();
        assert_eq!(sessions.ended.entry_count(), 0, "what makes room leaves nothing behind");
        let elsewhere = Sessions::new().open(&sealer, &alice, "/mcp", (Revision::V2025_06_18, ClientCaps::NONE), 1_000, 2);
        assert!(lives(&elsewhere.unwrap().0), "newer than those, and opened by another replica");
        let second = sessions.find(&sealer, &alice, "/mcp", &ids[1], 1_001).unwrap();
        sessions.end(&alice, second);
        let fourth = open();
        assert!(lives(&ids[2]) && lives(&fourth), "an ended session leaves room");
        let third = sessions.find(&sealer, &alice, "/mcp", &ids[2], 1_001).unwrap();
        let agreed = (Revision::V2025_06_18, ClientCaps::NONE);
        let (_, ended) = sessions.open(&sealer, &alice, "/mcp", agreed, 1_000, 2).unwrap();
        assert_eq!(ended, [third.id], "whoever opens it can drop what was kept for the other");
    }
}
