//! Outward connections: a dial that refuses addresses nobody consented to, TLS, and a small document fetcher.
//!
//! Layer 2. Knows hosts, addresses and bytes; nothing about who is asking or why.

pub mod address;
pub mod dial;
pub mod fetch;
pub mod stream;
pub mod tls;

pub use dial::{DialError, DialPolicy, dial};
pub use fetch::{Fetch, FetchError, Fetched};
pub use stream::{Origin, Stream, connect};
pub use tls::{TlsError, client_config};

#[cfg(test)]
mod tests;
