//! A tool as metrics know it.

use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::series::Durations;
use crate::vocab::Class;

/// A tool of one upstream, with what its usual calls count on: it is looked up once, so that an allowed, successful call costs a
/// few atomic additions. The catalog keeps it with the tool.
#[derive(Debug)]
pub struct Tool {
    /// Its full name.
    pub(super) name: Arc<str>,
    /// Of the class that the first call had. A reload may give the tool another one.
    pub(super) allowed: OnceLock<(Option<Class>, Counter)>,
    pub(super) served: OnceLock<Durations>,
    pub(super) called: OnceLock<Durations>,
    pub(super) delivered: OnceLock<Gauge>,
}

impl Tool {
    /// The tool with the full name `name`.
    pub fn new(name: Arc<str>) -> Self {
        let (allowed, served, called, delivered) = Default::default();
        Self { name, allowed, served, called, delivered }
    }

    /// Tokens that its results came to, since the start.
    pub fn delivered_tokens(&self) -> u64 {
        self.delivered.get().map_or(0, |gauge| u64::try_from(gauge.get()).unwrap_or(0))
    }
}
