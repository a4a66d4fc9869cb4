//! Asking: the request for a call is found, or made.

use std::sync::Arc;
use std::time::Duration;

use super::bound::Bound;
use super::request::{Request, RequestId, State, as_of};
use super::shown::Shown;
use super::{Desk, row};
use crate::mcp::RawJson;
use crate::store::{Space, StoreError};
use crate::vocab::limits::APPROVAL_NAME_CHARS_MAX;
use crate::vocab::{Digest, Principal, PrincipalKey};

/// A call that needs approvals.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is bound.
    pub bound: Bound,
    /// [`Bound::digest`] of the call without answers to its server's questions, as it is started. Where it comes with some, `bound` is of
    /// all that leaves.
    pub start: Digest,
    /// The arguments that `bound` has the digest of. Held against leases, and never kept.
    pub arguments: Option<RawJson>,
    /// Who asks, as the record of the request names them.
    pub principal: Arc<Principal>,
    /// The arguments as people are shown them.
    pub shown: Shown,
    /// How long it can be waited for and used, from now on.
    pub expires: Duration,
    /// Id of the record of the call.
    pub record: String,
    /// How many requests of one person may be open.
    pub open_max: usize,
}

/// Where the request for a call stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// People have to decide.
    Pending(Arc<Request>),
    /// They said yes: to this very call, or to a lease that covers it. Nothing is used up.
    Approved(Arc<Request>),
    /// Somebody said no. Said once: the next time the call is asked for anew.
    Denied(Arc<Request>),
    /// It was not decided, or not used, in time. Said once, as above.
    Expired(Arc<Request>),
}

impl Standing {
    /// The request.
    pub fn request(&self) -> &Arc<Request> {
        match self {
            Self::Pending(request) | Self::Approved(request) | Self::Denied(request) | Self::Expired(request) => request,
        }
    }
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Who asks has as many open requests as are allowed.
    #[error("too many requests of this person are open")]
    TooMany,
    /// There are as many requests as are kept, and all of them are open.
    #[error("too many requests are open")]
    Full,
    /// The record of it could not be made.
    #[error("the audit takes no records")]
    Audit,
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
}

impl Desk {
    /// Finds the request for the call of `case`, or makes it. Nothing is used up.
    ///
    /// # Errors
    /// [`AskError`]; the call must not leave.
    pub async fn ask(&self, case: Case) -> Result<Standing, AskError> {
        let call = case.bound.digest();
        let _turn = self.turn(&call).await;
        let own = self.own(&call);
        let found = match own.as_ref().and_then(found) {
            approved @ Some(Standing::Approved(_)) => approved,
            other => self.lease_for(&case, &call, own.as_deref()).map(Standing::Approved).or(other),
        };
        match found {
            Some(standing @ (Standing::Pending(_) | Standing::Approved(_))) => Ok(standing),
            Some(standing) => {
                self.told(standing.request()).await;
                Ok(standing)
            }
            None => {
                let desk = self.clone();
                self.whole(async move { desk.make(case, call).await }).await?.map(Standing::Pending)
            }
        }
    }

    /// How the request `id` stands, for a call of the digest `call` that waited for it: also for those who hear after others that it was
    /// denied or has expired. `None` for what is used or taken back, or is for another call.
    pub async fn standing(&self, id: &RequestId, call: &Digest) -> Option<Standing> {
        let request = self.get(id).filter(|request| request.digest == *call)?;
        let standing = match request.state {
            State::Pending => Standing::Pending(request),
            State::Approved => Standing::Approved(request),
            State::Denied => Standing::Denied(request),
            State::Expired => Standing::Expired(request),
            State::Withdrawn | State::Used => return None,
        };
        if !standing.request().state.is_open() && !standing.request().told {
            self.told(standing.request()).await;
        }
        Some(standing)
    }

