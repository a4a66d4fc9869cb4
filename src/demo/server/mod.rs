//! The sample MCP server: a box of notes over stdio, built on the official Rust SDK.

mod notes;
mod tools;

use std::io;

use parking_lot::Mutex;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CompletionInfo,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, Prompt, PromptArgument, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};

use notes::{Notes, Place, URI_PREFIX};

/// How long lists that never change may be kept, in milliseconds.
const STATIC_TTL_MS: u64 = 60_000;
const PROMPT: &str = "summarize";
const PROMPT_ARGUMENT: &str = "name";
const MIME: &str = "text/plain";

/// Serves notes over stdin and stdout until stdin ends.
///
/// # Errors
/// What the transport or the runtime reports.
pub fn serve_notes() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        match NotesServer::new().serve(rmcp::transport::stdio()).await {
            Ok(service) => service.waiting().await.map(|_| ()).map_err(io::Error::other),
            // A client that only asked what there is.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    });
    // Reading stdin blocks a thread, which is not waited for.
    runtime.shutdown_background();
    served
}

/// The server. Its notes are lost when it ends.
#[derive(Debug)]
pub struct NotesServer {
    notes: Mutex<Notes>,
}

impl NotesServer {
    /// A server with the notes it begins with.
    #[expect(clippy::new_without_default, reason = "a box with notes in it is no neutral value")]
    pub fn new() -> Self {
        Self { notes: Mutex::new(Notes::seeded()) }
    }
}

impl ServerHandler for NotesServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().enable_completions().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("portcullis-notes", env!("CARGO_PKG_VERSION")))
            .with_instructions("A box of notes in folders. Notes are kept in memory only.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let result = ListToolsResult::with_all_items(tools::list());
        Ok(result.with_ttl_ms(STATIC_TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = tools::call(&mut self.notes.lock(), &request.name, request.arguments.unwrap_or_default());
        result.map(Into::into).ok_or_else(|| ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let notes = self.notes.lock();
        let resource = |place: &Place| Resource::new(place.uri(), place.to_string()).with_mime_type(MIME);
        Ok(ListResourcesResult::with_all_items(notes.places(None).map(resource).collect()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new(format!("{URI_PREFIX}{{folder}}/{{name}}"), "note")
            .with_description("A note.")
            .with_mime_type(MIME);
        let result = ListResourceTemplatesResult::with_all_items(vec![template]);
        Ok(result.with_ttl_ms(STATIC_TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let notes = self.notes.lock();
        let text = Place::from_uri(&request.uri).and_then(|place| notes.read(&place).ok().map(str::to_owned));
        let data = serde_json::json!({ "uri": request.uri });
        let text = text.ok_or_else(|| ErrorData::resource_not_found("There is no such note.", Some(data)))?;
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri).with_mime_type(MIME)]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let argument = PromptArgument::new(PROMPT_ARGUMENT).with_description("The note.").with_required(true);
        let prompt = Prompt::new(PROMPT, Some("Asks for a summary of a note."), Some(vec![argument]));
        let result = ListPromptsResult::with_all_items(vec![prompt.with_title("Summarize a note")]);
        Ok(result.with_ttl_ms(STATIC_TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != PROMPT {
            return Err(ErrorData::invalid_params(format!("Unknown prompt: {}", request.name), None));
        }
        let arguments = request.arguments.unwrap_or_default();
        let name = arguments.get(PROMPT_ARGUMENT).and_then(serde_json::Value::as_str);
        let name = name.ok_or_else(|| ErrorData::invalid_params("The argument `name` is missing.", None))?;
        let notes = self.notes.lock();
        let (place, text) = notes.find(name).map_err(|why| ErrorData::invalid_params(why.to_string(), None))?;
        let ask = format!("Summarize this note in one sentence.\n\n{place}:\n{text}");
        let result = GetPromptResult::new(vec![PromptMessage::new_text(Role::User, ask)]);
        Ok(result.with_description(format!("Summary of {place}")).into())
    }

    async fn complete(&self, request: CompleteRequestParams, _: RequestContext<RoleServer>) -> Result<CompleteResult, ErrorData> {
        if request.r#ref.as_prompt_name() != Some(PROMPT) || request.argument.name != PROMPT_ARGUMENT {
            return Err(ErrorData::invalid_params("There is nothing to complete there.", None));
        }
        let notes = self.notes.lock();
        let fitting = notes.places(None).map(Place::name).filter(|name| name.starts_with(&request.argument.value));
        let values = fitting.take(CompletionInfo::MAX_VALUES).map(str::to_owned).collect();
        let info = CompletionInfo::new(values).map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(CompleteResult::new(info))
    }
}
