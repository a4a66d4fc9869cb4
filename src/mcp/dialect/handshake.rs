//! What servers say about themselves: results of `initialize` and `server/discover`.

use super::of;
use crate::mcp::json::{JsonError, Kind, unquote};
use crate::mcp::keys;
use crate::mcp::pointer;
use crate::mcp::raw::RawJson;
use crate::mcp::reply::ResultBody;
use crate::mcp::write::{Object, object};
use crate::vocab::Revision;

/// A name and a version, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// `name`
    pub name: &'static str,
    /// `version`
    pub version: &'static str,
}

impl ServerInfo {
    /// The gateway itself. Names of upstreams never leave.
    pub const GATEWAY: Self = Self { name: "portcullis", version: env!("CARGO_PKG_VERSION") };

    pub(super) fn write(self, out: &mut Object<'_>) {
        out.text("name", self.name).text("version", self.version);
    }
}

/// What a server can do, as far as the gateway can carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol's own list of independent facts")]
pub struct ServerCapabilities {
    /// `tools`
    pub tools: bool,
    /// `prompts`
    pub prompts: bool,
    /// `resources`
    pub resources: bool,
    /// `completions`
    pub completions: bool,
    /// `logging`
    pub logging: bool,
    /// `resources.subscribe`
    pub resources_subscribe: bool,
    /// The extension `io.modelcontextprotocol/tasks` (2026-07-28).
    pub tasks: bool,
    /// `tasks.requests.tools.call` (2025-11-25).
    pub session_tasks: bool,
    /// `tasks.cancel` (2025-11-25).
    pub session_tasks_cancel: bool,
}

impl ServerCapabilities {
    /// What either of two can do.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            tools: self.tools | other.tools,
            prompts: self.prompts | other.prompts,
            resources: self.resources | other.resources,
            completions: self.completions | other.completions,
            logging: self.logging | other.logging,
            resources_subscribe: self.resources_subscribe | other.resources_subscribe,
            tasks: self.tasks | other.tasks,
            session_tasks: self.session_tasks | other.session_tasks,
            session_tasks_cancel: self.session_tasks_cancel | other.session_tasks_cancel,
        }
    }

    fn to_json(self, revision: Revision) -> RawJson {
        object(|out| {
            // What a client sees changes with policy, whatever the upstreams say of themselves.
            let changes = b"{\"listChanged\":true}".as_slice();
            for (key, has, value) in [
                ("tools", self.tools, changes),
                ("prompts", self.prompts, changes),
                ("completions", self.completions, b"{}"),
                ("logging", self.logging, b"{}"),
            ] {
                if has {
                    out.raw(key, value);
                }
            }
            if self.resources {
                let both = b"{\"listChanged\":true,\"subscribe\":true}".as_slice();
                out.raw("resources", if self.resources_subscribe { both } else { changes });
            }
            self.write_tasks(out, revision);
        })
    }

    /// Each form of tasks is known to one revision. Listing them is not offered: nobody here knows all of a principal's.
    fn write_tasks(self, out: &mut Object<'_>, revision: Revision) {
        if self.tasks && revision == Revision::V2026_07_28 {
            out.raw("extensions", b"{\"io.modelcontextprotocol/tasks\":{}}");
        }
        if self.session_tasks && revision == Revision::V2025_11_25 {
            out.object("tasks", |tasks| {
                if self.session_tasks_cancel {
                    tasks.raw("cancel", b"{}");
                }
                tasks.raw("requests", b"{\"tools\":{\"call\":{}}}");
            });
        }
    }
}

/// The result of `initialize` for a client that agreed on `revision`.
pub fn initialize_result(
    revision: Revision,
    capabilities: &ServerCapabilities,
    server: &ServerInfo,
    instructions: Option<&str>,
) -> ResultBody {
    let declared = ServerCapabilities { completions: capabilities.completions && of(revision).completions, ..*capabilities };
    let mut members = vec![
        (RawJson::of_static("\"protocolVersion\""), RawJson::of_text(revision.as_str())),
        (RawJson::of_static("\"capabilities\""), declared.to_json(revision)),
        (RawJson::of_static("\"serverInfo\""), object(|out| server.write(out))),
    ];
    members.extend(instructions.map(|text| (RawJson::of_static("\"instructions\""), RawJson::of_text(text))));
    ResultBody { members, ..ResultBody::default() }
}

