//! Cases: what a policy promises, written beside it as data and checked against it.
//!
//! ```yaml
//! - name: support reads public files only
//!   as: { sub: alice, groups: [support] }
//!   call: files__read_file
//!   args: { path: /srv/public/../etc/passwd }
//!   expect: deny
//!   reason: no_rule
//! ```

mod gather;
mod read;
mod run;
mod schema;

pub use gather::{Cast, gather, principal};
pub use read::full_uri;
pub use run::{Broken, CaseOutcome, CatalogFacts, run, run_covered};
pub use schema::schema;

/// Keys of a case.
pub(super) const CASE_KEYS: &[&str] =
    &["name", "as", "call", "args", "read", "get", "list", "visible", "expect", "reason", "rules", "obligations"];
/// Keys of `as`.
pub(super) const AS_KEYS: &[&str] = &["sub", "issuer", "groups", "scopes", "client_id", "tenant", "claims"];
