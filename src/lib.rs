//! Portcullis: a security-hardened gateway for the Model Context Protocol.
//!
//! Layers, bottom up: `vocab`; `mcp`, `private_file`, `scrub`; `config`, `policy`, `net`, `seal`, `signer`, `store`, `telemetry`, `web`;
//! `audit`, `oauth`, `vault`; `approval`, `identity`, `limit`, `inspect`, `upstream`, `bridge`; `catalog`, `notice`, `signin`;
//! `authserver`, `connect`, `export`; `pipeline`; `server`, `admin`; `app`; `demo`; `cli`. A module uses lower layers only. See
//! `docs/ARCHITECTURE.md`.

pub mod admin;
pub mod app;
pub mod approval;
pub mod audit;
pub mod authserver;
pub mod bridge;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod connect;
#[cfg(feature = "demo")]
pub mod demo;
pub mod export;
pub mod identity;
pub mod inspect;
pub mod limit;
pub mod mcp;
pub mod net;
pub mod notice;
pub mod oauth;
pub mod pipeline;
pub mod policy;
pub mod private_file;
pub mod scrub;
pub mod seal;
pub mod server;
pub mod signer;
pub mod signin;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod vault;
pub mod vocab;
pub mod web;
