//! One refresh per account at a time, however many wait for it, on whatever thread.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use super::Whose;
use super::tokens::Usable;
use crate::vocab::Fault;

/// A refresh that several wait for.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Usable, Fault>>>;

/// Refreshes under way. There are no more of them than accounts in use.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Whose, Flight>>);

impl Flights {
    /// The refresh of `whose` that is under way, or the one that `start` begins.
    pub(super) fn join(&self, whose: &Whose, start: impl FnOnce() -> Flight) -> Flight {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(whose).filter(|flight| flight.peek().is_none()) {
            return flight.clone();
        }
        flights.retain(|_, flight| flight.peek().is_none());
        let flight = start();
        flights.insert(whose.clone(), flight.clone());
        flight
    }
}
