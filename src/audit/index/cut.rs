//! What is missing in an answer.

use std::fmt;

use serde::Serialize;

/// A file of the log, the end of which cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// How it is named.
    pub file: String,
    /// From which byte on; in a compressed file, as if it were not.
    pub byte: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read from byte {} on: `portcullis audit verify` says more", self.file, self.byte)
    }
}
