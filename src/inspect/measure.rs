//! How much text a result holds.

use crate::mcp::json::{JsonError, Kind, Scanner, unquote};
use crate::mcp::{RawJson, ResultBody, pointer};

/// Bytes of the text that a model gets to read: content of tools, messages of prompts, contents of resources. Structured content
/// counts where it is more than the text, of which it is usually another form.
pub(super) fn text_bytes(body: &ResultBody) -> u64 {
    let (mut content, mut structured, mut others, mut inlined, mut is_task) = (0_u64, 0, 0_u64, 0, false);
    // No two members have one key: an answer is refused that has. Most have one or two of all these.
    for (key, value) in &body.members {
        match unquote(key.as_str()).as_deref() {
            Ok("content") => content = texts(value),
            Ok("structuredContent") => structured = value.as_bytes().len() as u64,
            Ok("contents" | "messages") => others = others.saturating_add(texts(value)),
            Ok("result") => inlined = task_bytes(value),
            Ok("taskId") => is_task = true,
            _ => {}
        }
    }
    content.max(structured).saturating_add(others).saturating_add(if is_task { inlined } else { 0 })
}

/// As much of the result of a tool that stands inside a task.
fn task_bytes(result: &RawJson) -> u64 {
    let structured = pointer::at(result, "/structuredContent").map_or(0, |raw| raw.as_bytes().len() as u64);
    pointer::at(result, "/content").map_or(0, |content| texts(&content)).max(structured)
}

/// Bytes of every string under a key `text`, escapes undone.
fn texts(raw: &RawJson) -> u64 {
    let mut total = 0;
    // The value was validated before, keys included; should it end early, what was seen counts.
    let _ = walk(&mut Scanner::trusted_but_keys(raw.as_str(), usize::MAX), &mut total);
    total
}

fn walk(scan: &mut Scanner<'_>, total: &mut u64) -> Result<(), JsonError> {
    match scan.peek()? {
        Kind::Object => scan.object(|scan, key| {
            if key == "text" && scan.peek()? == Kind::String {
                let text = scan.value()?;
                *total = total.saturating_add(unquote(text)?.len() as u64);
                return Ok(());
            }
            walk(scan, total)
        })?,
        Kind::Array => scan.array(|scan| walk(scan, total))?,
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => scan.value()?,
    };
    Ok(())
}
