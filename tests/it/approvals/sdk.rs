//! The official Rust SDK as a client of the tasks extension: the SDK that speaks it.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientConfig, GetTaskParams, Implementation, ProtocolVersion,
    TaskPayload, TaskStatus,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};

use super::World;
use crate::gate::soon;
use crate::rust_sdk::Carrier;

/// Knows tasks.
struct Agent;

impl ClientHandler for Agent {
    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        ClientConfig::new(serde_json::from_value(capabilities).unwrap(), Implementation::new("agent", "1.0.0"))
    }
}

type Client = RunningService<RoleClient, Agent>;

async fn connect(world: &World, token: &str) -> Client {
    let mut config = StreamableHttpClientTransportConfig::with_uri(world.gate.url("/mcp"));
    config.auth_header = Some(token.to_owned());
    let transport = StreamableHttpClientTransport::with_client(Carrier(world.gate.reach.clone()), config);
    let discover = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    Agent.serve_with_lifecycle(transport, discover).await.unwrap()
}

fn advertised(client: &Client) -> bool {
    client.peer_info().unwrap().capabilities.supports_tasks()
}

/// Makes a call that comes back as a task; its id.
async fn begun(client: &Client, arguments: Value) -> String {
    let call = CallToolRequestParams::new("up__write").with_arguments(arguments.as_object().cloned().unwrap());
    match client.call_tool_once(call).await.unwrap() {
        CallToolResponse::Task(made) => made.task.task_id,
        other => panic!("{other:?}"),
    }
}

/// How the task ends.
async fn over(client: &Client, task: &str) -> TaskPayload {
    for _ in 0..500 {
        let seen = client.get_task(GetTaskParams::new(task)).await.unwrap().task;
        if seen.status() != TaskStatus::Working {
            return seen.payload;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still working")
}

fn reason(payload: TaskPayload) -> Value {
    let TaskPayload::Completed { result } = payload else { panic!("{payload:?}") };
    assert_eq!(result["isError"], true, "{result:?}");
    result["_meta"]["dev.portcullis/denial"]["reason"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completes_an_approved_call_and_is_refused_others() {
    let world = World::start().await;
    let client = connect(&world, &world.alice).await;
    assert!(advertised(&client), "{:?}", client.peer_info());

    let task = begun(&client, json!({"a": "yes"})).await;
    assert_eq!(client.get_task(GetTaskParams::new(&task)).await.unwrap().task.status(), TaskStatus::Working);
    assert_eq!(world.ran(), 0);
    world.approve(&world.requests()[0]).await;
    let TaskPayload::Completed { result } = over(&client, &task).await else { panic!("did not complete") };
    assert!(result["content"][0]["text"].as_str().unwrap().starts_with("did "), "{result:?}");
    assert_eq!(world.ran(), 1);

    let task = begun(&client, json!({"a": "no"})).await;
    world.vote(&world.requests()[0], "sven", &["sre"], false).await.unwrap();
    assert_eq!(reason(over(&client, &task).await), "approval_denied");

    let task = begun(&client, json!({"a": "cancelled"})).await;
    client.cancel_task(CancelTaskParams::new(&task)).await.unwrap();
    assert!(matches!(over(&client, &task).await, TaskPayload::Cancelled));

    let task = begun(&client, json!({"a": "late"})).await;
    world.gate.running().clock().advance_ms(301_000);
    assert_eq!(reason(over(&client, &task).await), "approval_expired");
    assert_eq!(world.ran(), 1);
    client.cancel().await.unwrap();
}

/// The gateway makes tasks of its own where people have to approve a tool of a server of the route, for whom they have to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_told_of_tasks_where_it_may_get_one() {
    let world = World::start().await;
    let read = world.gate.token("rita", &["readers"]);
    assert!(!advertised(&connect(&world, &read).await), "no rule is about her");
    let before = world.gate.running().policy().digest().clone();
    let open = super::RULES.replace("    require: { approval: { from: [\"group:sre\"], expires: 5m } }\n", "");
    assert_ne!(open, super::RULES);
    let open = open.replace("tools: [\"*__delete\"]", "tools: [\"elsewhere__delete\"]");
    let open = open.replace("tools: [\"*__two__parts\"]", "prompts: [\"*__greet\"]").replace("classes: [destructive]", "");
    world.gate.reload("policy.yaml", &open);
    soon("the policy", || *world.gate.running().policy().digest() != before).await;
    assert!(!advertised(&connect(&world, &world.alice).await), "nothing here is approved");
}
