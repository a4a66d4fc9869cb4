//! Portcullis: a security-hardened gateway for the Model Context Protocol.
//!
//! Layers, bottom up: `vocab`; `mcp`; `config`, `policy`, `net`, `telemetry`; `audit`, `snapshot`;
//! `identity`, `limit`, `catalog`, `upstream`; `pipeline`; `server`, `admin`; `app`, `cli`.
//! A module uses lower layers only. See `docs/ARCHITECTURE.md`.

pub mod identity;
pub mod mcp;
pub mod net;
pub mod policy;
pub mod upstream;
pub mod vocab;
