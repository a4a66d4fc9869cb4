//! Plain results in the forms of other revisions. What needs no change keeps its bytes.
//!
//! A member that an older revision does not know stays where its clients ignore it (titles, icons, `_meta`, claims about
//! tools, structured content). What they would refuse or misread is dropped or said in another way.

use memchr::memmem;

use super::Member;
use crate::mcp::json::{JsonError, Kind, unquote};
use crate::mcp::raw::RawJson;
use crate::mcp::write::object;

/// Structured content that is no object does not exist before 2026-07-28. Its text form stands in `content`.
pub(super) fn object_only(value: &RawJson) -> Member {
    if value.kind() == Some(Kind::Object) { Member::Keep } else { Member::Drop }
}

/// Tools as revisions before 2026-07-28 define them. A client of theirs refuses the whole list for one tool that has an output
/// schema whose root is not `type: object`, which is dropped, or a property whose schema is a boolean, which is written as the
/// object that means the same (JSON Schema 2020-12, 4.3.2).
pub(super) fn plain_schemas(tools: &RawJson) -> Member {
    if !["\"outputSchema\"", "true", "false"].into_iter().any(|word| mentions(tools, word)) {
        return Member::Keep;
    }
    each(tools, |tool| {
        remade(tool, |key, value| match key {
            "outputSchema" if !is_object_schema(value)? => Ok(Member::Drop),
            "outputSchema" | "inputSchema" => object_properties(value),
            _ => Ok(Member::Keep),
        })
    })
}

/// Drops how tools are executed, which only 2025-11-25 knows.
pub(super) fn without_execution(tools: &RawJson) -> Member {
    if !mentions(tools, "\"execution\"") {
        return Member::Keep;
    }
    each(tools, |tool| remade(tool, |key, _| Ok(if key == "execution" { Member::Drop } else { Member::Keep })))
}

/// Turns content blocks of `kinds` into text: links to resources, and audio.
pub(super) fn blocks_to_text(content: &RawJson, kinds: &[&str]) -> Member {
    if !kinds.iter().any(|kind| mentions(content, kind)) {
        return Member::Keep;
    }
    each(content, |block| block_to_text(block, kinds))
}

/// As [`blocks_to_text`], for the messages of a prompt.
pub(super) fn message_blocks_to_text(messages: &RawJson, kinds: &[&str]) -> Member {
    if !kinds.iter().any(|kind| mentions(messages, kind)) {
        return Member::Keep;
    }
    each(messages, |message| {
        let Some(content) = member(message, "content")? else { return Ok(None) };
        let range = message.range_of(content.as_str());
        Ok(block_to_text(&content, kinds)?.map(|text| message.spliced(&[(range, text)])))
    })
}

/// Cuts a completion to the number of values that every revision allows, and says that there are more.
pub(super) fn fewer_values(completion: &RawJson) -> Member {
    if completion.kind() != Some(Kind::Object) {
        return Member::Keep;
    }
    let cut = || -> Result<Option<RawJson>, JsonError> {
        let Some(values) = member(completion, "values")?.filter(|values| values.kind() == Some(Kind::Array)) else {
            return Ok(None);
        };
        let mut elements = Vec::new();
        values.scanner().array(|scan| scan.value().map(|span| elements.push(span)))?;
        let Some(kept) = elements.get(..COMPLETIONS_MAX).filter(|kept| kept.len() < elements.len()) else { return Ok(None) };
        let mut others = Vec::new();
        completion.scanner().object(|scan, key| {
            let value = completion.part(scan.value()?);
            if key != "values" && key != "hasMore" {
                others.push((RawJson::of_key(completion.text(), key), value));
            }
            Ok(())
        })?;
        Ok(Some(object(|out| {
            out.raw("values", format!("[{}]", kept.join(",")).as_bytes()).raw("hasMore", b"true").members(&others);
        })))
    };
    match cut() {
        Err(_) => Member::Drop,
        Ok(cut) => cut.map_or(Member::Keep, Member::Replace),
    }
}

