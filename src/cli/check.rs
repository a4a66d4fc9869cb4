//! `check`: every mistake of config and policies, or what looks like one and a line that says what was found.

use serde::Serialize;

use super::args::CheckArgs;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::app::{self, Checked};
use crate::policy::Finding;
use crate::vocab::Problem;

/// What `check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// The exit code is 0.
    ok: bool,
    problems: &'a [Problem],
    warnings: Vec<&'a Finding>,
    notes: Vec<&'a Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
}

pub(super) fn run(args: &CheckArgs, out: &mut Out) -> Result<Exit, Failure> {
    let checked = app::check(&args.config.config, args.tools.as_deref());
    let exit = match &checked {
        Ok(checked) if args.strict && checked.findings.iter().any(Finding::is_warning) => Exit::No,
        Ok(_) => Exit::Yes,
        Err(_) => Exit::Input,
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report(&checked, exit)).map_err(Failure::fault)?;
        out.line(text);
        return Ok(exit);
    }
    match &checked {
        Ok(checked) => {
            for finding in &checked.findings {
                out.line(finding);
            }
            out.line(summary(checked));
        }
        Err(problems) => {
            for problem in problems {
                out.line(problem);
            }
            out.line(count(problems.len(), "problem"));
        }
    }
    Ok(exit)
}

fn report(checked: &Result<Checked, Vec<Problem>>, exit: Exit) -> Report<'_> {
    let ok = exit == Exit::Yes;
    match checked {
        Ok(Checked { findings, policy, .. }) => {
            let (warnings, notes) = findings.iter().partition(|finding| finding.is_warning());
            Report { ok, problems: &[], warnings, notes, policy: Some(policy) }
        }
        Err(problems) => Report { ok, problems, warnings: Vec::new(), notes: Vec::new(), policy: None },
    }
}

fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

fn summary(checked: &Checked) -> String {
    let config = &checked.config;
    let warnings = match checked.findings.iter().filter(|finding| finding.is_warning()).count() {
        0 => String::new(),
        n => format!(", {}", count(n, "warning")),
    };
    let authserver = if config.authserver.is_some() { ", an authorization server" } else { "" };
    format!(
        "ok: {}, {}, {}{authserver}, policy {}{warnings}",
        count(config.routes.len(), "route"),
        count(config.upstreams.len(), "upstream"),
        count(config.policies.len(), "policy file"),
        checked.policy,
    )
}
