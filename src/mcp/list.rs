//! Items of lists: read without a tree, renamed without being re-written.

use std::ops::Range;

use super::json::{JsonError, Kind, unquote};
use super::method::Method;
use super::raw::RawJson;
use super::reply::ResultBody;
use super::task::Support;
use crate::vocab::limits::{CURSOR_BYTES_MAX, LIST_ITEMS_MAX, NAME_BYTES_MAX, URI_BYTES_MAX};

/// One tool, prompt, resource or resource template of an upstream.
#[derive(Clone, Debug)]
pub struct Item {
    /// All of it, as the upstream wrote it.
    pub raw: RawJson,
    /// Its `name`, `uri` or `uriTemplate`.
    pub key: String,
    /// Where the JSON string token of the key stands in `raw`.
    pub key_span: Range<usize>,
    /// What the upstream claims about a tool. It may lie: a claim can only make a tool's class worse.
    pub annotations: Hints,
    /// `inputSchema` of a tool.
    pub input_schema: Option<RawJson>,
    /// `outputSchema` of a tool.
    pub output_schema: Option<RawJson>,
    /// `execution.taskSupport` of a tool.
    pub task_support: Support,
}

/// A tool's `annotations`, untrusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`
    pub read_only: Option<bool>,
    /// `destructiveHint`
    pub destructive: Option<bool>,
}

/// What stands on one page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its items, in order.
    pub items: Vec<Item>,
    /// How many more there were that nobody could ask for: their key is empty, or over the limit.
    pub unnamed: usize,
}

/// The items of one page.
///
/// # Errors
/// [`JsonError::Shape`] when `method` is no list, or an item has no key, or there are too many.
pub fn items(method: Method, page: &ResultBody) -> Result<Page, JsonError> {
    let (list, key) = words(method).ok_or(JsonError::Shape("not a list"))?;
    let all = page.member(list).filter(|v| v.kind() == Some(Kind::Array));
    let all = all.ok_or(JsonError::Shape("the result holds no list"))?;
    let mut page = Page::default();
    all.scanner().array(|scan| {
        if page.items.len() + page.unnamed == LIST_ITEMS_MAX {
            return Err(JsonError::Shape("the list holds too many items"));
        }
        match item(all.part(scan.value()?), key)? {
            Some(item) => page.items.push(item),
            None => page.unnamed += 1,
        }
        Ok(())
    })?;
    Ok(page)
}

/// The cursor of the next page. The empty string is a cursor.
///
/// # Errors
/// [`JsonError::Shape`] when it is no string of acceptable length.
pub fn next_cursor(page: &ResultBody) -> Result<Option<String>, JsonError> {
    match page.member("nextCursor") {
        Some(raw) if raw.kind() != Some(Kind::Null) => {
            let cursor = unquote(raw.as_str())?;
            if cursor.len() > CURSOR_BYTES_MAX {
                return Err(JsonError::Shape("the cursor is too long"));
            }
            Ok(Some(cursor.into_owned()))
        }
        _ => Ok(None),
    }
}

/// A list as a result.
pub fn list_body<'a>(method: Method, items: impl Iterator<Item = &'a RawJson>, next_cursor: Option<&str>) -> ResultBody {
    let list = words(method).map_or("items", |(list, _)| list);
    let mut out = vec![b'['];
    for item in items {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(item.as_bytes());
    }
    out.push(b']');
    let mut members = vec![(RawJson::of_text(list), RawJson::of_ours(out))];
    members.extend(next_cursor.map(|cursor| (RawJson::of_static("\"nextCursor\""), RawJson::of_text(cursor))));
    ResultBody { members, ..ResultBody::default() }
}

/// What the list is called, and what names an item.
fn words(method: Method) -> Option<(&'static str, &'static str)> {
    match method {
        Method::ToolsList => Some(("tools", "name")),
        Method::PromptsList => Some(("prompts", "name")),
        Method::ResourcesList => Some(("resources", "uri")),
        Method::ResourceTemplatesList => Some(("resourceTemplates", "uriTemplate")),
        _ => None,
    }
}

/// `None` for one whose key is empty or too long.
fn item(raw: RawJson, key_name: &str) -> Result<Option<Item>, JsonError> {
    let mut key = None;
    let (mut annotations, mut input_schema, mut output_schema) = (Hints::default(), None, None);
    let mut task_support = Support::default();
    raw.scanner().object(|scan, member| {
        let kind = scan.peek()?;
        let span = scan.value()?;
        match member.as_ref() {
            name if name == key_name => key = Some((unquote(span)?.into_owned(), raw.range_of(span))),
            "annotations" if kind == Kind::Object => annotations = hints(&raw.part(span))?,
            "inputSchema" if kind == Kind::Object => input_schema = Some(raw.part(span)),
            "outputSchema" if kind == Kind::Object => output_schema = Some(raw.part(span)),
            "execution" if kind == Kind::Object => task_support = support(&raw.part(span))?,
            _ => {}
        }
        Ok(())
    })?;
    let bytes_max = if key_name == "name" { NAME_BYTES_MAX } else { URI_BYTES_MAX };
    let (key, key_span) = key.ok_or(JsonError::Shape("an item has no name"))?;
    if key.is_empty() || key.len() > bytes_max {
        return Ok(None);
    }
    Ok(Some(Item { raw, key, key_span, annotations, input_schema, output_schema, task_support }))
}