    /// The request for the call of this digest, as it stands.
    pub(super) fn own(&self, call: &Digest) -> Option<Arc<Request>> {
        let request = self.0.index.lock().of_call(call)?;
        Some(as_of(&request, self.0.clock.unix_s()))
    }

    async fn make(&self, case: Case, call: Digest) -> Result<Arc<Request>, AskError> {
        let Case { bound, principal, shown, expires, record, open_max, start: _, arguments: _ } = case;
        let room = self.0.audit.room().map_err(|_| AskError::Audit)?;
        let (id, asked_unix_ms) = (RequestId::mint().ok_or(AskError::Randomness)?, self.0.clock.unix_ms());
        // A no stands until a yes was used, whatever comes between: that it is taken back, or expires, is no yes.
        let set_apart = self.own(&call).is_some_and(|before| before.sets_apart());
        let request = Arc::new(Request {
            id: id.clone(),
            digest: call,
            requester_name: name_of(&principal),
            excerpt: shown.excerpt(),
            record: record.into(),
            asked_unix_ms,
            expires_unix_s: asked_unix_ms.saturating_add(u64::try_from(expires.as_millis()).unwrap_or(u64::MAX)) / 1_000,
            votes: Vec::new(),
            state: State::Pending,
            ended_unix_ms: None,
            told: false,
            set_apart,
            lease: None,
            bound,
        });
        let who = request.requester();
        let evicted = {
            // Its place is held before it is kept, so that no two make the last one.
            let mut index = self.0.index.lock();
            if index.open_of(&who) >= open_max {
                return Err(AskError::TooMany);
            }
            let evicted = index.makes_room(asked_unix_ms / 1_000).ok_or(AskError::Full)?;
            index.hold(&who);
            evicted
        };
        let held = Held { desk: self, who };
        let (key, until_s) = (id.as_str().as_bytes(), row::kept_until_s(&request));
        if let Some(evicted) = evicted {
            self.forget(&evicted).await?;
        }
        self.0.store.put(Space::ApprovalShown, key, &shown.write(), Some(until_s)).await?;
        match self.0.store.swap(Space::Approval, key, None, Some(&row::write(&request)), Some(until_s)).await {
            Ok(true) => {}
            // The id is another's, whose arguments they are now: whoever shows them shows those of this call.
            Ok(false) => return Err(AskError::Randomness),
            Err(error) => {
                // Without its request nobody looks at it; should this fail as well it goes with its time.
                let _ = self.0.store.remove(Space::ApprovalShown, key).await;
                return Err(error.into());
            }
        }
        // Nobody sees it, and decides, before that.
        self.0.index.lock().put_latest(request.clone());
        drop(held);
        self.record(room, "approval/ask", &request, request.note(), Some(principal), None);
        self.tell(&request);
        tracing::info!(approval = %id, name = %request.bound.name, "a call waits for approval");
        Ok(request)
    }
}

/// What `request` still says to whoever makes its call.
fn found(request: &Arc<Request>) -> Option<Standing> {
    let request = request.clone();
    match request.state {
        State::Pending => Some(Standing::Pending(request)),
        State::Approved => Some(Standing::Approved(request)),
        State::Denied if !request.told => Some(Standing::Denied(request)),
        // A lease that is over has nothing to be told of.
        State::Expired if !(request.told || request.lease.is_some() && request.is_met()) => Some(Standing::Expired(request)),
        State::Denied | State::Expired | State::Withdrawn | State::Used => None,
    }
}

/// The place of a request that is not in the store yet: given back also when whoever asks goes away.
struct Held<'a> {
    desk: &'a Desk,
    who: PrincipalKey,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.desk.0.index.lock().release(&self.who);
    }
}

/// What people call whoever asks, where a verified claim says so.
fn name_of(principal: &Principal) -> Option<Box<str>> {
    let name = ["name", "preferred_username", "email"].into_iter().find_map(|claim| principal.claim_strings(claim).next())?;
    Some(name.chars().take(APPROVAL_NAME_CHARS_MAX).collect::<String>().into())
}
