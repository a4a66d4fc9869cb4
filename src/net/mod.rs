//! Connections, outward and inward: a dial that refuses addresses nobody consented to, TLS, a small document fetcher, pauses between
//! attempts, and the rules and bounds that every request head and body meets.
//!
//! Layer 2. Knows hosts, addresses, heads and bytes; nothing about who is asking or why.

pub mod address;
pub mod backoff;
pub mod body;
pub mod dial;
pub mod drain;
pub mod fetch;
pub mod head;
pub mod stream;
pub mod tls;
pub mod workers;

pub use dial::{DialError, DialPolicy, dial};
pub use fetch::{Fetch, FetchError, Fetched, Payload, Replied};
pub use stream::{Origin, Stream, connect, secure};
pub use tls::{TlsError, client_config, client_config_for, with_certificate};
pub use workers::Workers;

#[cfg(test)]
mod tests;
