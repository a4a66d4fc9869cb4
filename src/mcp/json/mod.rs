//! Strict JSON (RFC 8259) without a tree: one pass that validates, refuses what parsers disagree about, and hands out spans.
//!
//! Refused beyond the grammar: duplicate keys at any depth (compared after unescaping), lone surrogates, a byte order mark,
//! nesting and member counts above the limits. Numbers are never converted: a span keeps every digit.

mod mend;
mod scan;
mod text;

pub use mend::without_halves;
pub use scan::{Kind, Scanner};
pub use text::{means, push_string, unquote};

/// Why a text is not acceptable JSON. Holds no byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8, or it starts with a byte order mark.
    #[error("not plain UTF-8")]
    Encoding,
    /// Not the JSON grammar; `at` is a byte offset.
    #[error("not valid JSON at byte {at}")]
    Syntax {
        /// Byte offset.
        at: usize,
    },
    /// Nested deeper than allowed.
    #[error("nested too deep")]
    Depth,
    /// The same key twice in one object.
    #[error("duplicate key")]
    DuplicateKey,
    /// More members in one object than allowed.
    #[error("too many members in one object")]
    Members,
    /// A `\u` escape that is half of a surrogate pair.
    #[error("lone surrogate")]
    Surrogate,
    /// Valid JSON of another shape than the caller needs.
    #[error("{0}")]
    Shape(&'static str),
}

/// Checks that `text` is one acceptable JSON value and nothing else.
///
/// # Errors
/// As [`JsonError`].
pub fn validate(text: &[u8], depth_max: usize) -> Result<&str, JsonError> {
    let mut scan = Scanner::new(text, depth_max)?;
    let value = scan.value()?;
    scan.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
