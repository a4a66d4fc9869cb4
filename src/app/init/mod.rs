//! `init`: from the files in which clients keep their MCP servers to a config and a first policy that denies by default.
//!
//! What comes from those files is untrusted, and so is what servers say of themselves: names are made safe, words bounded, and
//! secrets stay where they are. Everything is written to a directory of our own and checked there before it is put in place.

mod address;
mod client_file;
mod contact;
mod draft;
mod jsonc;
mod place;
mod plan;
mod secret;
mod text;
mod words;

use std::path::PathBuf;

use serde::Serialize;

pub use client_file::LeftOut;

use self::contact::Tool;
use self::draft::Found;
use self::place::{Files, Stage};
use self::plan::{Planned, Variables};
use super::load::Texts;
use crate::config::{self, Config};
use crate::policy;
use crate::vocab::{Class, Problem};

/// What to make, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files of clients; empty for those in the usual places.
    pub from: Vec<PathBuf>,
    /// Where `config` and `policies` go.
    pub dir: PathBuf,
    /// The directory below `policies`.
    pub name: String,
    /// Contact no server.
    pub offline: bool,
    /// Write over files that are there.
    pub force: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The operator can mend it.
    #[error("{0}")]
    Input(String),
    /// What would have been written does not hold.
    #[error("what would have been written does not hold")]
    Problems(Vec<Problem>),
    /// Something of ours does not work.
    #[error("{0}")]
    Fault(String),
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The files of clients that were read.
    pub from: Vec<PathBuf>,
    /// The files that were written, the config first.
    pub files: Vec<PathBuf>,
    /// What became an upstream.
    pub upstreams: Vec<Upstream>,
    /// What did not.
    pub left_out: Vec<LeftOut>,
    /// Environment variables that the config refers to.
    pub variables: Vec<String>,
}

/// A server that became an upstream.
#[derive(Debug, Serialize)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// What the client calls it.
    pub given: String,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// How many tools are proposed as reading, writing and destructive; absent if they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Proposed>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
    /// What is worth knowing about it.
    pub notes: Vec<String>,
}

/// Tools by proposed class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is the class of that name")]
pub struct Proposed {
    pub read: usize,
    pub write: usize,
    pub destructive: usize,
}

/// Variables that every environment has.
const ALWAYS_SET: &[&str] = &["HOME", "PATH", "USER"];

/// Makes a config and a first policy.
///
/// # Errors
/// [`InitError`]; then no file was written, or not every one where writing itself failed.
pub fn init(options: &Options) -> Result<Made, InitError> {
    let home = std::env::home_dir();
    let from = if options.from.is_empty() { client_file::usual(home.as_deref()) } else { options.from.clone() };
    if from.is_empty() {
        return Err(InitError::Input("no file of a client is in the usual places: name one with --from FILE".to_owned()));
    }
    let (mut servers, mut left_out) = (Vec::new(), Vec::new());
    for file in &from {
        client_file::read(file, home.as_deref(), &mut servers, &mut left_out)?;
    }
    let mut variables = Variables::default();
    let mut planned = plan::plan(servers, &mut variables);
    let stage = Stage::new().map_err(|error| InitError::Fault(error.to_string()))?;
    // Before any server is contacted, for then it is too late to say that the files are in the way.
    place::clear(&options.dir, &files(&options.name, String::new(), String::new(), String::new()), &options.name, options.force)?;
    let config = settle(&stage, &options.name, &mut planned, &variables, &mut left_out)?;
    let tools = tools(&config, &planned, &variables, options.offline)?;
    let found: Vec<Found<'_>> = planned.iter().zip(&tools).map(|(planned, tools)| Found { planned, tools }).collect();
    let files = files(&options.name, draft::config(&planned, &options.name), draft::policy(&found), draft::cases(&found));
    verify(&stage, &files, &variables)?;
    place::clear(&options.dir, &files, &options.name, options.force)?;
    let files = place::write(&options.dir, &files, options.force)?;
    let named = |name: &&str| planned.iter().any(|one| one.variables.iter().any(|v| v == name)) && !ALWAYS_SET.contains(name);
    let named = variables.names().filter(named).map(str::to_owned).collect();
    let upstreams = planned.into_iter().zip(tools).map(|(planned, tools)| upstream(planned, tools)).collect();
    Ok(Made { from, files, upstreams, left_out, variables: named })
}

