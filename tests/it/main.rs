//! The gateway's promises, held against the real door and upstreams that record what reaches them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod abandoned;
mod approvals;
mod arriving;
mod authserver;
mod batches;
mod bound;
mod caching;
mod console;
mod cookies;
mod echo;
mod evidence;
mod framing;
mod gate;
mod headers;
mod host_origin;
mod keys;
mod lines;
mod linked_accounts;
mod lists_agree;
mod lists_lacking;
mod many_principals;
mod mutations;
mod notices;
mod peer;
mod public_names;
mod questions;
mod records;
mod reload;
mod replayed;
mod require;
mod rust_sdk;
mod sessions;
mod sessions_flat;
mod shadow;
mod smuggling;
mod stdio_front;
mod stop;
mod streams;
mod tasks;
mod token_variants;
mod tokens;
mod traces;
mod traversal;
mod upstream_credentials;
mod upstream_faults;
mod upstream_sessions;
mod upstream_ways;
mod when;
mod wire;
