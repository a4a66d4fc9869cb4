//! `audit`: the log, held against its chain, its checkpoints and its keys; proofs that a record is in it; what it says.

mod keys;
mod moment;
mod prove;
mod show;
mod shown;
mod stats;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::ConfigArg;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::audit::verify::whole;
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
    /// Show one record and what belongs to it, or the latest that fit
    #[command(after_help = show::HELP)]
    Show(Box<show::ShowArgs>),
    /// Count: who called what, what was refused and why, errors, times, sizes
    #[command(after_help = stats::HELP)]
    Stats(stats::StatsArgs),
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
        AuditVerb::Show(args) => show::run(&args, out),
        AuditVerb::Stats(args) => stats::run(&args, out),
    }
}

impl LogArgs {
    /// The path that was given, or else that of the config.
    fn path(&self) -> Result<PathBuf, Failure> {
        log_path(self.path.as_deref(), &self.config)
    }
}

/// The path that was given, or else that of the config.
fn log_path(given: Option<&Path>, config: &ConfigArg) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => Ok(path.to_owned()),
        None => {
            let config = config::load_to_judge(&config.config).map_err(|problems| Failure::problems(&problems))?;
            Ok(whole(&config.audit.file).to_owned())
        }
    }
}
