//! Against authorization servers on loopback, written here.
#![expect(clippy::disallowed_methods, reason = "tests")]

mod challenge;
