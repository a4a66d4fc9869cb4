//! Resource URIs inside results, made public where routes prefix names.

use std::sync::OnceLock;

use memchr::memmem;

use super::json::{JsonError, Kind, Scanner, means, unquote};
use super::list::Item;
use super::method::Method;
use super::names::public_uri;
use super::raw::RawJson;
use super::reply::ResultBody;

type Edits = Vec<(std::ops::Range<usize>, RawJson)>;

/// Prefixes the URIs in the result of `method` with `upstream`: contents of a read, links and embedded resources in the
/// content of tools and prompts, also where a task brings them, and the user interface that a tool's result names. Every other
/// byte is kept.
pub fn prefix_uris(method: Method, result: &mut ResultBody, upstream: &str) {
    let (member, place) = match method {
        Method::ResourcesRead => ("contents", Place::Contents),
        Method::ToolsCall | Method::TasksResult => ("content", Place::Blocks),
        Method::TasksGet => ("result", Place::Outcome),
        Method::PromptsGet => ("messages", Place::Messages),
        _ => return,
    };
    for (key, value) in &mut result.members {
        if means(key.as_str(), member) && may_hold_uri(value) {
            *value = prefixed(value, place, upstream);
        }
    }
    for (key, value) in &mut result.meta {
        if let Some(place) = Place::of_meta(&unquote(key.as_str()).unwrap_or_default()) {
            *value = prefixed(value, place, upstream);
        }
    }
}

/// A definition as clients of a prefixing route see it: under its public name, and the user interface of a tool under its public
/// URI (MCP Apps: `_meta.ui.resourceUri`, and before that `_meta["ui/resourceUri"]`). Every other byte is kept.
pub fn published(item: &Item, upstream: &str, public: &str) -> RawJson {
    let mut edits = vec![(item.key_span.clone(), RawJson::of_text(public))];
    let mut walk = Walk { base: &item.raw, upstream, edits: Edits::new() };
    // The definition was validated when it came, so that walking it does not fail.
    if walk.definition(&mut item.raw.scanner()).is_ok() {
        edits.append(&mut walk.edits);
    }
    edits.sort_by_key(|(range, _)| range.start);
    item.raw.spliced(&edits)
}

#[derive(Clone, Copy)]
enum Place {
    /// An array of `{uri}`.
    Contents,
    /// An array of content blocks.
    Blocks,
    /// An array of `{content: block or array of blocks}`.
    Messages,
    /// The result of a tool as a member of a task: `{content: array of blocks}`.
    Outcome,
    /// A URI.
    Uri,
    /// `{resourceUri}` of MCP Apps.
    Interface,
}

impl Place {
    /// What a member of `_meta` holds, if it holds a URI.
    fn of_meta(key: &str) -> Option<Self> {
        match key {
            "ui" => Some(Self::Interface),
            "ui/resourceUri" => Some(Self::Uri),
            _ => None,
        }
    }
}

/// A value that cannot be walked was not validated, which does not happen; it is emptied rather than let through.
fn prefixed(value: &RawJson, place: Place, upstream: &str) -> RawJson {
    let mut walk = Walk { base: value, upstream, edits: Edits::new() };
    let walked = walk.place(&mut value.scanner(), place);
    match (walked, place) {
        (Ok(()), _) => value.spliced(&walk.edits),
        (Err(_), Place::Contents | Place::Blocks | Place::Messages) => RawJson::of_static("[]"),
        (Err(_), Place::Outcome | Place::Uri | Place::Interface) => RawJson::of_static("null"),
    }
}

struct Walk<'v> {
    base: &'v RawJson,
    upstream: &'v str,
    edits: Edits,
}

type Step<'v> = fn(&mut Walk<'v>, &mut Scanner<'v>) -> Result<(), JsonError>;

impl<'v> Walk<'v> {
    fn place(&mut self, scan: &mut Scanner<'v>, place: Place) -> Result<(), JsonError> {
        match place {
            Place::Contents => self.each(scan, Walk::holder),
            Place::Blocks => self.each(scan, Walk::block),
            // A message and the result of a tool have their content in the same place.
            Place::Messages => self.each(scan, Walk::message),
            Place::Outcome => self.message(scan),
            Place::Uri => self.uri(scan),
            Place::Interface => self.interface(scan),
        }
    }

    fn definition(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| if key == "_meta" { walk.meta(scan) } else { scan.value().map(|_| ()) })
    }

    fn meta(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| match Place::of_meta(key) {
            Some(place) => walk.place(scan, place),
            None => scan.value().map(|_| ()),
        })
    }

    fn interface(&mut self, scan: &mut Scanner<'v>) -> Result<(), JsonError> {
        self.members(scan, |walk, key, scan| if key == "resourceUri" { walk.uri(scan) } else { scan.value().map(|_| ()) })
    }

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

