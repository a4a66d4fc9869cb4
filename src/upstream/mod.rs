//! The servers behind the gateway: connections, sessions, processes, and calls over them.
//!
//! Everything an upstream sends is hostile: bounded, parsed strictly, and an answer only if it has the id of the request.
//! Nothing of a client's HTTP request can reach an upstream from here; a call needs a [`crate::policy::permit::Permit`].

mod answer;
mod breaker;
mod credential;
mod endpoint;
mod feed;
mod http;
mod inbox;
mod key;
mod patience;
mod pause;
mod pipe;
mod registry;
mod settings;
mod shared;
mod stdio;
mod table;
mod watch;
mod wire;

pub use answer::{Answer, Event, QuestionReply};
pub use credential::{
    Asserter, ClientProof, Credential, Issuance, Issue, JagSubject, PersonToken, PersonTokens, Place, Refused, Subject,
    SubjectAssertions, Subjects, TokenServer, usable,
};
pub use endpoint::Upstream;
pub use patience::Patience;
pub use registry::{Prepared, Registry, Unusable, Upstreams};
pub use settings::{Transport, UpstreamLimits, UpstreamSettings};
pub use shared::ListHook;
pub use watch::{Happening, Watch};
pub use wire::Facts;

#[cfg(test)]
mod tests;
