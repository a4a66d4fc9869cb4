//! Cases: what a policy promises, written beside it as data and checked against it.
//!
//! ```yaml
//! - name: support reads public files only
//!   as: { sub: alice, groups: [support] }
//!   call: files__read_file
//!   args: { path: /srv/public/../etc/passwd }
//!   at: 2026-11-21T14:00:00Z
//!   route: /mcp
//!   expect: deny
//!   reason: no_rule
//! ```
//!
//! Without `at` a case happens when the cases are run, without `route` on `/mcp`.

mod gather;
mod read;
mod run;
mod schema;

pub use gather::{Cast, gather, principal};
pub use read::{ROUTE, full_uri};
pub use run::{Broken, CaseOutcome, CatalogFacts, run, run_covered};
pub use schema::schema;

/// Keys of a case.
pub(super) const CASE_KEYS: &[&str] =
    &["name", "as", "at", "route", "call", "args", "read", "get", "list", "visible", "expect", "reason", "rules", "obligations"];
/// Keys of `as`.
pub(super) const AS_KEYS: &[&str] = &["sub", "issuer", "groups", "scopes", "client_id", "tenant", "claims"];
