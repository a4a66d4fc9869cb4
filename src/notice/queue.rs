//! What one channel still has to tell: in order for each request, and no request behind another.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::NOTICE_QUEUE_MAX;
use super::row::Delivery;
use crate::approval::RequestId;

/// Deliveries that wait. A request with one under way is not in `due`.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: HashMap<RequestId, VecDeque<Delivery>>,
    due: BinaryHeap<Reverse<(Instant, u64, RequestId)>>,
    count: usize,
    turn: u64,
}

impl Queue {
    /// Puts `delivery` behind the others of its request. Gives it back if there is no room.
    pub(super) fn push(&mut self, delivery: Delivery) -> Result<(), Delivery> {
        if self.count >= NOTICE_QUEUE_MAX {
            return Err(delivery);
        }
        self.count += 1;
        let request = delivery.request.clone();
        match self.lanes.get_mut(&request) {
            Some(lane) => lane.push_back(delivery),
            None => {
                self.lanes.insert(request.clone(), VecDeque::from([delivery]));
                self.schedule(request, Instant::now());
            }
        }
        Ok(())
    }

    /// The next delivery that is due; until it is [`Self::done`] or [`Self::again`], no other of its request is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Delivery> {
        let Reverse((at, _, _)) = self.due.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((_, _, request)) = self.due.pop()?;
        self.lanes.get(&request)?.front().cloned()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _, _))| *at)
    }

    /// The first of `request` is over.
    pub(super) fn done(&mut self, request: &RequestId) {
        let Some(lane) = self.lanes.get_mut(request) else { return };
        if lane.pop_front().is_some() {
            self.count -= 1;
        }
        if lane.is_empty() {
            self.lanes.remove(request);
        } else {
            self.schedule(request.clone(), Instant::now());
        }
    }

    /// The first of its request is tried again after `pause`.
    pub(super) fn again(&mut self, delivery: Delivery, pause: Duration) {
        let request = delivery.request.clone();
        if let Some(first) = self.lanes.get_mut(&request).and_then(VecDeque::front_mut) {
            *first = delivery;
            self.schedule(request, Instant::now() + pause);
        }
    }

    fn schedule(&mut self, request: RequestId, at: Instant) {
        self.turn += 1;
        self.due.push(Reverse((at, self.turn, request)));
    }
}
