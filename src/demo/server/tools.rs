//! The tools of the sample server: what they are called, take and do.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::notes::{Notes, Place};

/// Words searched for, in bytes.
const WORDS_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    folder: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceArgs {
    folder: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchArgs {
    words: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    folder: String,
    name: String,
    text: String,
}

/// Every tool. The hints are the truth: writing adds and never overwrites, deleting cannot be undone.
pub(super) fn list() -> Vec<Tool> {
    let reads = || ToolAnnotations::new().read_only(true).open_world(false);
    let writes = || ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(false);
    let deletes = || ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false);
    let folder = ("folder", "The folder, such as public.");
    let name = ("name", "The note, such as welcome.");
    vec![
        tool("list_notes", "List notes", "Lists the notes of a folder, or of all.", schema(&[folder], &[]), reads()),
        tool("read_note", "Read a note", "Reads a note.", schema(&[folder, name], &["folder", "name"]), reads()),
        tool(
            "search_notes",
            "Search notes",
            "Finds the notes that hold some words.",
            schema(&[("words", "What to look for.")], &["words"]),
            reads(),
        ),
        tool(
            "write_note",
            "Write a note",
            "Writes a new note. An existing note is never overwritten.",
            schema(&[folder, name, ("text", "What it says.")], &["folder", "name", "text"]),
            writes(),
        ),
        tool("delete_note", "Delete a note", "Deletes a note for good.", schema(&[folder, name], &["folder", "name"]), deletes()),
    ]
}

/// What calling `name` gives; `None` for a tool that does not exist. A refusal is a result, for the model to read.
pub(super) fn call(notes: &mut Notes, name: &str, arguments: JsonObject) -> Option<CallToolResult> {
    let done = match name {
        "list_notes" => list_notes(notes, arguments),
        "read_note" => read_note(notes, arguments),
        "search_notes" => search_notes(notes, arguments),
        "write_note" => write_note(notes, arguments),
        "delete_note" => delete_note(notes, arguments),
        _ => return None,
    };
    Some(match done {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
    })
}

fn list_notes(notes: &Notes, arguments: JsonObject) -> Result<String, String> {
    let ListArgs { folder } = read(arguments)?;
    Ok(lines(notes.places(folder.as_deref())))
}

fn read_note(notes: &Notes, arguments: JsonObject) -> Result<String, String> {
    let PlaceArgs { folder, name } = read(arguments)?;
    let place = Place::new(&folder, &name).map_err(|why| why.to_string())?;
    notes.read(&place).map(str::to_owned).map_err(|why| why.to_string())
}

fn search_notes(notes: &Notes, arguments: JsonObject) -> Result<String, String> {
    let SearchArgs { words } = read(arguments)?;
    if words.is_empty() || words.len() > WORDS_BYTES_MAX {
        return Err(format!("The words are 1 to {WORDS_BYTES_MAX} bytes."));
    }
    Ok(lines(notes.search(&words)))
}

fn write_note(notes: &mut Notes, arguments: JsonObject) -> Result<String, String> {
    let WriteArgs { folder, name, text } = read(arguments)?;
    let place = Place::new(&folder, &name).map_err(|why| why.to_string())?;
    let said = format!("Written: {place}");
    notes.write(place, text).map(|()| said).map_err(|why| why.to_string())
}

fn delete_note(notes: &mut Notes, arguments: JsonObject) -> Result<String, String> {
    let PlaceArgs { folder, name } = read(arguments)?;
    let place = Place::new(&folder, &name).map_err(|why| why.to_string())?;
    notes.delete(&place).map(|()| format!("Deleted: {place}")).map_err(|why| why.to_string())
}

fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("The arguments do not fit: {error}."))
}

fn lines<'n>(places: impl Iterator<Item = &'n Place>) -> String {
    let lines: Vec<String> = places.map(ToString::to_string).collect();
    if lines.is_empty() { "No notes.".to_owned() } else { lines.join("\n") }
}

fn tool(name: &'static str, title: &str, about: &'static str, schema: JsonObject, hints: ToolAnnotations) -> Tool {
    Tool::new(name, about, schema).with_title(title).with_annotations(hints)
}

/// The schema of an object of strings.
fn schema(fields: &[(&str, &str)], required: &[&str]) -> JsonObject {
    let property = |(name, about): &(&str, &str)| ((*name).to_owned(), json!({ "type": "string", "description": about }));
    let properties: JsonObject = fields.iter().map(property).collect();
    JsonObject::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
        ("required".to_owned(), json!(required)),
        ("additionalProperties".to_owned(), json!(false)),
    ])
}
