//! The protocol, without I/O: strict messages, their revisions, header agreement, event streams.
//!
//! Layer 1. Pure: no tokio, hyper, clock or log.

pub mod canonical;
pub mod client_caps;
pub mod codes;
pub mod decode;
pub mod dialect;
pub mod era;
pub mod error;
pub mod headers;
pub mod interest;
pub mod json;
mod keys;
pub mod list;
pub mod message;
pub mod method;
pub mod mirror;
pub mod names;
pub mod outgoing;
pub mod pointer;
pub mod raw;
pub mod reply;
pub mod rewrite;
pub mod sse;
pub mod task;
mod write;

pub use decode::decode;
pub use dialect::incoming;
pub use dialect::{Lowered, LoweredReply, Operation, ServerCapabilities, ServerInfo};
pub use era::Era;
pub use error::ProtocolError;
pub use headers::McpHeaders;
pub use interest::{Interest, ListSet};
pub use message::{Body, Message, Outcome, Params, Reference, Shape};
pub use method::Method;
pub use outgoing::Outgoing;
pub use raw::{RawId, RawJson};
pub use reply::{Incoming, LogLevel, Notification, Reply, ResultBody, RpcError};