/// Prepared once: most values are short, and preparing takes longer than searching them.
static SEARCHES: OnceLock<[memmem::Finder<'static>; 2]> = OnceLock::new();

/// False only where no member can be called `uri`, however it is escaped.
fn may_hold_uri(value: &RawJson) -> bool {
    let searches = SEARCHES.get_or_init(|| [memmem::Finder::new(b"\"uri\""), memmem::Finder::new(b"\\u")]);
    searches.iter().any(|search| search.find(value.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::list::items;
    use crate::mcp::names::split_uri;
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
        let outcome = r#"{"isError":false,"content":[{"type":"resource_link","uri":"a:1"}],"structuredContent":{"uri":"a:2"}}"#;
        check(Method::TasksGet, "result", outcome, &outcome.replace("a:1", "up+a:1"));
        check(Method::TasksResult, "content", r#"[{"uri":"a:1"}]"#, r#"[{"uri":"up+a:1"}]"#);
        check(Method::ToolsCall, "structuredContent", r#"{"uri":"a:1"}"#, r#"{"uri":"a:1"}"#);
        check(Method::ToolsCall, "content", r#"{"uri":"a:1"}"#, r#"{"uri":"a:1"}"#);
        check(Method::Complete, "content", r#"[{"uri":"a:1"}]"#, r#"[{"uri":"a:1"}]"#);
    }

    fn publish(method: Method, list: &'static str, public: &str) -> String {
        let member = if method == Method::ToolsList { "tools" } else { "resourceTemplates" };
        let value = RawJson::parse(Bytes::from_static(list.as_bytes()), 32).unwrap();
        let page = ResultBody { members: vec![(RawJson::of_text(member), value)], ..ResultBody::default() };
        published(&items(method, &page).unwrap().items[0], "up", public).as_str().to_owned()
    }

    #[test]
    fn user_interfaces_have_public_uris() {
        // Before and after the name, in the new and the old place, and nowhere else.
        assert_eq!(
            publish(
                Method::ToolsList,
                r#"[{"_meta":{"ui":{"resourceUri":"ui://a/b","csp":{"resourceUri":"x"}},"ui/resourceUri":"ui://a/b","x":{"resourceUri":"y"}}, "name":"t","description":"ui://a/b"}]"#,
                "up__t"
            ),
            r#"{"_meta":{"ui":{"resourceUri":"up+ui://a/b","csp":{"resourceUri":"x"}},"ui/resourceUri":"up+ui://a/b","x":{"resourceUri":"y"}}, "name":"up__t","description":"ui://a/b"}"#
        );
        assert_eq!(
            publish(Method::ToolsList, r#"[{"name":"t","_meta":{"u\u0069":{"resource\u0055ri":"ui:\u002f/a"}}}]"#, "n"),
            r#"{"name":"n","_meta":{"u\u0069":{"resource\u0055ri":"up+ui://a"}}}"#
        );
        let odd = r#"[{"name":"t","_meta":{"ui":"ui://a","ui/resourceUri":{"resourceUri":"ui://a"}}}]"#;
        assert_eq!(publish(Method::ToolsList, odd, "t"), odd.trim_matches(['[', ']']));
        let mut result = ResultBody::default();
        for (key, value) in [("ui", r#"{"resourceUri":"ui://a"}"#), ("ui/resourceUri", "\"ui://a\""), ("a/b", "\"ui://a\"")] {
            result.meta.push((RawJson::of_text(key), RawJson::of_static(value)));
        }
        prefix_uris(Method::ToolsCall, &mut result, "up");
        let said: Vec<&str> = result.meta.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(said, [r#"{"resourceUri":"up+ui://a"}"#, "\"up+ui://a\"", "\"ui://a\""]);
    }

    #[test]
    fn the_prefix_of_a_template_survives_expansion() {
        for (template, values, expanded) in [
            ("file:///{path}", [("{path}", "a+b")], "file:///a+b"),
            ("{scheme}://x", [("{scheme}", "demo")], "demo://x"),
            ("{+uri}", [("{+uri}", "docs+file:///a")], "docs+file:///a"),
        ] {
            let list: &'static str = format!(r#"[{{"name":"n","uriTemplate":"{template}"}}]"#).leak();
            let public = public_uri("up", template);
            assert!(publish(Method::ResourceTemplatesList, list, &public).contains(&format!(r#""uriTemplate":"up+{template}""#)));
            let [(variable, value)] = values;
            assert_eq!(split_uri(&public.replace(variable, value)), Some(("up", expanded)));
        }
    }
}
