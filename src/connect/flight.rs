//! One refresh per account at a time, however many wait for it, on whatever thread.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use super::Whose;
use super::tokens::Usable;
use crate::vocab::Fault;

/// A refresh that several wait for.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Usable, Fault>>>;

/// Refreshes under way. There are no more of them than accounts in use, and what one of them gave is not kept here.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Whose, Flight>>);

impl Flights {
    /// The refresh of `whose` that is under way, or the one that `start` begins; true if it was begun. Whoever begins one drives it
    /// to its end, and then says that it [`Self::landed`].
    pub(super) fn join(&self, whose: &Whose, start: impl FnOnce() -> Flight) -> (Flight, bool) {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(whose) {
            return (flight.clone(), false);
        }
        let flight = start();
        flights.insert(whose.clone(), flight.clone());
        (flight, true)
    }

    /// `flight` is over: whoever comes next begins another.
    pub(super) fn landed(&self, whose: &Whose, flight: &Flight) {
        let mut flights = self.0.lock();
        if flights.get(whose).is_some_and(|known| known.ptr_eq(flight)) {
            flights.remove(whose);
        }
    }

    /// Nobody who comes from now on waits for the refresh of `whose` that is under way.
    pub(super) fn forget(&self, whose: &Whose) {
        self.0.lock().remove(whose);
    }
}
