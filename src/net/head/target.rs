//! What a request target may look like. Routes are exact paths, so anything two readers could see differently is refused.

use http::{Method, Uri};

use super::HeadRefusal;

/// Refuses targets with dot segments, empty segments, encoded separators, backslashes or characters outside visible ASCII.
/// A fragment never gets here: the HTTP parser cuts it off.
pub(super) fn check(method: &Method, uri: &Uri) -> Result<(), HeadRefusal> {
    if let Some(scheme) = uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(HeadRefusal::bad("the target's scheme is not http or https"));
    }
    let path = uri.path();
    if path == "*" && method == Method::OPTIONS {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(HeadRefusal::bad("the target is not a path"));
    }
    if !visible(path) || !uri.query().is_none_or(visible) {
        return Err(HeadRefusal::bad("the target has characters outside visible ASCII"));
    }
    if path.contains('\\') {
        return Err(HeadRefusal::bad("the path has a backslash"));
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if matches!(segment, "." | "..") {
            return Err(HeadRefusal::bad("the path has a dot segment"));
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err(HeadRefusal::bad("the path has an empty segment"));
        }
    }
    escapes(path)
}

fn visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Every `%` starts two hex digits, and none of them hides a character that would change how the path is split.
fn escapes(path: &str) -> Result<(), HeadRefusal> {
    for escape in path.split('%').skip(1) {
        let Some(code) = escape.get(..2).filter(|c| c.bytes().all(|b| b.is_ascii_hexdigit())) else {
            return Err(HeadRefusal::bad("the path has a broken escape"));
        };
        let code = u8::from_str_radix(code, 16).unwrap_or(0);
        if matches!(code, b'/' | b'\\' | b'.' | b'%') || code.is_ascii_control() {
            return Err(HeadRefusal::bad("the path has an encoded separator, dot, percent or control character"));
        }
    }
    Ok(())
}
