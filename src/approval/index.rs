//! What is in the store, in memory: found by id, by call, by who asked, and newest first. Bounded.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::request::{Request, RequestId, State, as_of};
use super::{Filter, row};
use crate::vocab::limits::APPROVALS_KEPT_MAX;
use crate::vocab::{Digest, PrincipalKey};

/// When it was asked for, then its id: unique, and in the order of time.
type Place = (u64, RequestId);

#[derive(Default)]
pub(super) struct Index {
    requests: HashMap<RequestId, Arc<Request>>,
    /// The request that a call finds when it is made again.
    by_call: HashMap<Digest, RequestId>,
    /// The lease that calls find that are the same but for their arguments.
    by_scope: HashMap<Digest, RequestId>,
    all: BTreeSet<Place>,
    pending: BTreeSet<Place>,
    /// When something is to be done with each next, in seconds since the Unix epoch: an open one expires, another is forgotten.
    due: BTreeSet<(u64, RequestId)>,
    /// Requests of one person of which something may still come.
    open: HashMap<PrincipalKey, usize>,
    /// Places of requests that are not in the store yet, and so are nobody's to see.
    held: usize,
}

fn place(request: &Request) -> Place {
    (request.asked_unix_ms, request.id.clone())
}

fn due(request: &Request) -> (u64, RequestId) {
    let at_s = if request.state.is_open() { request.expires_unix_s } else { row::kept_until_s(request) };
    (at_s, request.id.clone())
}

impl Index {
    pub(super) fn get(&self, id: &RequestId) -> Option<Arc<Request>> {
        self.requests.get(id).cloned()
    }

    /// The request that the call of this digest finds.
    pub(super) fn of_call(&self, call: &Digest) -> Option<Arc<Request>> {
        self.get(self.by_call.get(call)?)
    }

    /// The lease for calls of this scope, which may be over.
    pub(super) fn of_scope(&self, scope: &Digest) -> Option<Arc<Request>> {
        self.get(self.by_scope.get(scope)?)
    }

    /// Every lease that was not over when it was put in. Takes as long as requests are kept.
    pub(super) fn leases(&self) -> Vec<Arc<Request>> {
        self.requests.values().filter(|request| request.lease_in_force().is_some()).cloned().collect()
    }

    pub(super) fn open_of(&self, who: &PrincipalKey) -> usize {
        self.open.get(who).copied().unwrap_or(0)
    }

    /// Puts a request in that was made just now: its call finds it from now on, whatever clocks say of those before.
    pub(super) fn put_latest(&mut self, request: Arc<Request>) {
        let (call, id) = (request.digest, request.id.clone());
        self.put(request);
        self.by_call.insert(call, id);
    }

    /// Puts `request` in, in place of itself as it was. Gives what it was.
    pub(super) fn put(&mut self, request: Arc<Request>) -> Option<Arc<Request>> {
        let was_found = self.by_call.get(&request.digest) == Some(&request.id);
        let before = self.remove(&request.id);
        let place = place(&request);
        if request.state == State::Pending {
            self.pending.insert(place.clone());
        }
        if request.state.is_open() {
            self.opened(&request.requester());
        }
        // Of several for the same call the one made last is found: of those read from the store, as far as clocks can say.
        let is_later = || self.of_call(&request.digest).is_none_or(|known| known.asked_unix_ms <= request.asked_unix_ms);
        if was_found || (before.is_none() && is_later()) {
            self.by_call.insert(request.digest, request.id.clone());
        }
        if request.lease_in_force().is_some() {
            self.by_scope.insert(request.bound.scope(), request.id.clone());
        }
        self.all.insert(place);
        self.due.insert(due(&request));
        self.requests.insert(request.id.clone(), request);
        before
    }

    pub(super) fn remove(&mut self, id: &RequestId) -> Option<Arc<Request>> {
        let request = self.requests.remove(id)?;
        let place = place(&request);
        self.all.remove(&place);
        self.pending.remove(&place);
        self.due.remove(&due(&request));
        if self.by_call.get(&request.digest) == Some(id) {
            self.by_call.remove(&request.digest);
        }
        if request.lease_in_force().is_some() {
            let scope = request.bound.scope();
            if self.by_scope.get(&scope) == Some(id) {
                self.by_scope.remove(&scope);
            }
        }
        if request.state.is_open() {
            self.ended(&request.requester());
        }
        Some(request)
    }

