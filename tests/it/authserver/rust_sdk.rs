//! The official Rust SDK, from a challenge to a call: it finds the server, registers, asks for a code and redeems it.

use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthorizationRequest, OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use super::{Realm, query};
use crate::rust_sdk::Carrier;
use crate::wire::{Reach, Req};

/// Carries what the SDK sends to the authorization server over the test's own connections.
struct Post(Reach);

impl OAuthHttpClient for Post {
    fn execute(&self, asked: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let (head, body) = asked.request.into_parts();
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            let mut request = Req::new(head.method.as_str(), target).add("Host", head.uri.authority().unwrap().as_str());
            for (name, value) in &head.headers {
                request = request.set(name.as_str(), value.to_str()?);
            }
            let answer = self.0.send(&request.body(body)).await;
            let mut response = http::Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            Ok(response.body(answer.body)?)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_authorizes_by_itself() {
    let realm = Realm::with("  dcr: { enabled: true }\n", |_| {}).await;
    let url = realm.gate.url("/mcp");
    let challenged = Req::new("POST", "/mcp").add("Host", &realm.gate.authority()).set("Content-Type", "application/json");
    let challenged = realm.gate.reach.send(&challenged.body("{}")).await;
    assert_eq!(challenged.status, 401, "{}", challenged.whole());
    let challenge = challenged.header("www-authenticate").unwrap().to_owned();

    let mut state = OAuthState::new_with_oauth_http_client(url.as_str(), Arc::new(Post(realm.gate.reach.clone()))).await.unwrap();
    let asked = AuthorizationRequest::new("http://127.0.0.1:7777/callback").with_client_name("rmcp").with_challenge(challenge);
    state.start_authorization(asked).await.unwrap();
    let there = state.get_authorization_url().await.unwrap();
    let browser = realm.browser();
    let back = realm.code(&browser, there.strip_prefix(&realm.origin()).unwrap(), "alice").await;
    let part = |name: &str| query(&back, name).unwrap_or_else(|| panic!("{name} in {back}"));
    assert_eq!(part("iss"), realm.origin());
    state.handle_callback_with_issuer(&part("code"), &part("state"), Some(&part("iss"))).await.unwrap();
    let token = state.into_authorization_manager().unwrap().get_access_token().await.unwrap();

    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.auth_header = Some(token.clone());
    let client = ().serve(StreamableHttpClientTransport::with_client(Carrier(realm.gate.reach.clone()), config)).await.unwrap();
    assert!(!client.list_all_tools().await.unwrap().is_empty());
    let arguments = json!({"path": "/srv/x"}).as_object().cloned().unwrap();
    let result = client.call_tool(CallToolRequestParams::new("up__echo").with_arguments(arguments)).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    assert!(realm.gate.up.seen().iter().all(|seen| !seen.whole().contains(&token)), "the token stays here");
}
