//! A client and a server on the official Rust SDK, for the tests with real peers: `peer client` runs a plan as
//! `tests/peers/clients/driver.mjs` does, `peer server` speaks MCP on standard input and output.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test program"
)]

mod client;
mod http;
mod server;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("client") => client::run().await,
        Some("server") => server::run().await,
        other => panic!("client or server, not {other:?}"),
    }
}
