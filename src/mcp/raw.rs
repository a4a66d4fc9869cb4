//! Spans of validated JSON, shared with the buffer they came from.

use std::fmt;

use bytes::Bytes;

use super::json::{JsonError, Kind, Scanner, validate};
use crate::vocab::limits::RPC_ID_BYTES_MAX;

/// One JSON value as it was written, known to be acceptable to [`super::json`]. Cloning copies no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// Validates `text`.
    ///
    /// # Errors
    /// As [`JsonError`].
    pub fn parse(text: Bytes, depth_max: usize) -> Result<Self, JsonError> {
        let start = validate(&text, depth_max)?;
        Ok(Self(text.slice_ref(start.as_bytes())))
    }

    /// A span that a [`Scanner`] over `buffer` returned.
    pub(super) fn of_span(buffer: &Bytes, span: &str) -> Self {
        Self(buffer.slice_ref(span.as_bytes()))
    }

    /// A value written by this program.
    pub fn of_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A value this program serialised; not checked again.
    pub(crate) fn of_ours(text: Vec<u8>) -> Self {
        Self(Bytes::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The buffer slice itself.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// What the value is.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.as_str())
    }

    /// A scanner over the value, which was validated before.
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner::trusted(self.as_str(), usize::MAX)
    }

    /// A part of this value that a scanner over it returned.
    pub fn part(&self, span: &str) -> Self {
        Self(self.0.slice_ref(span.as_bytes()))
    }
}

/// Values may be personal or secret: only the size is printed.
impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

/// A JSON-RPC id or a progress token: a string or an integer, kept as its token so that `1`, `1.0` and `"1"` stay apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawId(Bytes);

impl RawId {
    /// Takes a validated token, if it is a string or an integer of acceptable length.
    pub fn of(raw: &RawJson) -> Option<Self> {
        let text = raw.as_str();
        let integer = !text.contains(['.', 'e', 'E']);
        let fits = text.len() <= RPC_ID_BYTES_MAX;
        match raw.kind()? {
            Kind::String if fits => Some(Self(raw.0.clone())),
            Kind::Number if fits && integer => Some(Self(raw.0.clone())),
            _ => None,
        }
    }

    /// An id of ours.
    pub fn number(n: u64) -> Self {
        Self(Bytes::from(n.to_string()))
    }

    /// The token, quotes of a string included.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number, if this is one of ours coming back.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_str().parse().ok()
    }
}

impl fmt::Debug for RawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