/// Values of a completion (2026-07-28, completion: at most 100 items).
const COMPLETIONS_MAX: usize = 100;

/// True when `value` is an object with a member `name`.
pub(super) fn has_member(value: &RawJson, name: &str) -> bool {
    value.kind() == Some(Kind::Object) && member(value, name).is_ok_and(|m| m.is_some())
}

/// What one change after another makes of a member.
pub(super) fn both(value: &RawJson, first: fn(&RawJson) -> Member, second: fn(&RawJson) -> Member) -> Member {
    match first(value) {
        Member::Keep => second(value),
        Member::Drop => Member::Drop,
        Member::Replace(with) => match second(&with) {
            Member::Keep => Member::Replace(with),
            other => other,
        },
    }
}

fn block_to_text(block: &RawJson, kinds: &[&str]) -> Result<Option<RawJson>, JsonError> {
    if block.kind() != Some(Kind::Object) {
        return Ok(None);
    }
    let word = |value: Option<RawJson>| value.and_then(|v| unquote(v.as_str()).ok().map(std::borrow::Cow::into_owned));
    let Some(kind) = word(member(block, "type")?).filter(|kind| kinds.contains(&kind.as_str())) else { return Ok(None) };
    let text = if kind == "resource_link" {
        let uri = word(member(block, "uri")?).unwrap_or_default();
        word(member(block, "name")?).map_or_else(|| uri.clone(), |name| format!("{name}: {uri}"))
    } else {
        let media = word(member(block, "mimeType")?).unwrap_or_default();
        format!("[{kind} {media}: this protocol revision cannot carry it]")
    };
    let annotations = member(block, "annotations")?;
    Ok(Some(object(|out| {
        out.text("type", "text").text("text", &text).json("annotations", annotations.as_ref());
    })))
}

/// True for a schema whose root says `type: object`.
fn is_object_schema(schema: &RawJson) -> Result<bool, JsonError> {
    let object = schema.kind() == Some(Kind::Object);
    Ok(object && member(schema, "type")?.is_some_and(|kind| unquote(kind.as_str()).is_ok_and(|kind| kind == "object")))
}

/// A schema whose properties have objects for schemas.
fn object_properties(schema: &RawJson) -> Result<Member, JsonError> {
    if schema.kind() != Some(Kind::Object) {
        return Ok(Member::Keep);
    }
    let with = remade(schema, |key, properties| match key {
        "properties" if properties.kind() == Some(Kind::Object) => {
            let with = remade(properties, |_, schema| {
                Ok(match schema.as_str() {
                    "true" => Member::Replace(RawJson::of_static("{}")),
                    "false" => Member::Replace(RawJson::of_static(r#"{"not":{}}"#)),
                    _ => Member::Keep,
                })
            })?;
            Ok(with.map_or(Member::Keep, Member::Replace))
        }
        _ => Ok(Member::Keep),
    })?;
    Ok(with.map_or(Member::Keep, Member::Replace))
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

/// An object with some of its members changed; `None` when none is.
fn remade(
    value: &RawJson,
    mut change: impl FnMut(&str, &RawJson) -> Result<Member, JsonError>,
) -> Result<Option<RawJson>, JsonError> {
    let (mut members, mut changed) = (Vec::new(), false);
    value.scanner().object(|scan, key| {
        let part = value.part(scan.value()?);
        let told = change(key, &part)?;
        changed |= !matches!(told, Member::Keep);
        let kept = match told {
            Member::Keep => Some(part),
            Member::Drop => None,
            Member::Replace(with) => Some(with),
        };
        members.extend(kept.map(|kept| (RawJson::of_key(value.text(), key), kept)));
        Ok(())
    })?;
    Ok(changed.then(|| {
        object(|out| {
            out.members(&members);
        })
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

/// True unless the word certainly does not occur; it may be spelled with escapes.
fn mentions(value: &RawJson, word: &str) -> bool {
    memmem::find(value.as_bytes(), word.as_bytes()).is_some() || memmem::find(value.as_bytes(), b"\\u").is_some()
}
