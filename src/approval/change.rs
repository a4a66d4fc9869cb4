//! Changing a request: read, changed, and put back if it still is what was read.

use std::sync::Arc;

use super::request::{Request, RequestId, State};
use super::{Desk, row};
use crate::audit::{ApprovalNote, Draft, Kind, OutcomeNote, Room, Status};
use crate::store::{Space, StoreError};
use crate::vocab::limits::APPROVAL_RACES_MAX;
use crate::vocab::{Digest, Principal, PrincipalKey, Reason};

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its id.
    pub id: RequestId,
    /// Where it stands now. A vote that decided nothing is a change too.
    pub state: State,
}

/// Why a request was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is none of this id, or it is not theirs.
    #[error("no such request")]
    NotFound,
    /// It is not pending any more.
    #[error("the request is {}", .0.as_str())]
    Over(State),
    /// The record of it could not be made: nothing was changed.
    #[error("the audit takes no records")]
    Audit,
    /// It could not be kept: nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the record of a change says, and the room for it.
pub(super) struct Note {
    pub(super) room: Room,
    pub(super) what: &'static str,
    /// Who did it; nobody where time did.
    pub(super) who: Option<Arc<Principal>>,
    /// In their words; may be empty.
    pub(super) reason: String,
    /// The arguments of the call, where they need not be those of the request.
    pub(super) arguments: Option<Digest>,
}

impl Note {
    /// That `who` did `what`.
    pub(super) fn of(room: Room, what: &'static str, who: Option<&Arc<Principal>>) -> Self {
        Self { room, what, who: who.cloned(), reason: String::new(), arguments: None }
    }
}

/// How many requests are dealt with at one look.
const LATE_MAX: usize = 256;

