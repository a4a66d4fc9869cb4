//! Resource URIs inside results, made public where routes prefix names.

use std::sync::OnceLock;

use memchr::memmem;

use super::json::{JsonError, Kind, Scanner, means, unquote};
use super::method::Method;
use super::names::public_uri;
use super::raw::RawJson;
use super::reply::ResultBody;

type Edits = Vec<(std::ops::Range<usize>, RawJson)>;

/// Prefixes the URIs in the result of `method` with `upstream`: contents of a read, links and embedded resources in the
/// content of tools and prompts. Every other byte is kept.
pub fn prefix_uris(method: Method, result: &mut ResultBody, upstream: &str) {
    let (member, place) = match method {
        Method::ResourcesRead => ("contents", Place::Contents),
        Method::ToolsCall => ("content", Place::Blocks),
        Method::PromptsGet => ("messages", Place::Messages),
        _ => return,
    };
    for (key, value) in &mut result.members {
        if means(key.as_str(), member) && may_hold_uri(value) {
            *value = prefixed(value, place, upstream);
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    /// An array of `{uri}`.
    Contents,
    /// An array of content blocks.
    Blocks,
    /// An array of `{content: block or array of blocks}`.
    Messages,
}

/// A value that cannot be walked was not validated, which does not happen; it is emptied rather than let through.
fn prefixed(value: &RawJson, place: Place, upstream: &str) -> RawJson {
    let mut walk = Walk { base: value, upstream, edits: Edits::new() };
    let mut scan = value.scanner();
    let walked = match place {
        Place::Contents => walk.each(&mut scan, Walk::holder),
        Place::Blocks => walk.each(&mut scan, Walk::block),
        Place::Messages => walk.each(&mut scan, Walk::message),
    };
    if walked.is_ok() { value.spliced(&walk.edits) } else { RawJson::of_static("[]") }
}

struct Walk<'v> {
    base: &'v RawJson,
    upstream: &'v str,
    edits: Edits,
}

type Step<'v> = fn(&mut Walk<'v>, &mut Scanner<'v>) -> Result<(), JsonError>;

impl<'v> Walk<'v> {
    fn each(&mut self, scan: &mut Scanner<'v>, step: Step<'v>) -> Result<(), JsonError> {
        if scan.peek()? != Kind::Array {
            return scan.value().map(|_| ());
        }
        scan.array(|scan| step(self, scan)).map(|_| ())
    }

    /// An object with a `uri` of its own.
    fn holder(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| if key == "uri" { walk.uri(scan) } else { scan.value().map(|_| ()) })
    }

    /// A resource link or an embedded resource.
    fn block(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| match key {
            "uri" => walk.uri(scan),
            "resource" => walk.holder(scan),
            _ => scan.value().map(|_| ()),
        })
    }

    fn message(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| match (key, scan.peek()?) {
            ("content", Kind::Array) => walk.each(scan, Walk::block),
            ("content", _) => walk.block(scan),
            _ => scan.value().map(|_| ()),
        })
    }

    fn members(
        &mut self,
        scan: &mut Scanner<'v>,
        member: impl Fn(&mut Self, &str, &mut Scanner<'v>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        if scan.peek()? != Kind::Object {
            return scan.value().map(|_| ());
        }
        scan.object(|scan, key| member(self, key, scan)).map(|_| ())
    }

    fn uri(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        let kind = scan.peek()?;
        let span = scan.value()?;
        if kind == Kind::String {
            let public = public_uri(self.upstream, &unquote(span)?);
            self.edits.push((self.base.range_of(span), RawJson::of_text(&public)));
        }
        Ok(())
    }
}

/// False only where no member can be called `uri`, however it is escaped.
/// Prepared once: most values are short, and preparing takes longer than searching them.
static SEARCHES: OnceLock<[memmem::Finder<'static>; 2]> = OnceLock::new();

fn may_hold_uri(value: &RawJson) -> bool {
    let searches = SEARCHES.get_or_init(|| [memmem::Finder::new(b"\"uri\""), memmem::Finder::new(b"\\u")]);
    searches.iter().any(|search| search.find(value.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn check(method: Method, member: &'static str, value: &'static str, expect: &str) {
        let value = RawJson::parse(Bytes::from_static(value.as_bytes()), 32).unwrap();
        let mut result = ResultBody { members: vec![(RawJson::of_text(member), value)], ..ResultBody::default() };
        prefix_uris(method, &mut result, "up");
        assert_eq!(result.member(member).unwrap().as_str(), expect);
    }

    #[test]
    fn prefixes_where_uris_are() {
        check(
            Method::ResourcesRead,
            "contents",
            r#"[ {"uri":"file:///a","text":"\"uri\":\"x\"","_meta":{"uri":"x"}},{"\u0075ri":"b:\u0031"}]"#,
            r#"[ {"uri":"up+file:///a","text":"\"uri\":\"x\"","_meta":{"uri":"x"}},{"\u0075ri":"up+b:1"}]"#,
        );
        check(
            Method::ToolsCall,
            "content",
            r#"[{"type":"resource_link","uri":"a:1"},{"type":"resource","resource":{"uri":"a:2","blob":""}},{"type":"text","text":"uri"},3]"#,
            r#"[{"type":"resource_link","uri":"up+a:1"},{"type":"resource","resource":{"uri":"up+a:2","blob":""}},{"type":"text","text":"uri"},3]"#,
        );
        check(
            Method::PromptsGet,
            "messages",
            r#"[{"role":"user","content":{"type":"resource","resource":{"uri":"a:1"}}},{"content":[{"type":"resource_link","uri":"a:2"}]}]"#,
            r#"[{"role":"user","content":{"type":"resource","resource":{"uri":"up+a:1"}}},{"content":[{"type":"resource_link","uri":"up+a:2"}]}]"#,
        );
        check(Method::ToolsCall, "structuredContent", r#"{"uri":"a:1"}"#, r#"{"uri":"a:1"}"#);
        check(Method::ToolsCall, "content", r#"{"uri":"a:1"}"#, r#"{"uri":"a:1"}"#);
        check(Method::Complete, "content", r#"[{"uri":"a:1"}]"#, r#"[{"uri":"a:1"}]"#);
    }
}
