//! `schema`: JSON Schemas for editors and validators.

use super::args::SchemaOf;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::config;

pub(super) fn run(of: SchemaOf, out: &mut Out) -> Result<Exit, Failure> {
    let schema = match of {
        SchemaOf::Config => config::schema(),
        SchemaOf::Policy => crate::policy::schema(),
        SchemaOf::Cases => crate::policy::cases::schema(),
        SchemaOf::Audit => crate::audit::schema(),
    };
    out.line(serde_json::to_string_pretty(&schema).map_err(Failure::fault)?);
    Ok(Exit::Yes)
}
