//! One delivery, as the store keeps it and the log shows it.

use serde::{Deserialize, Serialize};

use super::event::{Event, delivery_id};
use crate::approval::RequestId;
use crate::store::{Space, Store, StoreError};

/// Something to be told by one channel, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id: the same at every attempt.
    pub id: Box<str>,
    /// The name of the channel.
    pub channel: Box<str>,
    /// The request it is about.
    pub request: RequestId,
    /// What happened.
    pub event: Event,
    /// When, in milliseconds since the Unix epoch.
    pub made_unix_ms: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// Where it stands.
    pub outcome: Outcome,
    /// What went wrong last, in our words.
    pub problem: Option<Box<str>>,
    /// When it was tried last, in milliseconds since the Unix epoch.
    pub tried_unix_ms: Option<u64>,
    /// Until when it is remembered, in seconds since the Unix epoch.
    pub(super) kept_until_s: u64,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is tried, or tried again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was not taken, however often it was tried, or there was no room for it.
    Failed,
}

impl Outcome {
    /// The word in the log and the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// What came of beginning a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was begun before.
    Known,
    /// It is in the store now.
    Now,
    /// There is no room for it.
    NoRoom,
}

impl Delivery {
    pub(super) fn new(channel: &str, request: RequestId, event: Event, made_unix_ms: u64, kept_until_s: u64) -> Self {
        Self {
            id: delivery_id(channel, &request, event).into(),
            channel: channel.into(),
            request,
            event,
            made_unix_ms,
            attempts: 0,
            outcome: Outcome::Waiting,
            problem: None,
            tried_unix_ms: None,
            kept_until_s,
        }
    }

    /// Keeps it if it is not known yet, and fewer than `kept_max` are kept.
    pub(super) async fn begin(&self, store: &Store, kept_max: u64) -> Result<Begun, StoreError> {
        let key = self.id.as_bytes();
        // Most often it is known; looking is cheaper than writing. Nobody else makes it meanwhile: one task makes them all.
        if store.get(Space::Notice, key).await?.is_some() {
            return Ok(Begun::Known);
        }
        let added = store.add(Space::Notice, key, &self.write(), self.kept_until_s, kept_max).await?;
        Ok(if added { Begun::Now } else { Begun::NoRoom })
    }

    /// Keeps what became of it.
    pub(super) async fn keep(&self, store: &Store) -> Result<(), StoreError> {
        store.put(Space::Notice, self.id.as_bytes(), &self.write(), Some(self.kept_until_s)).await
    }

    pub(super) fn read(row: &[u8]) -> Option<Self> {
        serde_json::from_slice(row).ok()
    }

    fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
