//! One text for all texts of the same meaning, and its digest: what an approval of a call is bound to.
//!
//! Keys of an object are sorted by the bytes of their meaning, strings are written in one way, nothing stands between tokens, arrays
//! keep their order. Numbers stay the tokens that they were written as: `1`, `1.0` and `1e0` are three, as not every reader takes
//! them for one. (RFC 8785 would make one of many numbers that differ.)

use super::json::{JsonError, Kind, Scanner, push_string};
use super::raw::RawJson;
use crate::vocab::Digest;

/// The canonical text of `raw`.
pub fn canonical(raw: &RawJson) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.as_bytes().len());
    match write(&mut raw.scanner(), &mut out) {
        Ok(()) => out,
        // What is in a `RawJson` was read before. Should it not read now, only the same bytes are the same.
        Err(_) => raw.as_bytes().to_vec(),
    }
}

/// SHA-256 of the canonical text of `arguments`; of nothing where there are none, which is not `{}`.
pub fn digest(arguments: Option<&RawJson>) -> Digest {
    Digest::of(&arguments.map(canonical).unwrap_or_default())
}

fn write(scan: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match scan.peek()? {
        Kind::Object => {
            let mut members: Vec<(String, Vec<u8>)> = Vec::new();
            scan.object(|scan, key| {
                let mut value = Vec::new();
                write(scan, &mut value)?;
                members.push((key.as_ref().to_owned(), value));
                Ok(())
            })?;
            members.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
            out.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_string(out, key);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            let mut first = true;
            scan.array(|scan| {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                write(scan, out)
            })?;
            out.push(b']');
        }
        Kind::String => push_string(out, &scan.string()?),
        Kind::Number | Kind::Bool | Kind::Null => out.extend_from_slice(scan.value()?.as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
