//! W3C Trace Context (level 2): reading a caller's `traceparent`, with what goes along, minting ids, writing our own.

use std::cell::RefCell;
use std::fmt;

use http::HeaderMap;

use super::tracestate::TraceState;
use crate::vocab::digits::push_hex;

/// The request header that carries a trace context.
pub const TRACEPARENT: &str = "traceparent";

/// What a caller says about its place in a trace. Untrusted: a client chooses all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The caller's span.
    pub span_id: [u8; 8],
    /// Whether the caller records this trace.
    pub sampled: bool,
    /// What is to be passed on with it.
    pub state: Option<TraceState>,
}

/// Whose word is taken for it that a request belongs to a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: every request is a trace of its own, with a link to what the caller named.
    None,
    /// Of callers with a verified credential.
    #[default]
    Authenticated,
    /// Everybody's.
    All,
}

/// Where this request stands in a trace. Ids are no secrets and prove nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// Our span in it.
    pub span_id: [u8; 8],
    /// The span above ours, if there is one.
    pub parent_id: Option<[u8; 8]>,
    /// Whether this trace is recorded.
    pub sampled: bool,
    /// What the trace that is gone on with had along.
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// A new trace.
    #[expect(clippy::new_without_default, reason = "every one is another")]
    pub fn new() -> Self {
        Self { trace_id: random(), span_id: random(), parent_id: None, sampled: false, state: None }
    }

    /// Goes on with the trace of `parent`. Our span keeps its id.
    pub fn continues(&mut self, parent: Parent) {
        (self.trace_id, self.parent_id, self.sampled) = (parent.trace_id, Some(parent.span_id), parent.sampled);
        self.state = parent.state;
    }

    /// A span of its own below ours.
    pub fn child(&self) -> Self {
        Self { span_id: random(), parent_id: Some(self.span_id), ..self.clone() }
    }

    /// A span of its own beside ours.
    pub fn sibling(&self) -> Self {
        Self { span_id: random(), ..self.clone() }
    }

    /// The text of `traceparent`, version 00.
    pub fn text(&self) -> String {
        let mut out = Vec::with_capacity(TRACEPARENT_BYTES);
        out.extend_from_slice(b"00-");
        push_hex(&mut out, &self.trace_id);
        out.push(b'-');
        push_hex(&mut out, &self.span_id);
        out.push(b'-');
        push_hex(&mut out, &[u8::from(self.sampled)]);
        // Digits are text.
        String::from_utf8(out).unwrap_or_default()
    }
}

/// The text of `traceparent`, version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// What the headers of a request say. More than one `traceparent` is as good as none, and without one `tracestate` says nothing.
pub fn offered(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    let parent = if values.next().is_some() { None } else { parse(first.to_str().ok()?) };
    parent.map(|parent| Parent { state: TraceState::offered(headers), ..parent })
}

/// Reads a `traceparent`, which says nothing of the state. A version above 00 is read as far as version 00 goes; what follows must be set
/// off by a dash.
pub fn parse(text: &str) -> Option<Parent> {
    let mut parts = text.splitn(5, '-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let span_id = hex::<8>(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let surplus = parts.next().is_some();
    if version == 0xff || (version == 0 && surplus) || trace_id == [0; 16] || span_id == [0; 8] {
        return None;
    }
    Some(Parent { trace_id, span_id, sampled: flags & 1 == 1, state: None })
}

/// Exactly `2 * N` lower-case hexadecimal digits.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = (*byte << 4) | value;
        }
    }
    Some(out)
}

/// Random bytes, never all zero. A thread draws a block from the system's generator at a time.
pub(super) fn random<const N: usize>() -> [u8; N] {
    thread_local! {
        static POOL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut out = [0; N];
    POOL.with_borrow_mut(|pool| {
        if pool.len() < N {
            pool.resize(POOL_BYTES, 0);
            if aws_lc_rs::rand::fill(pool).is_err() {
                pool.clear();
            }
        }
        let at = pool.len().saturating_sub(N);
        for (to, from) in out.iter_mut().zip(pool.drain(at..)) {
            *to = from;
        }
    });
    if let (true, Some(last)) = (out == [0; N], out.last_mut()) {
        *last = 1;
    }
    out
}

const POOL_BYTES: usize = 1024;
/// Of version 00.
const TRACEPARENT_BYTES: usize = 55;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn traceparent_is_validated() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let table = [
            (good, true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false),
            ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
            (" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("", false),
        ];
        for (text, valid) in table {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(text));
            let parent = offered(&headers);
            assert_eq!(parent.is_some(), valid, "{text}");
            if let Some(parent) = parent {
                let mut ours = TraceContext::new();
                let own = ours.span_id;
                let above = parent.span_id;
                ours.continues(parent);
                assert_eq!((ours.span_id, ours.parent_id), (own, Some(above)));
                assert!(ours.to_string().contains("0af7651916cd43dd8448eb211c80319c"), "{text}");
                assert_eq!((ours.child().parent_id, ours.sibling().parent_id), (Some(own), ours.parent_id));
            }
            headers.append(TRACEPARENT, HeaderValue::from_static(good));
            assert_eq!(offered(&headers), None, "two headers");
        }
        assert!(parse(good).unwrap().sampled);
    }

    #[test]
    fn minted_ids_differ_and_read_back() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let context = TraceContext::new();
            assert!(seen.insert(context.trace_id));
            let read = parse(&context.text()).unwrap();
            assert_eq!((read.trace_id, read.span_id), (context.trace_id, context.span_id));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*|[0-9a-f-]{50,60}") {
            let _ = parse(&text);
        }
    }
}
