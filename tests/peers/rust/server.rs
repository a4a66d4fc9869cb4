//! The server: the tools that the matrix asks of every SDK (`test_*`), of the newest revision and no other.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult, ContentBlock, Implementation,
    InputRequest, InputRequiredResult, ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SubscriptionFilter,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext, SubscriptionSink};
use rmcp::{ErrorData, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const LINK: &str = "https://example.com/sign-in";
const WATCHED: &str = "test://watched-resource";
const REVISIONS: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];

/// Serves standard input and output until they end.
pub(crate) async fn run() {
    let (stdin, stdout) = rmcp::transport::stdio();
    let running = Server::default().serve((stdin, stdout)).await.unwrap();
    running.waiting().await.unwrap();
}

#[derive(Clone, Default)]
struct Server {
    listening: Arc<Mutex<Vec<SubscriptionSink>>>,
    cancelled: Arc<AtomicUsize>,
}

/// Counts a call that ends before it is done.
struct Unfinished(Arc<AtomicUsize>, bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn made<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn capabilities() -> ServerCapabilities {
    made(json!({
        "tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}
    }))
}

fn tools() -> ListToolsResult {
    let tool = |name: &str, properties: Value| {
        let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({
            "name": format!("test_{name}"), "description": name,
            "inputSchema": {"type": "object", "properties": properties, "required": required}
        })
    };
    let text = json!({"type": "string"});
    made(json!({"tools": [
        tool("simple_text", json!({})),
        tool("elicitation", json!({"message": text})),
        tool("elicitation_url", json!({})),
        tool("sampling", json!({"prompt": text})),
        tool("tool_with_progress", json!({})),
        tool("slow", json!({"steps": {"type": "integer"}, "delay_ms": {"type": "integer"}})),
        tool("cancelled_count", json!({})),
        tool("trigger_tool_change", json!({})),
        tool("touch_resource", json!({"uri": text})),
    ]}))
}

fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// Asks one thing, unless the retry carries its answer, which `tell` puts into words.
fn asking(request: &CallToolRequestParams, question: Value, tell: impl Fn(&Value) -> String) -> CallToolResponse {
    match request.input_responses.as_ref().and_then(|answers| answers.get("q")) {
        Some(answer) => said(tell(answer)),
        None => {
            let question: InputRequest = made(question);
            InputRequiredResult::from_input_requests([("q".to_owned(), question)].into()).into()
        }
    }
}

impl Server {
    async fn steps(&self, context: &RequestContext<RoleServer>, steps: u64, delay: Duration) -> CallToolResponse {
        let mut unfinished = Unfinished(self.cancelled.clone(), true);
        for step in 1..=steps {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = context.ct.cancelled() => return said("cancelled"),
            }
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, step as f64);
                let _ = context.peer.notify_progress(progress).await;
            }
        }
        unfinished.1 = false;
        said(format!("done after {steps} steps"))
    }

    fn listeners(&self) -> Vec<SubscriptionSink> {
        self.listening.lock().unwrap().clone()
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(capabilities()).with_server_info(Implementation::new("peer", "1.0.0"))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(REVISIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(tools())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(made(json!({"resources": [{"uri": WATCHED, "name": "watched"}]})))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let result: rmcp::model::ReadResourceResult = made(json!({"contents": [{"uri": request.uri, "text": "watched"}]}));
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(made(json!({"prompts": [{"name": "test_prompt_with_arguments", "arguments": [{"name": "arg1", "required": true}]}]})))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party"].into_iter().filter(|word| word.starts_with(&request.argument.value));
        Ok(made(json!({"completion": {"values": words.collect::<Vec<_>>()}})))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.listening.lock().unwrap().push(context.sink().clone());
        context.cancelled().await;
        self.listening.lock().unwrap().retain(|sink| sink.id() != context.sink().id());
        Ok(())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
        let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        Ok(match request.name.as_ref() {
            "test_simple_text" => said("This is a simple text response for testing."),
            "test_elicitation" => {
                let schema = json!({"type": "object", "properties": {"username": {"type": "string"}}, "required": ["username"]});
                let params = json!({"mode": "form", "message": text("message"), "requestedSchema": schema});
                asking(&request, json!({"method": "elicitation/create", "params": params}), Value::to_string)
            }
            "test_elicitation_url" => {
                let params = json!({"mode": "url", "message": "Please sign in", "url": LINK, "elicitationId": ""});
                let tell = |answer: &Value| format!("Link: {}", answer["action"].as_str().unwrap_or_default());
                asking(&request, json!({"method": "elicitation/create", "params": params}), tell)
            }
            "test_sampling" => {
                let message = json!({"role": "user", "content": {"type": "text", "text": text("prompt")}});
                let params = json!({"messages": [message], "maxTokens": 100});
                let tell = |answer: &Value| format!("LLM response: {}", answer["content"]);
                asking(&request, json!({"method": "sampling/createMessage", "params": params}), tell)
            }
            "test_tool_with_progress" => self.steps(&context, 3, Duration::from_millis(50)).await,
            "test_slow" => {
                let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
                self.steps(&context, number("steps"), Duration::from_millis(number("delay_ms"))).await
            }
            "test_cancelled_count" => said(self.cancelled.load(Ordering::SeqCst).to_string()),
            "test_trigger_tool_change" => {
                for sink in self.listeners() {
                    let _ = sink.notify_tool_list_changed().await;
                }
                said("Change announced")
            }
            "test_touch_resource" => {
                for sink in self.listeners() {
                    let _ = sink.notify_resource_updated(text("uri")).await;
                }
                said("Told")
            }
            other => return Err(ErrorData::invalid_params(format!("unknown tool: {other}"), None)),
        })
    }
}
