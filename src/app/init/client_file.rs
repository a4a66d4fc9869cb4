//! The files in which clients keep their MCP servers: `mcpServers` of most, `servers` of VS Code.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::InitError;
use super::jsonc;
use super::text::{Places, Text};
use super::words::plain;
use crate::app::load;
use crate::vocab::limits::INIT_SERVERS_MAX;

/// A server as a client starts or reaches it. No `Debug`: it may hold secrets.
pub(super) struct Server {
    /// What the client calls it, made fit to be shown.
    pub(super) given: String,
    /// The directory that relative paths start from.
    pub(super) base: PathBuf,
    pub(super) launch: Launch,
    /// What was not carried over.
    pub(super) notes: Vec<String>,
}

/// How a server is started or reached.
pub(super) enum Launch {
    Stdio { command: Text, args: Vec<Text>, env: Vec<(String, Text)>, cwd: Option<Text> },
    Http { url: Text, headers: Vec<(String, Text)> },
}

/// A server that does not become an upstream.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// What the client calls it.
    pub given: String,
    /// Why.
    pub why: String,
}

/// Where clients keep their servers, below the working directory and below the home directory.
const HERE: &[&str] = &[".mcp.json", "mcp.json", ".cursor/mcp.json", ".vscode/mcp.json"];
const HOME: &[&str] = &[
    ".claude.json",
    ".cursor/mcp.json",
    ".config/Claude/claude_desktop_config.json",
    "Library/Application Support/Claude/claude_desktop_config.json",
    ".codeium/windsurf/mcp_config.json",
];

/// The files of clients that are there.
pub(super) fn usual(home: Option<&Path>) -> Vec<PathBuf> {
    let home = home.into_iter().flat_map(|home| HOME.iter().map(move |file| home.join(file)));
    HERE.iter().map(PathBuf::from).chain(home).filter(|file| file.is_file()).collect()
}

/// Adds the servers of one file.
pub(super) fn read(
    file: &Path,
    home: Option<&Path>,
    servers: &mut Vec<Server>,
    left_out: &mut Vec<LeftOut>,
) -> Result<(), InitError> {
    let wrong = |why: String| InitError::Input(format!("{}: {why}", file.display()));
    let text = load::read(file).map_err(|why| wrong(format!("cannot be read: {why}")))?;
    // What the parser says about a place may quote the file, and with it a secret.
    let broken = |e: serde_json::Error| wrong(format!("is not JSON: line {}, column {}", e.line(), e.column()));
    let root: Value = serde_json::from_str(&jsonc::plain(&text)).map_err(broken)?;
    let places = ["/mcpServers", "/servers", "/mcp/servers", "/mcp/mcpServers"];
    let found = places.iter().find_map(|at| root.pointer(at)).and_then(Value::as_object);
    let found = found.ok_or_else(|| wrong("has neither `mcpServers` nor `servers`".to_owned()))?;
    let base = base(file).map_err(|error| wrong(error.to_string()))?;
    let places = Places { workspace: &base, home };
    for (given, value) in found {
        let given = plain(given);
        if servers.len() >= INIT_SERVERS_MAX {
            return Err(wrong(format!("with this file there are more than {INIT_SERVERS_MAX} servers")));
        }
        match server(value, &places) {
            Ok((launch, notes)) => servers.push(Server { given, base: base.clone(), launch, notes }),
            Err(why) => left_out.push(LeftOut { given, why }),
        }
    }
    Ok(())
}

/// The workspace of a file: the directory it is in, or that of the client's own directory.
fn base(file: &Path) -> std::io::Result<PathBuf> {
    let file = std::path::absolute(file)?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    let inner = dir.file_name().is_some_and(|name| name == ".cursor" || name == ".vscode");
    Ok(dir.parent().filter(|_| inner).unwrap_or(dir).to_owned())
}

fn server(value: &Value, places: &Places<'_>) -> Result<(Launch, Vec<String>), String> {
    let members = value.as_object().ok_or("its entry is no object")?;
    let text = |key: &str| match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Text::read(text, places))),
        Some(_) => Err(format!("its `{key}` is no text")),
    };
    if members.get("disabled") == Some(&Value::Bool(true)) {
        return Err("it is disabled there".to_owned());
    }
    let mut notes = Vec::new();
    if members.contains_key("envFile") {
        notes.push("its `envFile` was not read: put what it needs into `env`".to_owned());
    }
    let kind = members.get("type").or_else(|| members.get("transport")).and_then(Value::as_str).unwrap_or_default();
    if kind == "sse" {
        notes.push("the client spoke HTTP+SSE: give the endpoint that speaks Streamable HTTP".to_owned());
    }
    let url = match text("url")? {
        Some(url) => Some(url),
        None => text("serverUrl")?.or(text("httpUrl")?),
    };
    match (text("command")?, url) {
        (Some(command), None) => {
            let args = match members.get("args") {
                None | Some(Value::Null) => Vec::new(),
                Some(args) => list(args, places).ok_or("its `args` are no list of texts")?,
            };
            Ok((Launch::Stdio { command, args, env: table(members, "env", places)?, cwd: text("cwd")? }, notes))
        }
        (None, Some(url)) => Ok((Launch::Http { url, headers: table(members, "headers", places)? }, notes)),
        (Some(_), Some(_)) => Err("it has both a `command` and a `url`".to_owned()),
        (None, None) => Err("it has neither a `command` nor a `url`".to_owned()),
    }
}

fn list(value: &Value, places: &Places<'_>) -> Option<Vec<Text>> {
    value.as_array()?.iter().map(|item| Some(Text::read(item.as_str()?, places))).collect()
}

fn table(members: &Map<String, Value>, key: &str, places: &Places<'_>) -> Result<Vec<(String, Text)>, String> {
    let Some(value) = members.get(key).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let wrong = || format!("its `{key}` is no map of texts");
    let text = |value: &Value| match value {
        Value::String(text) => Some(Text::read(text, places)),
        Value::Number(_) | Value::Bool(_) => Some(Text::literal(value.to_string())),
        _ => None,
    };
    let entries = value.as_object().ok_or_else(wrong)?.iter();
    entries.map(|(name, value)| Ok((name.clone(), text(value).ok_or_else(wrong)?))).collect()
}
