//! The client: a plan on standard input, one JSON line per step on standard output, as `tests/peers/clients/driver.mjs`
//! describes them. ERA: `discover` (2026-07-28) or `legacy` (a session of 2025-11-25).
#![expect(deprecated, reason = "sampling and subscriptions of sessions are still spoken")]

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientConfig, ClientRequest, CompleteRequestParams, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, GetTaskParams, Implementation, ProgressNotificationParam,
    ProtocolVersion, Request, ResourceUpdatedNotificationParam, SubscriptionFilter, TaskPayload,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, PeerRequestOptions, RequestContext, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ErrorData, RoleClient, ServiceError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::Carrier;

const HEAR_EVERY: Duration = Duration::from_millis(20);

/// What was pushed and asked since the last step.
type Told = Arc<Mutex<Vec<Value>>>;

#[derive(Clone)]
struct Person {
    told: Told,
    answers: Arc<Value>,
    capabilities: Value,
}

impl Person {
    fn note(&self, method: &str, params: impl Serialize) {
        self.told.lock().unwrap().push(json!({"method": method, "params": serde_json::to_value(params).unwrap()}));
    }
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let capabilities = serde_json::from_value(self.capabilities.clone()).unwrap();
        ClientConfig::new(capabilities, Implementation::new("peer", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.note("elicitation/create", &request);
        let key = if matches!(request, ElicitRequestParams::UrlElicitationParams { .. }) { "url" } else { "create" };
        Ok(serde_json::from_value(self.answers[format!("elicitation/{key}")].clone()).unwrap())
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.note("sampling/createMessage", &request);
        Ok(serde_json::from_value(self.answers["sampling/createMessage"].clone()).unwrap())
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.told.lock().unwrap().push(json!({"progress": params.progress}));
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _context: NotificationContext<RoleClient>) {
        self.note("notifications/resources/updated", params);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("notifications/tools/list_changed", json!({}));
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("notifications/prompts/list_changed", json!({}));
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("notifications/resources/list_changed", json!({}));
    }
}

type Client = RunningService<RoleClient, Person>;

fn env(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

#[expect(clippy::print_stdout, reason = "standard output is what it is for")]
fn print(line: &Value) {
    println!("{line}");
}

/// Connects and runs the plan.
pub(crate) async fn run() {
    let mut plan = String::new();
    std::io::stdin().read_to_string(&mut plan).unwrap();
    let plan: Vec<Value> = serde_json::from_str(&plan).unwrap();
    let read = |name: &str| serde_json::from_str::<Value>(&env(name, "{}")).unwrap();
    let person = Person { told: Told::default(), answers: Arc::new(read("ANSWERS")), capabilities: read("CAPABILITIES") };
    let modern = env("ERA", "discover") == "discover";
    let lifecycle = if modern {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let carrier = Carrier::default();
    let mut config = StreamableHttpClientTransportConfig::with_uri(env("GATEWAY_URL", ""));
    config.auth_header = std::env::var("TOKEN").ok();
    let transport = StreamableHttpClientTransport::with_client(carrier.clone(), config);
    let told = person.told.clone();
    match person.serve_with_lifecycle(transport, lifecycle).await {
        Err(error) => print(&json!({"op": "connect", "ok": false, "error": {"message": error.to_string()}})),
        Ok(client) => {
            let version = client.peer_info().map(|info| info.protocol_version.to_string());
            print(&json!({"op": "connect", "ok": true, "result": {"version": version}}));
            for step in &plan {
                perform(&client, step, &told, modern).await;
            }
            let _ = client.cancel().await;
        }
    }
    let requests = carrier.requests.lock().unwrap().clone();
    print(&json!({"op": "http", "ok": true, "requests": requests}));
}

/// One step and its line.
async fn perform(client: &Client, step: &Value, told: &Told, modern: bool) {
    let limit = Duration::from_millis(env("TIMEOUT_MS", "30000").parse().unwrap());
    let outcome = tokio::time::timeout(limit, act(client, step, told, modern, limit)).await;
    let mut line = match outcome {
        Ok(Ok(result)) => json!({"ok": true, "result": result}),
        Ok(Err(error)) => json!({"ok": false, "error": error}),
        Err(_) => json!({"ok": false, "error": {"message": "no answer in time"}}),
    };
    line["op"] = step["op"].clone();
    line["name"] = step["name"].clone();
    // Changes stay until they are waited for.
    let (kept, shown): (Vec<Value>, Vec<Value>) = std::mem::take(&mut *told.lock().unwrap())
        .into_iter()
        .partition(|one| one["method"].as_str().is_some_and(|method| method.starts_with("notifications/")));
    told.lock().unwrap().extend(kept);
    line["notifications"] = shown.into();
    print(&line);
}

fn failed(error: &ServiceError) -> Value {
    match error {
        ServiceError::McpError(error) => json!({"code": error.code.0, "message": error.message, "data": error.data}),
        other => json!({"message": other.to_string()}),
    }
}

fn shown<T: Serialize>(outcome: Result<T, ServiceError>) -> Result<Value, Value> {
    outcome.map(|result| serde_json::to_value(result).unwrap()).map_err(|error| failed(&error))
}

fn call(step: &Value) -> CallToolRequestParams {
    let arguments = step["args"].as_object().cloned().unwrap_or_default();
    CallToolRequestParams::new(step["name"].as_str().unwrap().to_owned()).with_arguments(arguments)
}

async fn act(client: &Client, step: &Value, told: &Told, modern: bool, limit: Duration) -> Result<Value, Value> {
    let ms = |name: &str| Duration::from_millis(step[name].as_u64().unwrap_or(300));
    match step["op"].as_str().unwrap() {
        "list" => shown(client.list_all_tools().await).map(|tools| json!({"tools": tools})),
        "call" | "progressCall" => shown(client.call_tool(call(step)).await),
        "taskCall" => task_call(client, step).await,
        "cancelCall" => {
            let request = ClientRequest::CallToolRequest(Request::new(call(step)));
            let sent = client.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
            let handle = sent.map_err(|error| failed(&error))?;
            tokio::time::sleep(ms("after_ms")).await;
            handle.cancel(Some("no longer wanted".into())).await.map_err(|error| failed(&error))?;
            Err(json!({"message": "cancelled"}))
        }
        "complete" => {
            let request: CompleteRequestParams =
                serde_json::from_value(json!({"ref": step["ref"], "argument": step["argument"]})).unwrap();
            shown(client.complete(request).await)
        }
        "watch" => watch(client, step, told, modern).await,
        "hear" => hear(step, told, limit).await,
        "sleep" => {
            tokio::time::sleep(ms("ms")).await;
            Ok(json!({}))
        }
        other => panic!("unknown step: {other}"),
    }
}

/// Calls; looks from time to time at the task that comes of it, if one does; the call's own result.
async fn task_call(client: &Client, step: &Value) -> Result<Value, Value> {
    let made = match client.call_tool_once(call(step)).await.map_err(|error| failed(&error))? {
        CallToolResponse::Task(made) => made.task,
        CallToolResponse::Complete(result) => return shown(Ok(result)),
        other => return Err(json!({"message": format!("neither a task nor a result: {other:?}")})),
    };
    let pause = Duration::from_millis(made.poll_interval_ms.unwrap_or(1_000));
    loop {
        let seen = client.get_task(GetTaskParams::new(&made.task_id)).await.map_err(|error| failed(&error))?.task;
        match seen.payload {
            TaskPayload::Completed { result } => return Ok(result.into()),
            TaskPayload::Failed { error } => return Err(error.into()),
            TaskPayload::Working => tokio::time::sleep(pause).await,
            other => return Err(json!({"message": format!("no way for a task to go on: {other:?}")})),
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn watch(client: &Client, step: &Value, told: &Told, modern: bool) -> Result<Value, Value> {
    let uris = strings(&step["uris"]);
    if !modern {
        for uri in uris {
            subscribe(client, uri).await?;
        }
        return Ok(json!({}));
    }
    let mut filter = json!({});
    for list in strings(&step["lists"]) {
        filter[format!("{list}ListChanged")] = true.into();
    }
    if !uris.is_empty() {
        filter["resourceSubscriptions"] = json!(uris);
    }
    let filter: SubscriptionFilter = serde_json::from_value(filter).unwrap();
    let mut subscription = client.listen(filter).await.map_err(|error| failed(&error))?;
    let honoured = serde_json::to_value(subscription.acknowledged()).unwrap();
    let told = told.clone();
    tokio::spawn(async move {
        while let Ok(Some(notification)) = subscription.next().await {
            told.lock().unwrap().push(serde_json::to_value(notification).unwrap());
        }
    });
    Ok(json!({"honored": honoured}))
}

async fn subscribe(client: &Client, uri: String) -> Result<(), Value> {
    client.subscribe(rmcp::model::SubscribeRequestParams::new(uri)).await.map_err(|error| failed(&error))
}

/// Waits until a notification was pushed, and takes it.
async fn hear(step: &Value, told: &Told, limit: Duration) -> Result<Value, Value> {
    let until = Instant::now() + limit.mul_f32(0.9);
    let wanted = |one: &Value| one["method"] == step["method"] && (step["uri"].is_null() || one["params"]["uri"] == step["uri"]);
    loop {
        {
            let mut told = told.lock().unwrap();
            if let Some(at) = told.iter().position(wanted) {
                return Ok(told.remove(at));
            }
        }
        if Instant::now() > until {
            return Err(json!({"message": format!("never heard {}", step["method"])}));
        }
        tokio::time::sleep(HEAR_EVERY).await;
    }
}
