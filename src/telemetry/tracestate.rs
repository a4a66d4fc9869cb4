//! W3C Trace Context (level 2), section 3.3: `tracestate`, what tracing systems along the way keep for themselves.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use crate::vocab::limits::TRACESTATE_BYTES_MAX;

/// The request header that carries it.
pub const TRACESTATE: &str = "tracestate";
const MEMBERS_MAX: usize = 32;
const KEY_CHARS_MAX: usize = 256;
const VALUE_CHARS_MAX: usize = 256;
/// Of `tenant@system`, the forms of level 1.
const TENANT_CHARS_MAX: usize = 241;
const SYSTEM_CHARS_MAX: usize = 14;

/// Members in order, each key once, as they are passed on: `key=value` with commas and without spaces between them.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// The text of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a `tracestate`. `None` for an empty one, and for one with a single mistake: a list is taken as a whole or not at all.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TRACESTATE_BYTES_MAX {
            return None;
        }
        let members: Vec<&str> =
            text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty()).collect();
        let mut keys = HashSet::new();
        let good = members
            .iter()
            .all(|member| member.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value) && keys.insert(key)));
        (good && !members.is_empty() && members.len() <= MEMBERS_MAX).then(|| Self(members.join(",").into()))
    }

    /// What the headers of a request say: several are one list, in order (RFC 9110, section 5.3).
    pub fn offered(headers: &HeaderMap) -> Option<Self> {
        let mut whole = String::new();
        for (at, value) in headers.get_all(TRACESTATE).iter().enumerate() {
            if at > 0 {
                whole.push(',');
            }
            whole.push_str(value.to_str().ok()?);
            if whole.len() > TRACESTATE_BYTES_MAX {
                return None;
            }
        }
        Self::parse(&whole)
    }
}

/// A client chose it: only its length is told.
impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceState({} characters)", self.0.len())
    }
}

/// `simple-key` or `tenant@system`.
fn is_key(key: &str) -> bool {
    let word = |text: &str, chars_max: usize, digit_first: bool| {
        let first = text.bytes().next();
        first.is_some_and(|b| b.is_ascii_lowercase() || (digit_first && b.is_ascii_digit()))
            && text.len() <= chars_max
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b))
    };
    match key.split_once('@') {
        None => word(key, KEY_CHARS_MAX, true),
        Some((tenant, system)) => word(tenant, TENANT_CHARS_MAX, true) && word(system, SYSTEM_CHARS_MAX, false),
    }
}

/// Printable ASCII without `,` and `=`; the last character, which trimming left, is no space.
fn is_value(value: &str) -> bool {
    let printable = value.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b',' && b != b'=');
    !value.trim_matches(' ').is_empty() && value.len() <= VALUE_CHARS_MAX && printable
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn members(count: usize) -> String {
        (0..count).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn tracestate_is_taken_as_a_whole_or_not_at_all() {
        let (key, long_key) = ("k".repeat(256), "k".repeat(257));
        let (value, long_value) = ("v".repeat(256), "v".repeat(257));
        let (tenant, long_tenant) = (format!("{}@s", "t".repeat(241)), format!("{}@s", "t".repeat(242)));
        let good = [
            ("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"),
            ("rojo=1,congo=2", "rojo=1,congo=2"),
            (" rojo=1 ,\tcongo=2,, ", "rojo=1,congo=2"),
            ("0vendor=x", "0vendor=x"),
            ("0tenant@system=x", "0tenant@system=x"),
            ("a_-*/9=x", "a_-*/9=x"),
            ("a= x y~!", "a= x y~!"),
            (&format!("{key}=v"), &format!("{key}=v")),
            (&format!("k={value}"), &format!("k={value}")),
            (&format!("{tenant}=v"), &format!("{tenant}=v")),
            (&members(32), &members(32)),
        ];
        for (text, canonical) in good {
            assert_eq!(TraceState::parse(text).unwrap().as_str(), canonical);
        }
        let bad = [
            "",
            " , ,",
            "rojo",
            "=x",
            "rojo=",
            "Rojo=1",
            "rojo=1,rojo=2",
            "rojo=1,bad key=2",
            "rojo=a=b",
            "rojo =1",
            "_a=1",
            "@s=1",
            "a@=1",
            "a@0s=1",
            "a@b@c=1",
            "a@averylongsystem=1",
            "rojo=caf\u{e9}",
            "rojo=a\tb",
            "rojo=a\r\nx: y",
            "rojo=a\0",
            &format!("{long_key}=v"),
            &format!("k={long_value}"),
            &format!("{long_tenant}=v"),
            &members(33),
        ];
        for text in bad {
            assert_eq!(TraceState::parse(text), None, "{text:?}");
        }
        let fits = format!("a={},b={}", "x".repeat(254), "x".repeat(253));
        assert_eq!(fits.len(), TRACESTATE_BYTES_MAX);
        assert!(TraceState::parse(&fits).is_some() && TraceState::parse(&format!("{fits}x")).is_none());
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceState::offered(&headers), None);
        for value in ["a=1,b=2", "", "c=3"] {
            headers.append(TRACESTATE, HeaderValue::from_static(value));
        }
        assert_eq!(TraceState::offered(&headers).unwrap().as_str(), "a=1,b=2,c=3");
        headers.append(TRACESTATE, HeaderValue::from_static("a=4"));
        assert_eq!(TraceState::offered(&headers), None, "a key twice");
        let mut long = HeaderMap::new();
        for _ in 0..600 {
            long.append(TRACESTATE, HeaderValue::from_static(""));
        }
        assert_eq!(TraceState::offered(&long), None);
        let mut obscure = HeaderMap::new();
        obscure.insert(TRACESTATE, HeaderValue::from_bytes(b"a=\xe9").unwrap());
        assert_eq!(TraceState::offered(&obscure), None);
    }

    proptest! {
        /// What is passed on reads back as itself, and as the same for the SDK that writes it into spans.
        #[test]
        fn what_is_taken_is_canonical(text in "([a-z0-9@_]{1,4}[= ][ -~]{0,4}[,\t ]{0,2}){0,5}|.*") {
            if let Some(state) = TraceState::parse(&text) {
                prop_assert_eq!(TraceState::parse(state.as_str()), Some(state.clone()));
                let theirs = opentelemetry::trace::TraceState::from_str(state.as_str()).unwrap();
                prop_assert_eq!(theirs.header(), state.as_str());
            }
        }
    }
}