fn files(name: &str, config: String, policy: String, cases: String) -> Files {
    vec![
        (place::config_file(), config),
        (place::policy_file(name, "first.yaml"), policy),
        (place::policy_file(name, "first.cases.yaml"), cases),
    ]
}

/// Checks the config, and leaves out the servers that it cannot have.
fn settle(
    stage: &Stage,
    name: &str,
    planned: &mut Vec<Planned>,
    variables: &Variables,
    left_out: &mut Vec<LeftOut>,
) -> Result<Config, InitError> {
    loop {
        if planned.is_empty() {
            let why: Vec<String> = left_out.iter().map(|one| format!("{}: {}", words::plain(&one.given), one.why)).collect();
            return Err(InitError::Input(
                format!("no server to put behind the gateway\n{}", why.join("\n")).trim_end().to_owned(),
            ));
        }
        let files = files(name, draft::config(planned, name), "version: 1\n".to_owned(), String::new());
        place::write(stage.dir(), &files, true)?;
        let problems = match load(stage, variables) {
            Ok(config) => return Ok(config),
            Err(problems) => problems,
        };
        let at = |problem: &Problem| problem.path.strip_prefix("upstreams[")?.split_once(']')?.0.parse::<usize>().ok();
        let Some((index, problem)) = problems.iter().find_map(|problem| Some((at(problem)?, problem))) else {
            return Err(InitError::Problems(problems));
        };
        if index >= planned.len() {
            return Err(InitError::Problems(problems));
        }
        let given = planned.remove(index).given;
        let what = problem.path.rsplit('.').next().unwrap_or_default();
        left_out.push(LeftOut { given, why: words::plain(&format!("its {what} {}", problem.message)) });
    }
}

/// The staged config, with every variable set.
fn load(stage: &Stage, variables: &Variables) -> Result<Config, Vec<Problem>> {
    let any = |name: &str| Some(variables.value(name).unwrap_or_else(|| "unset".to_owned()));
    config::load_with(&stage.dir().join(place::config_file()), &any)
}

/// What is written holds: it is loaded and compiled as the gateway will.
fn verify(stage: &Stage, files: &Files, variables: &Variables) -> Result<(), InitError> {
    place::write(stage.dir(), files, true)?;
    let config = load(stage, variables).map_err(InitError::Problems)?;
    Texts::of(&config).with(policy::compile).map_err(InitError::Problems).map(|_| ())
}

/// The tools of every upstream, in order.
fn tools(
    config: &Config,
    planned: &[Planned],
    variables: &Variables,
    offline: bool,
) -> Result<Vec<Result<Vec<Tool>, String>>, InitError> {
    let refused = |one: &Planned| {
        let unset = one.variables.iter().find(|name| variables.value(name).is_none());
        let unset = unset.map(|name| format!("{name} is not set, so it was not contacted"));
        if offline { Some("it was not contacted (--offline)".to_owned()) } else { unset }
    };
    let wanted = |name: &str| planned.iter().any(|one| one.name == name && refused(one).is_none());
    let mut asked = if offline { Vec::new() } else { contact::tools(config, &wanted)? };
    let one = |one: &Planned| {
        if let Some(why) = refused(one) {
            return Err(why);
        }
        let at = asked.iter().position(|(name, _)| *name == one.name);
        at.map_or_else(|| Err("it was not contacted".to_owned()), |at| asked.swap_remove(at).1)
    };
    Ok(planned.iter().map(one).collect())
}

fn upstream(planned: Planned, tools: Result<Vec<Tool>, String>) -> Upstream {
    let Planned { name, given, is_stdio, notes, .. } = planned;
    let of = |class: Class| tools.iter().flatten().filter(|tool| tool.class == class).count();
    let proposed = Proposed { read: of(Class::Read), write: of(Class::Write), destructive: of(Class::Destructive) };
    let transport = if is_stdio { "stdio" } else { "http" };
    Upstream { name, given, transport, tools: tools.is_ok().then_some(proposed), unlisted: tools.err(), notes }
}

#[cfg(test)]
mod tests;
