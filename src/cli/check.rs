//! `check`: every mistake of config and policies, or a line that says what was found.

use std::path::Path;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::out::Out;
use crate::app::{self, Checked};
use crate::vocab::Problem;

/// What `check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    problems: &'a [Problem],
    warnings: &'a [Problem],
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

pub(super) fn run(config: &Path, json: bool, out: &mut Out) -> Result<Exit, Failure> {
    let checked = app::check(config);
    let exit = if checked.is_ok() { Exit::Yes } else { Exit::Input };
    if json {
        let text = serde_json::to_string_pretty(&report(&checked)).map_err(Failure::fault)?;
        out.line(text);
        return Ok(exit);
    }
    match &checked {
        Ok(checked) => {
            for warning in &checked.warnings {
                out.line(format_args!("warning: {warning}"));
            }
            out.line(summary(checked));
        }
        Err(problems) => {
            for problem in problems {
                out.line(problem);
            }
            let count = problems.len();
            out.line(format_args!("{count} {}", if count == 1 { "problem" } else { "problems" }));
        }
    }
    Ok(exit)
}

fn report(checked: &Result<Checked, Vec<Problem>>) -> Report<'_> {
    match checked {
        Ok(checked) => Report { ok: true, problems: &[], warnings: &checked.warnings, policy: Some(checked.policy.to_string()) },
        Err(problems) => Report { ok: false, problems, warnings: &[], policy: None },
    }
}

fn summary(checked: &Checked) -> String {
    let config = &checked.config;
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    format!(
        "ok: {}, {}, {}, policy {}",
        count(config.routes.len(), "route"),
        count(config.upstreams.len(), "upstream"),
        count(config.policies.len(), "policy file"),
        checked.policy,
    )
}
