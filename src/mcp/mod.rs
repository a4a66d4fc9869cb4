//! The protocol, without I/O: strict messages, their revisions, header agreement, event streams.
//!
//! Layer 1. Pure: no tokio, hyper, clock or log.

pub mod client_caps;
pub mod json;
pub mod message;
pub mod method;
pub mod outgoing;
pub mod raw;
pub mod reply;

pub use message::{Body, Message, Params, Reference, Shape};
pub use method::Method;
pub use outgoing::Outgoing;
pub use raw::{RawId, RawJson};
pub use reply::{Incoming, LogLevel, Notification, Reply, ResultBody, RpcError};
