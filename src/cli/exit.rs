//! What a verb can end with.

use std::fmt::Display;
use std::process::ExitCode;

use crate::vocab::Problem;

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the answer is yes: 0.
    Yes,
    /// The answer is no: 1.
    No,
    /// The input is wrong: 2.
    Input,
    /// Our fault: 70, `EX_SOFTWARE` of sysexits.
    Fault,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Input => 2,
            Exit::Fault => 70,
        })
    }
}

/// Why a verb could not do its work: the code and what to say on stderr.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) lines: Vec<String>,
}

impl Failure {
    /// The user can mend it.
    pub(super) fn input(why: impl Display) -> Self {
        Self { exit: Exit::Input, lines: vec![why.to_string()] }
    }

    /// The user cannot.
    pub(super) fn fault(why: impl Display) -> Self {
        Self { exit: Exit::Fault, lines: vec![why.to_string()] }
    }

    /// A config or policy file that cannot be used.
    pub(super) fn problems(problems: &[Problem]) -> Self {
        Self { exit: Exit::Input, lines: problems.iter().map(Problem::to_string).collect() }
    }

    /// A verb, or a part of one, that this build does not have.
    pub(super) fn not_built(what: &str) -> Self {
        Self::input(format_args!("not built yet: {what}"))
    }
}
