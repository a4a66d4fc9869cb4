//! `init`: a config and a first policy from the files of clients.

use serde::Serialize;

use super::args::InitArgs;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::app::init::{InitError, Made, Options, Upstream, init};

/// What `init --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    made: &'a Made,
    /// The commands to run next.
    next: Vec<String>,
}

pub(super) fn run(args: InitArgs, out: &mut Out) -> Result<Exit, Failure> {
    let InitArgs { from, dir, name, offline, force, json } = args;
    let made = init(&Options { from, dir, name, offline, force }).map_err(failure)?;
    let next = next(&made);
    if json {
        out.line(serde_json::to_string_pretty(&Report { made: &made, next }).map_err(Failure::fault)?);
        return Ok(Exit::Yes);
    }
    for file in &made.from {
        out.line(format_args!("read     {}", file.display()));
    }
    for file in &made.files {
        out.line(format_args!("written  {}", file.display()));
    }
    for upstream in &made.upstreams {
        out.line(format_args!("\n{} ({}): {}", upstream.name, upstream.transport, tools(upstream)));
        for note in &upstream.notes {
            out.line(format_args!("  {}", clean(note)));
        }
    }
    for left in &made.left_out {
        out.line(format_args!("\n{}: left out: {}", clean(&left.given), clean(&left.why)));
    }
    if !made.variables.is_empty() {
        out.line("\nNo secret was copied. The gateway takes these from its environment:");
        for name in &made.variables {
            out.line(format_args!("  export {name}=..."));
        }
    }
    out.line("\nLook at every class that is proposed in the policy. Then:");
    for command in &next {
        out.line(format_args!("  {command}"));
    }
    Ok(Exit::Yes)
}

fn failure(error: InitError) -> Failure {
    match error {
        InitError::Input(why) => Failure::input(why),
        InitError::Problems(problems) => Failure { exit: Exit::Fault, ..Failure::problems(&problems) },
        InitError::Fault(why) => Failure::fault(why),
    }
}

fn tools(upstream: &Upstream) -> String {
    match (&upstream.tools, &upstream.unlisted) {
        (Some(tools), _) => {
            format!("proposed as read {}, write {}, destructive {}", tools.read, tools.write, tools.destructive)
        }
        (None, why) => format!("tools not listed: {}", why.as_deref().unwrap_or("it was not contacted")),
    }
}

/// The commands that come next.
fn next(made: &Made) -> Vec<String> {
    let config = made.files.first().map(|file| quoted(&file.display().to_string())).unwrap_or_default();
    vec![
        format!("portcullis check --config {config}"),
        format!("portcullis test --config {config}"),
        format!("portcullis serve --config {config}"),
        format!("portcullis token --config {config} --sub you --groups users"),
    ]
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// Names that others chose, without what moves a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