impl Desk {
    /// Takes back a pending or approved request of `by`.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn withdraw(&self, id: &RequestId, by: &Arc<Principal>) -> Result<Arc<Request>, ChangeError> {
        self.take_back(id, by, |request| request.state.is_open()).await
    }

    /// As [`Self::withdraw`], where nobody waits for one call any more: other calls can be made under a lease that it led to, which stays.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn give_up(&self, id: &RequestId, by: &Arc<Principal>) -> Result<Arc<Request>, ChangeError> {
        self.take_back(id, by, |request| request.state.is_open() && request.lease_in_force().is_none()).await
    }

    async fn take_back(
        &self,
        id: &RequestId,
        by: &Arc<Principal>,
        can_be: fn(&Request) -> bool,
    ) -> Result<Arc<Request>, ChangeError> {
        let (who, now_ms) = (by.key(), self.0.clock.unix_ms());
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        let note = Note::of(room, "approval/withdraw", Some(by));
        let withdrawn = self.change(id, Some(note), |request, _| {
            if request.requester() != who {
                return Err(ChangeError::NotFound);
            }
            if !can_be(request) {
                return Err(ChangeError::Over(request.state));
            }
            (request.state, request.ended_unix_ms) = (State::Withdrawn, Some(now_ms));
            Ok(())
        });
        withdrawn.await
    }

    /// Notes what has expired, and forgets what is over for long; some of it. True if there is more that can be done at once.
    pub(super) async fn expire(&self) -> bool {
        let (late, mut more) = self.0.index.lock().late(self.0.clock.unix_s(), LATE_MAX);
        for request in late {
            match self.note_expired(&request.id).await {
                Ok(()) => {}
                // Without room for its record it is noted later; it cannot be used meanwhile.
                Err(ChangeError::Audit) => return false,
                Err(ChangeError::NotFound) => drop(self.0.index.lock().remove(&request.id)),
                Err(ChangeError::Over(_)) => more = false,
                Err(ChangeError::Store(error)) => {
                    more = false;
                    tracing::warn!(%error, approval = %request.id, "an expired request could not be noted");
                }
            }
        }
        more
    }

    /// Notes that the request called `id` has expired. The record of it is made by whoever is first to.
    pub(super) async fn note_expired(&self, id: &RequestId) -> Result<(), ChangeError> {
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        let note = Note::of(room, "approval/expire", None);
        let expired = self.change(id, Some(note), |request, kept| match request.state {
            // As it is read it is expired already.
            State::Expired if kept.is_open() => Ok(()),
            state => Err(ChangeError::Over(state)),
        });
        expired.await.map(|_| ())
    }

    /// Remembers that who asked knows how it ended. Should that fail, they are told once more.
    pub(super) async fn told(&self, request: &Request) {
        let told = async {
            // They may come before the look for what has expired.
            if request.state == State::Expired {
                self.note_expired(&request.id).await.or_else(already)?;
            }
            let told = self.change(&request.id, None, |request, _| {
                request.told = true;
                Ok::<(), ChangeError>(())
            });
            told.await
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, approval = %request.id, "it could not be noted that who asked was told");
        }
    }

    /// Reads the request, as it stands now, has `change` change it, and puts it back if nobody was faster; else all of it anew. The
    /// record that `note` describes is made of what was changed. What `change` is told besides is where it stood when it was kept.
    pub(super) async fn change<E: From<ChangeError>>(
        &self,
        id: &RequestId,
        mut note: Option<Note>,
        change: impl Fn(&mut Request, State) -> Result<(), E>,
    ) -> Result<Arc<Request>, E> {
        let (key, failed) = (id.as_str().as_bytes(), |error: StoreError| E::from(ChangeError::Store(error)));
        for _ in 0..APPROVAL_RACES_MAX {
            let before = self.0.store.get(Space::Approval, key).await.map_err(failed)?;
            let before = before.ok_or_else(|| E::from(ChangeError::NotFound))?;
            let stored = row::read(&before).ok_or_else(|| E::from(ChangeError::NotFound))?;
            let mut request = stored.clone();
            if request.state != request.state_at(self.0.clock.unix_s()) {
                request.state = State::Expired;
                request.ended_unix_ms = Some(request.expires_unix_s.saturating_mul(1_000));
            }
            if let Err(error) = change(&mut request, stored.state) {
                // Whoever was faster may not have told here yet.
                self.learn(&Arc::new(stored));
                return Err(error);
            }
            let desk = self.clone();
            let put_back = self.whole(async move { desk.put_back(&before, request, note).await }).await;
            match put_back.and_then(|put_back| put_back).map_err(failed)? {
                Ok(request) => return Ok(request),
                Err(unused) => note = unused,
            }
        }
        Err(ChangeError::Store(StoreError::Busy).into())
    }

    /// Puts `request` in place of `before`, and makes it known; gives `note` back where another was faster.
    async fn put_back(
        &self,
        before: &[u8],
        request: Request,
        note: Option<Note>,
    ) -> Result<Result<Arc<Request>, Option<Note>>, StoreError> {
        let (after, until_s) = (row::write(&request), row::kept_until_s(&request));
        let key = request.id.as_str().as_bytes();
        if !self.0.store.swap(Space::Approval, key, Some(before), Some(&after), Some(until_s)).await? {
            return Ok(Err(note));
        }
        let request = Arc::new(request);
        self.learn(&request);
        if let Some(Note { room, what, who, reason, arguments }) = note {
            let said = request.note_for(arguments.unwrap_or(request.bound.arguments));
            self.record(room, what, &request, said, who, Some(&reason));
        }
        Ok(Ok(request))
    }

    /// Takes a request that is over out of the store.
    pub(super) async fn forget(&self, id: &RequestId) -> Result<(), StoreError> {
        self.0.store.remove(Space::Approval, id.as_str().as_bytes()).await?;
        self.0.store.remove(Space::ApprovalShown, id.as_str().as_bytes()).await
    }

    /// Puts into the index what the store has. Of two changes the one that came later in the store may come first here: what is over
    /// stays over, and no vote is lost.
    fn learn(&self, request: &Arc<Request>) {
        let before = {
            let mut index = self.0.index.lock();
            let known = index.get(&request.id);
            if known.as_ref().is_some_and(|known| !is_newer(request, known)) {
                return;
            }
            index.put(request.clone());
            known
        };
        // A use of a lease that has others left is on record, and nobody waits for it.
        if before.is_none_or(|known| known.state != State::Approved || request.state != State::Approved) {
            self.tell(request);
        }
    }

    pub(super) fn tell(&self, request: &Request) {
        // Nobody may be listening.
        let _ = self.0.changes.send(Change { id: request.id.clone(), state: request.state });
    }

    /// The record of what was done with `request`, of which `note` is said: `who` did it, or time.
    pub(super) fn record(
        &self,
        room: Room,
        what: &'static str,
        request: &Request,
        note: ApprovalNote,
        who: Option<Arc<Principal>>,
        reason: Option<&str>,
    ) {
        let mut slot = room.into_slot();
        let draft = slot.draft();
        about(draft, request);
        draft.approval = Some(Box::new(note));
        draft.set_method(what);
        draft.principal = who;
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            let mut text = Vec::new();
            crate::telemetry::escape::push_json_string(&mut text, reason);
            draft.add_field("/reason", &String::from_utf8_lossy(&text));
        }
    }
}

/// That it was noted before is as good.
fn already(error: ChangeError) -> Result<(), ChangeError> {
    match error {
        ChangeError::Over(State::Expired) => Ok(()),
        other => Err(other),
    }
}

/// Whether `request` is a later state of `known`.
fn is_newer(request: &Request, known: &Request) -> bool {
    let age = |request: &Request| {
        let used = request.lease.as_ref().map_or(0, |lease| lease.used);
        (!request.state.is_open(), request.told, request.votes.len(), request.state != State::Pending, used)
    };
    age(request) > age(known)
}

fn about(draft: &mut Draft, request: &Request) {
    let bound = &request.bound;
    draft.kind = Kind::Approval;
    draft.route = Some(Arc::from(&*bound.route));
    draft.upstream = Some(Arc::from(&*bound.upstream));
    draft.set_name(Arc::from(&*bound.name));
    draft.class = Some(bound.class);
    draft.definition = (!bound.definition.is_empty()).then(|| Arc::from(&*bound.definition));
    draft.outcome = Some(OutcomeNote::new(Status::Completed, Reason::Allowed));
}

/// Whether `person` is who asked.
pub(super) fn asked_by(request: &Request, person: &PrincipalKey) -> bool {
    request.requester() == *person
}
