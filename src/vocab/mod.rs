//! Words every layer shares: principals, classes, reasons, ids, limits, time.
//!
//! Layer 0. Nothing here knows HTTP, JSON-RPC or tokio.

pub mod ascii;
pub mod certificate;
pub mod class;
pub mod clock;
pub mod deadline;
pub mod digest;
pub mod digits;
pub mod escape;
pub mod id;
pub mod limits;
pub mod outcome;
pub mod principal;
pub mod problem;
pub mod reason;
pub mod resource;
pub mod revision;

pub use certificate::PeerCertificate;
pub use class::Class;
pub use clock::Clock;
pub use deadline::Deadline;
pub use digest::Digest;
pub use id::RecordId;
pub use outcome::{Denial, Fault, FaultKind, Side};
pub use principal::{DEV_ISSUER, Principal, PrincipalKey};
pub use problem::Problem;
pub use reason::Reason;
pub use resource::{Proof, Resource};
pub use revision::Revision;
