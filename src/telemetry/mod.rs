//! Logs, metrics and trace context.
//!
//! Layer 2. Names come from `names`; nothing here takes a credential, and every label is bounded.

pub mod current;
pub mod export;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod sampler;
pub mod spans;
pub mod trace;
pub mod tracestate;

pub use crate::vocab::escape;
