//! `audit verify`.

use std::time::Instant;

use super::{VerifyArgs, keys};
use crate::audit::verify::{Report, Signatures, Witnesses, verify};
use crate::cli::exit::{Exit, Failure};
use crate::cli::out::Out;

pub(super) const HELP: &str =
    "Exit codes: 0 sound, 1 broken, 2 the files cannot be read. docs/audit-format.md says what is verified.";

pub(super) fn run(args: &VerifyArgs, out: &mut Out) -> Result<Exit, Failure> {
    let path = args.log.path()?;
    let found = keys::find(&args.log.key, &path)?;
    let witnesses = Witnesses { keys: found.keys, keys_beside_log: found.beside, exported: args.checkpoints.clone() };
    let start = Instant::now();
    let report = verify(&path, &witnesses).map_err(Failure::input)?;
    let took_s = start.elapsed().as_secs_f64();
    if args.json {
        out.line(serde_json::to_string_pretty(&report).map_err(Failure::fault)?);
    } else {
        print(&report, took_s, out);
    }
    Ok(if report.sound { Exit::Yes } else { Exit::No })
}

fn print(report: &Report, took_s: f64, out: &mut Out) {
    match &report.first_bad {
        None => out.line(format_args!("sound: {}", records(report))),
        Some(bad) => {
            out.line(format_args!("BROKEN {bad}"));
            out.line(format_args!("  sound before it: {}", records(report)));
        }
    }
    match &report.covered {
        Some(covered) => {
            let (seq, time, key) = (covered.seq, &covered.time, &covered.key);
            out.line(format_args!("  covered: up to record {}, by the checkpoint of {time} (record {seq}, key {key})", seq - 1));
            if report.uncovered > 0 {
                out.line(format_args!("  not covered yet: {} after it, which are only chained", report.uncovered));
            }
        }
        None => out.line("  covered: nothing, there is no checkpoint"),
    }
    if let Some(first) = report.first_seq.filter(|first| *first > 1) {
        out.line(format_args!("  begins with record {first}: older ones were removed, and nothing is said about them"));
    }
    out.line(match report.signatures {
        Signatures::Checked => "  signatures: checked by the keys given",
        Signatures::CheckedByKeyBesideTheLog => {
            "  signatures: checked by the key beside the log, not by an independent one (--key): who can change both can change the log"
        }
        Signatures::NotChecked => "  signatures: NOT checked, there is no key (--key): who can write the files can have made all of this",
    });
    match &report.exported {
        Some(exported) => {
            let (compared, over, other) = (exported.compared, exported.passed_over, exported.other_logs);
            let rest = format!("{over} older, {other} of other logs, {} unusable", exported.unusable);
            out.line(format_args!("  checkpoints kept elsewhere: {compared} compared; {rest}"));
        }
        None => out.line("  checkpoints kept elsewhere: none given (--checkpoints), so records missing at the end do not show"),
    }
    for aside in &report.set_aside {
        out.line(format_args!("  set aside: {} bytes of {} from byte {}", aside.bytes, aside.file, aside.offset));
    }
    for skipped in &report.skipped {
        out.line(format_args!("  not read: {skipped}"));
    }
    let (mb, files) = (report.bytes as f64 / 1e6, report.files);
    out.note(format_args!("{files} file{}, {mb:.1} MB in {took_s:.2} s ({:.0} MB/s)", s(files), mb / took_s.max(1e-6)));
}

fn records(report: &Report) -> String {
    match (report.first_seq, report.last_seq) {
        (Some(first), Some(last)) if report.records > 0 => format!("{} records, {first} to {last}", report.records),
        _ => "no record".to_owned(),
    }
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