/// The result of `server/discover`.
pub fn discover_result(supported: &[Revision], capabilities: &ServerCapabilities, server: &ServerInfo) -> ResultBody {
    let quoted: Vec<String> = supported.iter().map(|r| format!("\"{r}\"")).collect();
    let versions = RawJson::of_ours(format!("[{}]", quoted.join(",")).into_bytes());
    let members = vec![
        (RawJson::of_static("\"supportedVersions\""), versions),
        (RawJson::of_static("\"capabilities\""), capabilities.to_json(Revision::V2026_07_28)),
    ];
    let meta = vec![(RawJson::of_text(keys::SERVER_INFO), object(|out| server.write(out)))];
    ResultBody { members, meta, ..ResultBody::default() }
}

/// Reads a `ServerCapabilities` object. What is not an object counts as absent.
pub fn parse_capabilities(raw: &RawJson) -> ServerCapabilities {
    let mut read = ServerCapabilities::default();
    let outcome: Result<_, JsonError> = raw.scanner().object(|scan, key| {
        let has = scan.peek()? == Kind::Object;
        let span = scan.value()?;
        match key.as_ref() {
            "tools" => read.tools = has,
            "prompts" => read.prompts = has,
            "completions" => read.completions = has,
            "logging" => read.logging = has,
            "resources" => {
                read.resources = has;
                read.resources_subscribe = has && is_true(&raw.part(span), "subscribe");
            }
            "extensions" if has => read.tasks = is_object(&raw.part(span), "/io.modelcontextprotocol~1tasks"),
            "tasks" if has => {
                read.session_tasks = is_object(&raw.part(span), "/requests/tools/call");
                read.session_tasks_cancel = is_object(&raw.part(span), "/cancel");
            }
            _ => {}
        }
        Ok(())
    });
    if outcome.is_ok() { read } else { ServerCapabilities::default() }
}

/// Reads the result of `initialize`: the revision, where it is one that is known, and the capabilities. A server whose revision
/// cannot say that it completes arguments is taken to complete those of what it offers.
pub fn parse_initialize_result(result: &ResultBody) -> (Option<Revision>, ServerCapabilities) {
    let version = result.member("protocolVersion").and_then(|v| unquote(v.as_str()).ok());
    let revision = version.and_then(|v| Revision::parse(&v));
    let mut capabilities = result.member("capabilities").map(parse_capabilities).unwrap_or_default();
    if revision.is_some_and(|revision| !of(revision).completions) {
        capabilities.completions = capabilities.prompts || capabilities.resources;
    }
    // The extension is undefined here.
    (revision, ServerCapabilities { tasks: false, ..capabilities })
}

/// Reads the result of `server/discover`: versions as named, and the capabilities.
pub fn parse_discover_result(result: &ResultBody) -> (Vec<String>, ServerCapabilities) {
    let mut versions = Vec::new();
    if let Some(list) = result.member("supportedVersions").filter(|v| v.kind() == Some(Kind::Array)) {
        let read = list.scanner().array(|scan| {
            if scan.peek()? == Kind::String {
                versions.push(scan.string()?.into_owned());
            } else {
                scan.value()?;
            }
            Ok(())
        });
        if read.is_err() {
            versions.clear();
        }
    }
    let said = result.member("capabilities").map(parse_capabilities).unwrap_or_default();
    // The older form of tasks is gone here.
    (versions, ServerCapabilities { session_tasks: false, session_tasks_cancel: false, ..said })
}

fn is_object(value: &RawJson, pointer: &str) -> bool {
    pointer::at(value, pointer).is_some_and(|value| value.kind() == Some(Kind::Object))
}

fn is_true(object: &RawJson, member: &str) -> bool {
    let mut found = false;
    let read = object.scanner().object(|scan, key| {
        let value = scan.value()?;
        found |= key == member && value == "true";
        Ok(())
    });
    read.is_ok() && found
}
