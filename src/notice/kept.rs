//! What the store holds when channels begin, page by page: it may be much, and none of it that waits is left out.

use super::limits::{NOTICE_LOG_MAX, NOTICE_ROWS_MAX};
use super::row::{Delivery, Outcome};
use crate::store::{Space, Store, StoreError};

/// Deliveries of before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Those that are still to be told, in the order in which things happened.
    pub(super) waiting: Vec<Delivery>,
    /// The latest of the others, likewise.
    pub(super) done: Vec<Delivery>,
}

impl Kept {
    /// Reads those that are `wanted`. What cannot be read is left out, and said in the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn read(store: &Store, wanted: impl Fn(&Delivery) -> bool) -> Result<Self, StoreError> {
        let (mut kept, mut after) = (Self::default(), Vec::new());
        loop {
            let rows = store.list_after(Space::Notice, &after, NOTICE_ROWS_MAX).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (_, row) in &rows {
                match Delivery::read(row) {
                    Some(delivery) if wanted(&delivery) => kept.add(delivery),
                    Some(_) => {}
                    None => tracing::warn!("a notice in the store cannot be read; nobody is told of it"),
                }
            }
        }
        kept.waiting.sort_by_key(|delivery| (delivery.made_unix_ms, delivery.event));
        kept.trim();
        Ok(kept)
    }

    fn add(&mut self, delivery: Delivery) {
        if delivery.outcome == Outcome::Waiting {
            return self.waiting.push(delivery);
        }
        self.done.push(delivery);
        if self.done.len() >= 2 * NOTICE_LOG_MAX {
            self.trim();
        }
    }

    /// Keeps as many as the log shows.
    fn trim(&mut self) {
        self.done.sort_by_key(|delivery| (delivery.tried_unix_ms, delivery.made_unix_ms, delivery.event));
        drop(self.done.drain(..self.done.len().saturating_sub(NOTICE_LOG_MAX)));
    }
}
