//! A finding, as it is shown.

use std::fmt;

use serde::Serialize;

use crate::policy::bounds::PROBLEMS_MAX;
use crate::policy::origin::Origin;
use crate::policy::report::printable;
use crate::vocab::Problem;

/// Something legal that was most likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of finding it is: a stable word such as `dead_rule`.
    pub kind: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The rule it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where, what, and what would mend it.
    #[serde(flatten)]
    pub problem: Problem,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Most likely a mistake.
    Warning,
    /// Works as written; worth knowing.
    Note,
}

impl Finding {
    pub(super) fn warning(kind: &'static str, rule: Option<String>, problem: Problem) -> Self {
        Self { kind, severity: Severity::Warning, rule, problem }
    }

    /// Whether it is a warning.
    pub fn is_warning(&self) -> bool {
        self.severity == Severity::Warning
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, "{severity}[{}]: {}", self.kind, self.problem)
    }
}

/// A finding at a place of a file.
pub(super) fn problem(origin: &Origin, value: &str, message: String, hint: String) -> Problem {
    Problem {
        file: origin.file.to_string(),
        line: origin.place.line,
        column: origin.place.column,
        path: origin.path.to_string(),
        value: printable(value),
        message,
        hint,
    }
}

/// In the order of the files, each once, and no more than anybody reads.
pub(super) fn tidy(findings: &mut Vec<Finding>) {
    let place = |finding: &Finding| (finding.problem.file.clone(), finding.problem.line, finding.problem.column, finding.kind);
    findings.sort_by_key(place);
    findings.dedup();
    let more = findings.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        findings.truncate(PROBLEMS_MAX);
        if let Some(last) = findings.last_mut() {
            last.problem.hint.push_str(&format!("\n  and {more} more findings, which are not shown"));
        }
    }
}