fn hints(annotations: &RawJson) -> Result<Hints, JsonError> {
    let mut hints = Hints::default();
    annotations.scanner().object(|scan, key| {
        let value = scan.value()?;
        let claim = match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        match key.as_ref() {
            "readOnlyHint" => hints.read_only = claim,
            "destructiveHint" => hints.destructive = claim,
            _ => {}
        }
        Ok(())
    })?;
    Ok(hints)
}

fn support(execution: &RawJson) -> Result<Support, JsonError> {
    let mut support = Support::Forbidden;
    execution.scanner().object(|scan, key| {
        let value = scan.value()?;
        match (key.as_ref(), value) {
            ("taskSupport", "\"required\"") => support = Support::Required,
            ("taskSupport", "\"optional\"") => support = Support::Optional,
            _ => {}
        }
        Ok(())
    })?;
    Ok(support)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn page(member: &'static str, list: &'static str) -> ResultBody {
        let value = RawJson::parse(Bytes::from_static(list.as_bytes()), 32).unwrap();
        ResultBody { members: vec![(RawJson::of_text(member), value)], ..ResultBody::default() }
    }

    #[test]
    fn reads_and_renames_without_touching_the_rest() {
        let list = r#"[ {"description":"a \"name\": x", "name" : "r\u0065ad","inputSchema":{"properties":{"name":{}}},
            "annotations":{"readOnlyHint":true,"destructiveHint":false,"title":"name"}},{"name":"b","annotations":{"readOnlyHint":"no"},"execution":{"taskSupport":"required"}}]"#;
        let items = items(Method::ToolsList, &page("tools", list)).unwrap().items;
        assert_eq!(items[0].key, "read");
        assert_eq!(items[0].annotations, Hints { read_only: Some(true), destructive: Some(false) });
        assert_eq!(items[0].input_schema.as_ref().unwrap().as_str(), r#"{"properties":{"name":{}}}"#);
        let support = (items[1].task_support, items[0].task_support);
        assert_eq!((items[1].annotations, support), (Hints::default(), (Support::Required, Support::Forbidden)));
        let renamed = crate::mcp::rewrite::published(&items[0], "up", "up__\"read");
        let expect = items[0].raw.as_str().replace(r#""r\u0065ad""#, r#""up__\"read""#);
        assert_eq!(renamed.as_str(), expect);
        let body = list_body(Method::ToolsList, [&renamed, &items[1].raw].into_iter(), Some(""));
        assert_eq!(body.member("tools").unwrap().as_str(), format!("[{expect},{}]", items[1].raw.as_str()));
        assert_eq!(next_cursor(&body).unwrap().as_deref(), Some(""));
        assert_eq!(next_cursor(&page("tools", "[]")).unwrap(), None);
    }

    #[test]
    fn knows_what_names_an_item() {
        for (method, member, list, key) in [
            (Method::PromptsList, "prompts", r#"[{"name":"p","uri":"u"}]"#, "p"),
            (Method::ResourcesList, "resources", r#"[{"name":"p","uri":"u:1"}]"#, "u:1"),
            (Method::ResourceTemplatesList, "resourceTemplates", r#"[{"name":"p","uriTemplate":"u:{x}"}]"#, "u:{x}"),
        ] {
            assert_eq!(items(method, &page(member, list)).unwrap().items[0].key, key);
        }
    }

    #[test]
    fn leaves_out_what_cannot_be_named_and_nothing_else() {
        let long = "x".repeat(NAME_BYTES_MAX + 1).leak();
        let long: &'static str = format!(r#"{{"name":"{long}"}}"#).leak();
        for item in [r#"{"name":""}"#, long] {
            let list = format!(r#"[{{"name":"a"}},{item},{{"name":"b"}}]"#).leak();
            let page = items(Method::ToolsList, &page("tools", list)).unwrap();
            assert_eq!(page.items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["a", "b"], "{item}");
            assert_eq!(page.unnamed, 1, "{item}");
        }
        for list in ["{}", "[1]", r#"["a"]"#, "[{}]", r#"[{"name":1}]"#, r#"[{"Name":"x"}]"#] {
            assert!(items(Method::ToolsList, &page("tools", list)).is_err(), "{list}");
        }
        assert!(items(Method::ToolsCall, &page("tools", "[]")).is_err());
        assert!(items(Method::ToolsList, &page("other", "[]")).is_err());
        assert!(next_cursor(&page("nextCursor", "1")).is_err());
    }
}
