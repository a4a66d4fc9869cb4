//! `audit prove` and `audit check-proof`.

use std::fs::File;
use std::io::Read as _;

use serde_json::json;

use super::{CheckProofArgs, ProveArgs, keys};
use crate::audit::verify::{NoProof, Which, check_proof, prove};
use crate::cli::exit::{Exit, Failure};
use crate::cli::out::Out;

/// Size of a proof: a record, twice as long as one may be when its quotes are escaped, and some nodes.
const PROOF_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(super) fn run(args: &ProveArgs, out: &mut Out) -> Result<Exit, Failure> {
    let path = args.log.path()?;
    let keys = keys::find(&args.log.key, &path)?.keys;
    let which = args.record.parse().map_or_else(|_| Which::Id(args.record.clone()), Which::Seq);
    match prove(&path, &which, &keys) {
        Ok(proof) => {
            out.line(serde_json::to_string_pretty(&proof).map_err(Failure::fault)?);
            Ok(Exit::Yes)
        }
        Err(NoProof::Files(error)) => Err(Failure::input(error)),
        Err(why) => {
            out.note(why);
            Ok(Exit::No)
        }
    }
}

pub(super) fn check(args: &CheckProofArgs, out: &mut Out) -> Result<Exit, Failure> {
    let keys = keys::read_all(&args.key)?;
    let failed = |error: std::io::Error| Failure::input(format_args!("{}: {error}", args.file.display()));
    let mut text = Vec::new();
    File::open(&args.file).map_err(failed)?.take(PROOF_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    let proven = check_proof(&text, &keys);
    if args.json {
        let document = match &proven {
            Ok(proven) => {
                let stated = &proven.checkpoint.statement;
                let key = proven.checkpoint.key.to_string();
                json!({ "holds": true, "seq": proven.seq, "log": stated.log.to_string(), "size": stated.size, "time": stated.time, "key": key })
            }
            Err(why) => json!({ "holds": false, "why": why.to_string() }),
        };
        out.line(serde_json::to_string_pretty(&document).map_err(Failure::fault)?);
        return Ok(if proven.is_ok() { Exit::Yes } else { Exit::No });
    }
    match proven {
        Ok(proven) => {
            let stated = &proven.checkpoint.statement;
            let (seq, log, size, time) = (proven.seq, stated.log, stated.size, &stated.time);
            out.line(format_args!("holds: it is record {seq} of the {size} that log {log} had at {time}"));
            out.line(format_args!("  signed with key {}", proven.checkpoint.key));
            Ok(Exit::Yes)
        }
        Err(why) => {
            out.line(format_args!("does NOT hold: {why}"));
            Ok(Exit::No)
        }
    }
}
