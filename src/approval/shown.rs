//! Arguments as people are shown them: one value a line, with nothing in it that hides, turns around or ends what stands beside it.

use serde::{Deserialize, Serialize};

use crate::mcp::RawJson;
use crate::mcp::json::{JsonError, Kind, Scanner};
use crate::telemetry::escape::push_json_string;
use crate::vocab::limits::{APPROVAL_EXCERPT_BYTES_MAX, APPROVAL_SHOWN_BYTES_MAX};

/// A rendering of arguments. Members stand in the order in which they were sent, strings with every control, direction and invisible
/// character as an escape, numbers as the tokens they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The text, at most 64 KiB of it.
    pub text: String,
    /// Bytes of the rendering that are left out.
    pub left_out_bytes: u64,
    /// Secrets that were replaced before it was rendered. The digest covers what they are.
    pub masked: u64,
    /// Those of them of which nobody can say what they hide: no known format tells them, or they are long.
    #[serde(default = "unknown")]
    pub unverified: u64,
}

/// Of what was kept without it.
fn unknown() -> u64 {
    u64::MAX
}

impl Shown {
    /// The rendering of `arguments`, in which nothing is said to be replaced.
    pub fn of(arguments: &RawJson) -> Self {
        let mut whole = Vec::new();
        if write(&mut arguments.scanner(), &mut whole, 0).is_err() {
            whole = Vec::new();
            push_json_string(&mut whole, arguments.as_str());
        }
        let whole = String::from_utf8(whole).unwrap_or_default();
        let end = whole.floor_char_boundary(APPROVAL_SHOWN_BYTES_MAX);
        let left_out_bytes = (whole.len() - end) as u64;
        Self { text: whole.get(..end).unwrap_or_default().to_owned(), left_out_bytes, ..Self::default() }
    }

    /// Its beginning, for lists.
    pub(super) fn excerpt(&self) -> Box<str> {
        let end = self.text.floor_char_boundary(APPROVAL_EXCERPT_BYTES_MAX);
        self.text.get(..end).unwrap_or_default().into()
    }

    /// What was kept. Where it does not say how much of what is masked is unverified, all of it is.
    pub(super) fn read(kept: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(kept).ok()?;
        Some(Self { unverified: read.unverified.min(read.masked), ..read })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn write(scan: &mut Scanner<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), JsonError> {
    match scan.peek()? {
        Kind::Object => {
            let mut empty = true;
            out.push(b'{');
            scan.object(|scan, key| {
                line(out, std::mem::take(&mut empty), depth + 1);
                push_json_string(out, key);
                out.extend_from_slice(b": ");
                write(scan, out, depth + 1)
            })?;
            close(out, empty, depth, b'}');
        }
        Kind::Array => {
            let mut empty = true;
            out.push(b'[');
            scan.array(|scan| {
                line(out, std::mem::take(&mut empty), depth + 1);
                write(scan, out, depth + 1)
            })?;
            close(out, empty, depth, b']');
        }
        Kind::String => push_json_string(out, &scan.string()?),
        Kind::Number | Kind::Bool | Kind::Null => out.extend_from_slice(scan.value()?.as_bytes()),
    }
    Ok(())
}

fn line(out: &mut Vec<u8>, first: bool, depth: usize) {
    out.extend_from_slice(if first { b"\n" } else { b",\n" });
    indent(out, depth);
}

fn close(out: &mut Vec<u8>, empty: bool, depth: usize, end: u8) {
    if !empty {
        out.push(b'\n');
        indent(out, depth);
    }
    out.push(end);
}

/// Deep nesting is no way to make a rendering large.
fn indent(out: &mut Vec<u8>, depth: usize) {
    out.extend(std::iter::repeat_n(b' ', 2 * depth.min(INDENTS_MAX)));
}

const INDENTS_MAX: usize = 16;
