//! What differs between revisions, in one room. Canonical form is that of the newest revision.
//!
//! Each revision is a table of facts with two small functions, in a file of its own; lifting and lowering read the table.
//! Nobody outside asks which revision it is.

mod announced;
mod downgrade;
mod form;
mod handshake;
pub mod incoming;
mod kind;
mod lift;
mod lower;
mod note;
mod question;
mod reply;
mod subscription;
mod v2024_11_05;
mod v2025_03_26;
mod v2025_06_18;
mod v2025_11_25;
mod v2026_07_28;

pub use handshake::{
    ServerCapabilities, ServerInfo, discover_result, initialize_result, parse_capabilities, parse_discover_result,
    parse_initialize_result,
};
pub use kind::QuestionKind;
pub use lift::{Operation, lift_request};
pub use lower::{Answer, ClientNotification, Lowered, lower_answer, lower_initialize, lower_notification, lower_request};
pub use note::{lower_log, lower_progress};
pub use question::{Question, cancelled_question, input_request, lower_question, lower_question_result, lower_withdrawn};
pub use reply::{LoweredReply, lower_reply};
pub use subscription::{lower_acknowledged, lower_list_changed, lower_task, lower_updated, subscription_result};

use super::client_caps::ClientCaps;
use super::method::Method;
use super::raw::RawJson;
use super::reply::RpcError;
use crate::vocab::Revision;

/// One revision.
pub struct Dialect {
    /// Its name.
    pub revision: Revision,
    /// The request methods a client may send.
    pub methods: &'static [Method],
    /// Where version, capabilities and log level of a request stand.
    pub context: Context,
    /// Requests carry `MCP-Protocol-Version`.
    pub version_header: bool,
    /// Arrays of messages exist.
    pub batches: bool,
    /// Servers say whether they complete arguments.
    pub completions: bool,
    /// Structured content that clients look at; what they do not is said in words where nothing else is.
    pub structured: Structured,
    /// What a client can be asked.
    pub questions: ClientCaps,
    /// What a member of a result becomes.
    member: fn(Method, &str, &RawJson) -> Member,
    /// The HTTP status and code a canonical error becomes.
    error: fn(Method, &RpcError) -> (u16, i64),
}

/// Which structured content of tools a revision knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structured {
    /// None.
    None,
    /// Objects.
    Objects,
    /// Any JSON.
    Any,
}

/// Where the context of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// In each request's `_meta`.
    Request,
    /// In a session that `initialize` opened.
    Session,
}

/// What a member of a canonical result becomes.
enum Member {
    Keep,
    Drop,
    Replace(RawJson),
}

impl Dialect {
    /// True when clients of the revision may send requests of `method`.
    pub fn has(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }
}

/// The dialect of a revision.
pub fn of(revision: Revision) -> &'static Dialect {
    match revision {
        Revision::V2024_11_05 => &v2024_11_05::DIALECT,
        Revision::V2025_03_26 => &v2025_03_26::DIALECT,
        Revision::V2025_06_18 => &v2025_06_18::DIALECT,
        Revision::V2025_11_25 => &v2025_11_25::DIALECT,
        Revision::V2026_07_28 => &v2026_07_28::DIALECT,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcripts;
