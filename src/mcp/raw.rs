//! Spans of validated JSON, shared with the buffer they came from.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

use super::json::{JsonError, Kind, Scanner};
use crate::vocab::limits::RPC_ID_BYTES_MAX;

/// A buffer as text.
///
/// # Errors
/// [`JsonError::Encoding`].
pub(super) fn buffer(bytes: Bytes) -> Result<ByteString, JsonError> {
    ByteString::try_from(bytes).map_err(|_| JsonError::Encoding)
}

/// One JSON value as it was written, known to be acceptable to [`super::json`]. Cloning copies no bytes.
/// That it is UTF-8 was checked once, when the buffer came.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(ByteString);

impl RawJson {
    /// Validates `text`.
    ///
    /// # Errors
    /// As [`JsonError`].
    pub fn parse(text: Bytes, depth_max: usize) -> Result<Self, JsonError> {
        let text = buffer(text)?;
        let mut scan = Scanner::of_text(&text, depth_max)?;
        let value = scan.value()?;
        scan.end()?;
        Ok(Self(text.slice_ref(value)))
    }

    /// A span that a [`Scanner`] over `buffer` returned.
    pub(super) fn of_span(buffer: &ByteString, span: &str) -> Self {
        Self(buffer.slice_ref(span))
    }

    /// The token of a key that a [`Scanner`] over `buffer` saw; written anew where it had escapes.
    pub(super) fn of_key(buffer: &ByteString, key: &str) -> Self {
        let start = (key.as_ptr() as usize).checked_sub(buffer.as_ptr() as usize);
        let token = start.and_then(|start| Some(start.checked_sub(1)?..start + key.len() + 1));
        match token.and_then(|token| buffer.get(token)) {
            Some(token) => Self(buffer.slice_ref(token)),
            None => Self::of_text(key),
        }
    }

    /// `text` as a JSON string.
    pub fn of_text(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len() + 2);
        super::json::push_string(&mut out, text);
        Self::of_ours(out)
    }

    /// A value written by this program.
    pub fn of_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// A value this program serialised; its grammar is not checked again.
    pub(crate) fn of_ours(text: Vec<u8>) -> Self {
        Self(ByteString::try_from(text).unwrap_or_default())
    }

    /// An object of `members`, in order; the keys are unescaped.
    pub(crate) fn object(members: &[(String, Self)]) -> Self {
        let mut out = vec![b'{'];
        for (at, (key, value)) in members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            super::json::push_string(&mut out, key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.push(b'}');
        Self::of_ours(out)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The buffer slice itself.
    pub(super) fn text(&self) -> &ByteString {
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
        Self(self.0.slice_ref(span))
    }

    /// Where such a part stands in this value.
    pub(super) fn range_of(&self, span: &str) -> Range<usize> {
        let start = (span.as_ptr() as usize).saturating_sub(self.0.as_ptr() as usize);
        start..start + span.len()
    }

    /// This value with parts of it replaced, all other bytes kept. `edits` are in order and do not overlap.
    pub(super) fn spliced(&self, edits: &[(Range<usize>, RawJson)]) -> Self {
        if edits.is_empty() {
            return self.clone();
        }
        let added: usize = edits.iter().map(|(_, with)| with.0.len()).sum();
        let mut out = Vec::with_capacity(self.0.len() + added);
        let mut at = 0;
        for (range, with) in edits {
            out.extend_from_slice(self.as_bytes().get(at..range.start).unwrap_or_default());
            out.extend_from_slice(with.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(self.as_bytes().get(at..).unwrap_or_default());
        Self::of_ours(out)
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
pub struct RawId(ByteString);

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
        Self(ByteString::from(n.to_string()))
    }

    /// A copy for what lasts: this one keeps the whole message in memory that it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(ByteString::from(self.as_str()))
    }

    /// The token, quotes of a string included.
    pub fn as_str(&self) -> &str {
        &self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_id_lets_its_message_go() {
        let message = bytes::Bytes::from(br#"{"id":"a-1"}"#.to_vec());
        let id = {
            let text = ByteString::try_from(message.clone()).unwrap();
            RawId(text.slice_ref(text.get(6..11).unwrap()))
        };
        assert!(!message.is_unique());
        let copy = id.detached();
        assert_eq!(copy, id);
        drop(id);
        assert!(message.is_unique());
        assert_eq!(copy.as_str(), "\"a-1\"");
    }
}
