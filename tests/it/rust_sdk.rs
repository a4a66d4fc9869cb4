//! The official Rust SDK as a client, in both eras.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _};
use http::{HeaderName, HeaderValue};
use rmcp::model::{
    CallToolRequestParams, ClientJsonRpcMessage, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError, StreamableHttpPostResponse,
};
use rmcp::{RoleClient, ServiceError};
use serde_json::json;
use sse_stream::{Error as SseError, Sse};

use crate::gate::Gate;
use crate::wire::{Conn, Reach, Req};

/// Carries the SDK's messages over the test's own connections.
#[derive(Clone)]
pub(crate) struct Carrier(pub(crate) Reach);

impl Carrier {
    fn request(
        &self,
        verb: &str,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Req {
        let mut request = Req::new(verb, "/mcp")
            .add("Host", &self.0.addr.to_string())
            .add("Accept", "text/event-stream, application/json")
            .add("Authorization", &format!("Bearer {}", token.unwrap_or_default()));
        for (name, value) in &headers {
            request = request.add(name.as_str(), value.to_str().unwrap());
        }
        match session {
            Some(session) => request.add("Mcp-Session-Id", &session),
            None => request,
        }
    }
}

impl StreamableHttpClient for Carrier {
    type Error = io::Error;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, StreamableHttpError<io::Error>> {
        let request = self.request("POST", session, token, headers).set("Content-Type", "application/json");
        let answer = self.0.send(&request.body(serde_json::to_vec(&message)?)).await;
        if answer.status == 202 {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = answer.header("mcp-session-id").map(str::to_owned);
        Ok(StreamableHttpPostResponse::Json(serde_json::from_value(answer.json())?, session))
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), StreamableHttpError<io::Error>> {
        let answer = self.0.send(&self.request("DELETE", Some(session), token, headers)).await;
        assert_eq!(answer.status, 204, "{}", answer.whole());
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session: Option<Arc<str>>,
        _last_event_id: Option<String>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, StreamableHttpError<io::Error>> {
        let mut conn = self.0.open().await;
        conn.write(&self.request("GET", session, token, headers).bytes()).await;
        let head = conn.head().await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{}", head.whole());
        let next = |mut conn: Conn| async move {
            let event = conn.event().await?;
            let sse = Sse { data: Some(event.data), id: event.id, ..Sse::default() };
            Some((Ok(sse), conn))
        };
        Ok(futures_util::stream::unfold(conn, next).boxed())
    }
}

async fn connect(gate: &Gate, lifecycle: ClientLifecycleMode) -> RunningService<RoleClient, ()> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(gate.url("/mcp"));
    config.auth_header = Some(gate.token("alice", &["eng"]));
    let transport = StreamableHttpClientTransport::with_client(Carrier(gate.reach.clone()), config);
    ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

fn code(error: ServiceError) -> i32 {
    match error {
        ServiceError::McpError(error) => error.code.0,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_works_in_both_eras() {
    let modern = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for (era, lifecycle) in [("modern", modern()), ("legacy", ClientLifecycleMode::Initialize)] {
        let gate = Gate::start().await;
        let client = connect(&gate, lifecycle).await;
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(tools.len(), 16, "{era}");
        for (tool, peer) in [("up__echo", &gate.up), ("old__echo", &gate.old), ("up__write", &gate.up)] {
            let arguments = json!({"path": "/srv/x"}).as_object().cloned().unwrap();
            let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap();
            assert_ne!(result.is_error, Some(true), "{era} {tool}: {result:?}");
            assert_eq!(peer.calls().last().unwrap().json()["params"]["arguments"], json!({"path": "/srv/x"}), "{era}");
        }
        let mirrored = json!({"region": "eu", "count": 3}).as_object().cloned().unwrap();
        let result = client.call_tool(CallToolRequestParams::new("up__mirror").with_arguments(mirrored)).await.unwrap();
        assert_ne!(result.is_error, Some(true), "{era}: {result:?}");
        assert_eq!(gate.up.calls().last().unwrap().header("mcp-param-region"), Some("eu"), "{era}");

        let calls = gate.up.calls().len();
        let denied = json!({"path": "/etc/shadow"}).as_object().cloned().unwrap();
        let denied = client.call_tool(CallToolRequestParams::new("up__echo").with_arguments(denied)).await.unwrap();
        assert_eq!(denied.is_error, Some(true), "{era}: {denied:?}");
        let said = serde_json::to_value(&denied).unwrap();
        assert_eq!(said["_meta"]["dev.portcullis/denial"]["rule"], "no-etc", "{era}: {said}");
        for tool in ["up__hidden", "up__nothing"] {
            assert_eq!(code(client.call_tool(CallToolRequestParams::new(tool)).await.unwrap_err()), -32602, "{era} {tool}");
        }
        assert_eq!(gate.up.calls().len(), calls, "{era}");

        let uri = "up+file:///srv/public/a.txt";
        assert_eq!(client.list_all_resources().await.unwrap().len(), 2, "{era}");
        let read = client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
        assert!(serde_json::to_string(&read).unwrap().contains(uri), "{era}: {read:?}");
        let refused = client.read_resource(ReadResourceRequestParams::new("up+file:///etc/shadow")).await.unwrap_err();
        assert_eq!(code(refused), if era == "modern" { -32602 } else { -32002 }, "{era}");
        assert_eq!(client.list_all_prompts().await.unwrap().len(), 2, "{era}");
        let prompt = client.get_prompt(GetPromptRequestParams::new("old__greet")).await.unwrap();
        assert_eq!(prompt.messages.len(), 1, "{era}");
        client.cancel().await.unwrap();
    }
}
