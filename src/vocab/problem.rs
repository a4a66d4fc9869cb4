//! One mistake in a config or policy file, said so that a person can mend it.

use std::fmt;

use serde::Serialize;

/// A mistake an operator made, with where it stands and what would mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as the operator named it.
    pub file: String,
    /// Line, from 1; 0 where no place is known.
    pub line: u64,
    /// Column, from 1; 0 where no place is known.
    pub column: u64,
    /// Dotted path of the key (`routes[0].path`); empty for the whole file.
    pub path: String,
    /// The offending value, bounded; empty where it could be a secret.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)?;
        if !self.value.is_empty() {
            write!(f, " (value: {})", self.value)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