    /// Holds the place of a request that `who` is about to make.
    pub(super) fn hold(&mut self, who: &PrincipalKey) {
        self.opened(who);
        self.held += 1;
    }

    /// Gives such a place back.
    pub(super) fn release(&mut self, who: &PrincipalKey) {
        self.ended(who);
        self.held = self.held.saturating_sub(1);
    }

    fn opened(&mut self, who: &PrincipalKey) {
        *self.open.entry(who.clone()).or_default() += 1;
    }

    fn ended(&mut self, who: &PrincipalKey) {
        if let Some(open) = self.open.get_mut(who) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open.remove(who);
            }
        }
    }

    /// Makes room for one more, at the cost of the oldest that is over, which it gives; `None` if there is none. What keeps its call from
    /// running under a lease goes after all others, and not while there is such a lease: whoever asks could drive it out.
    pub(super) fn makes_room(&mut self, now_s: u64) -> Option<Option<RequestId>> {
        if self.requests.len() + self.held < APPROVALS_KEPT_MAX {
            return Some(None);
        }
        let over = || self.all.iter().filter_map(|(_, id)| self.requests.get(id)).filter(|request| !request.state.is_open());
        let oldest = over().find(|request| !self.keeps_apart(request));
        let oldest = oldest.or_else(|| over().find(|request| !self.is_leased(&request.bound.scope(), now_s)))?.id.clone();
        self.remove(&oldest);
        Some(Some(oldest))
    }

    /// Whether `request` is what its call finds, and keeps it from running under a lease. Only a no of somebody else than who asks makes
    /// one more of these.
    fn keeps_apart(&self, request: &Request) -> bool {
        request.sets_apart() && self.by_call.get(&request.digest) == Some(&request.id)
    }

    fn is_leased(&self, scope: &Digest, now_s: u64) -> bool {
        self.of_scope(scope).is_some_and(|lease| as_of(&lease, now_s).lease_in_force().is_some())
    }

    pub(super) fn list(&self, filter: &Filter, after: Option<&RequestId>, limit: usize, now_s: u64) -> Vec<Arc<Request>> {
        let places = if filter.state == Some(State::Pending) { &self.pending } else { &self.all };
        // None is copied that is not given.
        let fits = |request: &&Arc<Request>| {
            filter.state.is_none_or(|state| request.state_at(now_s) == state)
                && filter
                    .requester
                    .as_ref()
                    .is_none_or(|who| (&*who.iss, &*who.sub) == (&*request.bound.iss, &*request.bound.sub))
                && filter.sub.as_deref().is_none_or(|sub| *request.bound.sub == *sub)
                && filter.name.as_deref().is_none_or(|name| *request.bound.name == *name)
        };
        let newest_first = |from: &mut dyn Iterator<Item = &Place>| {
            let requests = from.filter_map(|(_, id)| self.requests.get(id)).filter(fits);
            requests.take(limit).map(|request| as_of(request, now_s)).collect()
        };
        match after.map(|id| self.requests.get(id)) {
            None => newest_first(&mut places.iter().rev()),
            Some(Some(after)) => newest_first(&mut places.range(..place(after)).rev()),
            Some(None) => Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn requests(&self) -> impl Iterator<Item = &Arc<Request>> {
        self.requests.values()
    }

    pub(super) fn counts(&self, now_s: u64) -> [(State, usize); State::ALL.len()] {
        let mut counts = State::ALL.map(|state| (state, 0));
        for request in self.requests.values() {
            let state = request.state_at(now_s);
            counts.iter_mut().filter(|(of, _)| *of == state).for_each(|(_, count)| *count += 1);
        }
        counts
    }

    /// The first `most` with which something is to be done by `now_s`: those that are open, to be noted as expired; and those that are
    /// over for long, which are forgotten here at once. Takes as long as `most` says, however many there are; true if there may be more.
    pub(super) fn late(&mut self, now_s: u64, most: usize) -> (Vec<Arc<Request>>, bool) {
        let late: Vec<RequestId> =
            self.due.iter().take_while(|(at_s, _)| *at_s <= now_s).take(most).map(|(_, id)| id.clone()).collect();
        let (mut expired, mut gone) = (Vec::new(), Vec::new());
        for request in late.iter().filter_map(|id| self.requests.get(id)) {
            if request.state.is_open() { expired.push(request.clone()) } else { gone.push(request.id.clone()) }
        }
        gone.iter().for_each(|id| drop(self.remove(id)));
        (expired, late.len() == most)
    }
}
