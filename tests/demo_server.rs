//! The sample server of the demo, driven by the official client over real pipes, in both eras of the protocol.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::Stdio;
use std::time::Duration;

use rmcp::model::{
    ArgumentInfo, CallToolRequestParams, ClientCapabilities, CompleteRequestParams, ContentBlock, GetPromptRequestParams,
    Implementation, ProtocolVersion, ReadResourceRequestParams, Reference, RequestMetaObject, ResourceContents,
};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// Time for a process to start and to answer.
const START_MAX: Duration = Duration::from_secs(60);

struct Server {
    client: RunningService<RoleClient, ()>,
    process: Child,
}

impl Server {
    async fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("demo-server")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pipes = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
        let client = tokio::time::timeout(START_MAX, ().serve(pipes)).await.unwrap().unwrap();
        Self { client, process }
    }

    /// The text of the result, and whether it is an error.
    async fn call(&self, tool: &'static str, arguments: Value) -> (String, bool) {
        let Value::Object(arguments) = arguments else { panic!("not an object") };
        let result = self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap();
        let [ContentBlock::Text(text)] = result.content.as_slice() else { panic!("{result:?}") };
        (text.text.clone(), result.is_error == Some(true))
    }

    async fn stop(mut self) {
        self.client.cancel().await.unwrap();
        assert!(self.process.wait().await.unwrap().success(), "the end of stdin is a normal end");
    }
}

#[tokio::test]
async fn tools_say_what_they_are() {
    let server = Server::start().await;
    let tools = server.client.list_all_tools().await.unwrap();
    let hints = |tool: &rmcp::model::Tool| {
        let hints = tool.annotations.clone().unwrap();
        (tool.name.to_string(), hints.read_only_hint.unwrap(), hints.destructive_hint.unwrap_or(false))
    };
    let mut found: Vec<_> = tools.iter().map(hints).collect();
    found.sort();
    let expected = [
        ("delete_note", false, true),
        ("list_notes", true, false),
        ("read_note", true, false),
        ("search_notes", true, false),
        ("write_note", false, false),
    ];
    assert_eq!(found, expected.map(|(name, reads, deletes)| (name.to_owned(), reads, deletes)));
    assert!(tools.iter().all(|tool| tool.input_schema.get("type") == Some(&json!("object"))));
    server.stop().await;
}

#[tokio::test]
async fn tools_do_what_they_say() {
    let server = Server::start().await;
    let note = |folder: &str, name: &str| json!({ "folder": folder, "name": name });
    let written = json!({ "folder": "public", "name": "list", "text": "Milk and bread." });
    for (tool, arguments, expected, is_error) in [
        ("list_notes", json!({ "folder": "trash" }), "trash/old-draft", false),
        ("search_notes", json!({ "words": "WELCOME" }), "public/welcome", false),
        ("read_note", note("private", "diary"), "Dear diary", false),
        ("write_note", written.clone(), "Written: public/list", false),
        ("read_note", note("public", "list"), "Milk and bread.", false),
        ("write_note", written, "not overwritten", true),
        ("delete_note", note("public", "list"), "Deleted: public/list", false),
        ("read_note", note("public", "list"), "no such note", true),
        ("delete_note", note("public", "list"), "no such note", true),
        ("read_note", note("public", "../private/diary"), "lower-case letters", true),
        ("read_note", json!({ "folder": "public" }), "missing field `name`", true),
        ("read_note", json!({ "folder": "public", "name": "welcome", "more": 1 }), "unknown field `more`", true),
        ("search_notes", json!({ "words": "" }), "1 to 256 bytes", true),
    ] {
        let (text, failed) = server.call(tool, arguments.clone()).await;
        assert!(text.contains(expected) && failed == is_error, "{tool} {arguments}: {text}");
    }
    let unknown = server.client.call_tool(CallToolRequestParams::new("no_such_tool")).await;
    assert!(unknown.unwrap_err().to_string().contains("no_such_tool"));
    server.stop().await;
}

#[tokio::test]
async fn resources_prompts_and_completion() {
    let server = Server::start().await;
    let client = &server.client;
    let resources = client.list_all_resources().await.unwrap();
    assert!(resources.iter().any(|resource| resource.uri == "note:///public/welcome"));
    let templates = client.list_all_resource_templates().await.unwrap();
    assert_eq!(templates.first().unwrap().uri_template, "note:///{folder}/{name}");
    for resource in &resources {
        let read = client.read_resource(ReadResourceRequestParams::new(&resource.uri)).await.unwrap();
        let [ResourceContents::TextResourceContents { uri, text, .. }] = read.contents.as_slice() else { panic!("{read:?}") };
        assert!(*uri == resource.uri && !text.is_empty());
    }
    for uri in ["note:///public/none", "note:///public/../private/diary", "file:///etc/passwd", ""] {
        assert!(client.read_resource(ReadResourceRequestParams::new(uri)).await.is_err(), "{uri}");
    }

    let prompts = client.list_all_prompts().await.unwrap();
    assert_eq!(prompts.first().unwrap().name, "summarize");
    let prompt = |name: &str| {
        let Value::Object(arguments) = json!({ "name": name }) else { panic!("not an object") };
        client.get_prompt(GetPromptRequestParams::new("summarize").with_arguments(arguments))
    };
    let got = prompt("diary").await.unwrap();
    assert!(serde_json::to_string(&got).unwrap().contains("Dear diary"));
    assert!(prompt("none").await.is_err());

    let complete = |reference, argument: &str, typed: &str| {
        client.complete(CompleteRequestParams::new(reference, ArgumentInfo::new(argument, typed)))
    };
    let completed = complete(Reference::for_prompt("summarize"), "name", "o").await.unwrap();
    assert_eq!(completed.completion.values, ["opening-hours", "old-draft"]);
    assert!(complete(Reference::for_prompt("other"), "name", "o").await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn it_speaks_the_newest_revision() {
    let server = Server::start().await;
    let mut meta = RequestMetaObject::new();
    meta.set_protocol_version(ProtocolVersion::V_2026_07_28);
    meta.set_client_info(Implementation::new("test", "1"));
    meta.set_client_capabilities(ClientCapabilities::default());
    let found = server.client.discover(meta).await.unwrap();
    assert!(found.supported_versions.contains(&ProtocolVersion::V_2026_07_28));
    assert_eq!(found.server_info().unwrap().name, "portcullis-notes");
    server.stop().await;
}
