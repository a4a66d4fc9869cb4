//! The protocol, without I/O: strict messages, their revisions, header agreement, event streams.
//!
//! Layer 1. Pure: no tokio, hyper, clock or log.

pub mod json;
