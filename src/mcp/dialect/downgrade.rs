//! Plain results in the forms of older revisions. What needs no change keeps its bytes.

use memchr::memmem;

use super::Member;
use crate::mcp::json::{JsonError, Kind, unquote};
use crate::mcp::raw::RawJson;
use crate::mcp::write::object;

/// Structured content that is no object does not exist before 2026-07-28. Its text form stands in `content`.
pub(super) fn object_only(value: &RawJson) -> Member {
    if value.kind() == Some(Kind::Object) { Member::Keep } else { Member::Drop }
}

/// Drops the output schemas of tools whose root is not `type: object`: a client could not accept the tool.
pub(super) fn object_output_schemas(tools: &RawJson) -> Member {
    if !mentions(tools, "\"outputSchema\"") {
        return Member::Keep;
    }
    each(tools, |tool| {
        let schema = member(tool, "outputSchema")?;
        let fits = match &schema {
            None => true,
            Some(schema) if schema.kind() == Some(Kind::Object) => is_text(member(schema, "type")?.as_ref(), "object"),
            Some(_) => false,
        };
        if fits { Ok(None) } else { without(tool, "outputSchema").map(Some) }
    })
}

/// Turns resource links among content blocks into text.
pub(super) fn links_to_text(content: &RawJson) -> Member {
    if !mentions(content, "\"resource_link\"") {
        return Member::Keep;
    }
    each(content, link_to_text)
}

/// As [`links_to_text`], for the messages of a prompt.
pub(super) fn message_links_to_text(messages: &RawJson) -> Member {
    if !mentions(messages, "\"resource_link\"") {
        return Member::Keep;
    }
    each(messages, |message| {
        let Some(content) = member(message, "content")? else { return Ok(None) };
        let range = message.range_of(content.as_str());
        Ok(link_to_text(&content)?.map(|text| message.spliced(&[(range, text)])))
    })
}

/// True when `value` is an object with a member `name`.
pub(super) fn has_member(value: &RawJson, name: &str) -> bool {
    value.kind() == Some(Kind::Object) && member(value, name).is_ok_and(|m| m.is_some())
}

fn link_to_text(block: &RawJson) -> Result<Option<RawJson>, JsonError> {
    if block.kind() != Some(Kind::Object) || !is_text(member(block, "type")?.as_ref(), "resource_link") {
        return Ok(None);
    }
    let word = |value: Option<RawJson>| value.and_then(|v| unquote(v.as_str()).ok().map(std::borrow::Cow::into_owned));
    let uri = word(member(block, "uri")?).unwrap_or_default();
    let text = word(member(block, "name")?).map_or_else(|| uri.clone(), |name| format!("{name}: {uri}"));
    let annotations = member(block, "annotations")?;
    Ok(Some(object(|out| {
        out.text("type", "text").text("text", &text).json("annotations", annotations.as_ref());
    })))
}

/// Replaces elements of an array. What cannot be read is dropped: it was validated before, so nothing is.
fn each(array: &RawJson, mut change: impl FnMut(&RawJson) -> Result<Option<RawJson>, JsonError>) -> Member {
    if array.kind() != Some(Kind::Array) {
        return Member::Keep;
    }
    let mut edits = Vec::new();
    let read = array.scanner().array(|scan| {
        let kind = scan.peek()?;
        let span = scan.value()?;
        if kind == Kind::Object
            && let Some(with) = change(&array.part(span))?
        {
            edits.push((array.range_of(span), with));
        }
        Ok(())
    });
    match read {
        Err(_) => Member::Drop,
        Ok(_) if edits.is_empty() => Member::Keep,
        Ok(_) => Member::Replace(array.spliced(&edits)),
    }
}

fn without(value: &RawJson, name: &str) -> Result<RawJson, JsonError> {
    let mut kept = Vec::new();
    value.scanner().object(|scan, key| {
        let span = scan.value()?;
        if key != name {
            kept.push((RawJson::of_key(value.text(), key), value.part(span)));
        }
        Ok(())
    })?;
    Ok(object(|out| {
        out.members(&kept);
    }))
}

fn member(value: &RawJson, name: &str) -> Result<Option<RawJson>, JsonError> {
    let mut found = None;
    value.scanner().object(|scan, key| {
        let span = scan.value()?;
        if key == name {
            found = Some(value.part(span));
        }
        Ok(())
    })?;
    Ok(found)
}

fn is_text(value: Option<&RawJson>, text: &str) -> bool {
    value.is_some_and(|v| unquote(v.as_str()).is_ok_and(|v| v == text))
}

/// True unless the word certainly does not occur; it may be spelled with escapes.
fn mentions(value: &RawJson, quoted: &str) -> bool {
    memmem::find(value.as_bytes(), quoted.as_bytes()).is_some() || memmem::find(value.as_bytes(), b"\\u").is_some()
}
