//! What clients of 2025-06-18 and older can be asked, made of what newer servers ask. What cannot be said there is `None`.

use crate::mcp::json::{JsonError, Kind, unquote};
use crate::mcp::pointer;
use crate::mcp::raw::RawJson;
use crate::vocab::Revision;

type Members = Vec<(String, RawJson)>;

/// A `requestedSchema` with plain fields only: titled choices as `enum` and `enumNames`, defaults of booleans only, and no choice
/// of several, which is left out where it need not be made.
pub(super) fn plain(schema: &RawJson) -> Option<RawJson> {
    let required = names(pointer::at(schema, "/required").as_ref())?;
    let mut kept = Vec::new();
    for (key, value) in members(schema)? {
        match key.as_str() {
            "$schema" => {}
            "properties" => {
                let mut fields = Vec::new();
                for (name, definition) in members(&value)? {
                    match field(&definition)? {
                        Some(plain) => fields.push((name, plain)),
                        None if required.contains(&name) => return None,
                        None => {}
                    }
                }
                kept.push((key, RawJson::object(&fields)));
            }
            _ => kept.push((key, value)),
        }
    }
    Some(RawJson::object(&kept))
}

/// One field; `Some(None)` for one that cannot be shown.
fn field(definition: &RawJson) -> Option<Option<RawJson>> {
    let members = members(definition)?;
    let kind = members.iter().find(|(key, _)| key == "type").and_then(|(_, value)| unquote(value.as_str()).ok());
    let without_default =
        |members: &Members| -> Members { members.iter().filter(|(key, _)| key != "default").cloned().collect() };
    Some(match kind.as_deref() {
        Some("boolean") => Some(definition.clone()),
        Some("number" | "integer") => Some(RawJson::object(&without_default(&members))),
        Some("string") => {
            let mut plain = Vec::new();
            for (key, value) in without_default(&members) {
                if key == "oneOf" {
                    let (values, titles) = choices(&value)?;
                    plain.push(("enum".to_owned(), values));
                    plain.push(("enumNames".to_owned(), titles));
                } else {
                    plain.push((key, value));
                }
            }
            Some(RawJson::object(&plain))
        }
        _ => None,
    })
}

/// `[{const, title}]` as the list of what can be chosen and the list of what it is called.
fn choices(titled: &RawJson) -> Option<(RawJson, RawJson)> {
    let (mut values, mut titles) = (Vec::new(), Vec::new());
    for choice in elements(titled)? {
        values.push(pointer::at(&choice, "/const")?);
        titles.push(pointer::at(&choice, "/title")?);
    }
    Some((array(&values), array(&titles)))
}

/// The messages of a sampling request, each of one block that every revision has. Every other byte is kept.
pub(super) fn single_blocks(messages: &RawJson, revision: Revision) -> Option<RawJson> {
    let mut edits = Vec::new();
    for message in elements(messages)? {
        for (_, content) in members(&message)?.iter().filter(|(key, _)| key == "content") {
            let block = single_block(content, revision)?;
            if block.as_str() != content.as_str() {
                edits.push((messages.range_of(content.as_str()), block));
            }
        }
    }
    Some(if edits.is_empty() { messages.clone() } else { messages.spliced(&edits) })
}

/// A content block, or the only one of a list.
pub(super) fn single_block(content: &RawJson, revision: Revision) -> Option<RawJson> {
    let block = match content.kind()? {
        Kind::Array => {
            let mut blocks = elements(content)?;
            let only = blocks.pop();
            only.filter(|_| blocks.is_empty())?
        }
        _ => content.clone(),
    };
    let kind = pointer::at(&block, "/type")?;
    let known = match kind.as_str() {
        "\"text\"" | "\"image\"" => true,
        "\"audio\"" => revision >= Revision::V2025_03_26,
        _ => false,
    };
    known.then_some(block)
}

fn members(value: &RawJson) -> Option<Members> {
    if value.kind() != Some(Kind::Object) {
        return None;
    }
    let mut members = Vec::new();
    let read: Result<_, JsonError> = value.scanner().object(|scan, key| {
        members.push((key.as_ref().to_owned(), value.part(scan.value()?)));
        Ok(())
    });
    read.ok().map(|_| members)
}

fn elements(value: &RawJson) -> Option<Vec<RawJson>> {
    if value.kind() != Some(Kind::Array) {
        return None;
    }
    let mut elements = Vec::new();
    let read: Result<_, JsonError> = value.scanner().array(|scan| {
        elements.push(value.part(scan.value()?));
        Ok(())
    });
    read.ok().map(|_| elements)
}

fn names(value: Option<&RawJson>) -> Option<Vec<String>> {
    let Some(value) = value else { return Some(Vec::new()) };
    elements(value)?.iter().map(|name| unquote(name.as_str()).ok().map(std::borrow::Cow::into_owned)).collect()
}

fn array(elements: &[RawJson]) -> RawJson {
    let mut out = vec![b'['];
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(element.as_bytes());
    }
    out.push(b']');
    RawJson::of_ours(out)
}
