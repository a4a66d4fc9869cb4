//! `audit`: the log, held against its chain, its checkpoints and its keys; and proofs that a record is in it.

mod keys;
mod prove;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{ConfigArg, Unread};
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::config;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Verify every record of a log: 0 sound, 1 broken
    #[command(after_help = verify::HELP)]
    Verify(VerifyArgs),
    /// Print a proof that a record is in the log, for somebody who has neither the log nor trust in its keeper
    Prove(ProveArgs),
    /// Check such a proof, without the log: 0 it holds, 1 it does not
    CheckProof(CheckProofArgs),
    /// Print the public key of the checkpoints, and its id
    Key(KeyArgs),
    #[command(hide = true)]
    Show(Unread),
    #[command(hide = true)]
    Stats(Unread),
}

/// Which log.
#[derive(Debug, Args)]
struct LogArgs {
    /// The directory of the log, or one file of it [default: that of the config]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// A public key of the checkpoints, in PEM; may be repeated [default: keys/checkpoint*.pub beside the log]
    #[arg(long, value_name = "PUB.pem")]
    key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Checkpoints that were kept elsewhere, one a line: without them nobody can tell whether the end of the log is missing
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ProveArgs {
    /// The record: its seq, or its id
    #[arg(value_name = "SEQ|ID")]
    record: String,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct CheckProofArgs {
    /// What `audit prove` printed
    file: PathBuf,
    /// A public key of the checkpoints, in PEM; may be repeated
    #[arg(long, value_name = "PUB.pem", required = true)]
    key: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct KeyArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: AuditArgs, out: &mut Out) -> Result<Exit, Failure> {
    match args.verb {
        AuditVerb::Verify(args) => verify::run(&args, out),
        AuditVerb::Prove(args) => prove::run(&args, out),
        AuditVerb::CheckProof(args) => prove::check(&args, out),
        AuditVerb::Key(args) => keys::show(&args, out),
        AuditVerb::Show(_) => Err(Failure::not_built("audit show")),
        AuditVerb::Stats(_) => Err(Failure::not_built("audit stats")),
    }
}

impl LogArgs {
    /// The path that was given, or else that of the config.
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let config = config::load_to_judge(&self.config.config).map_err(|problems| Failure::problems(&problems))?;
        Ok(config.audit.file)
    }
}
