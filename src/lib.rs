//! Portcullis: a security-hardened gateway for the Model Context Protocol.
//!
//! Layers, bottom up: `vocab`; `mcp`; `config`, `policy`, `net`, `telemetry`; `audit`, `snapshot`;
//! `identity`, `limit`, `catalog`, `upstream`; `pipeline`; `server`, `admin`; `app`, `cli`.
//! A module uses lower layers only. See `docs/ARCHITECTURE.md`.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod identity;
pub mod mcp;
pub mod net;
pub mod seal;
pub mod vocab;
