//! What linking would mean, found out before anything is shown: which authorization server, which scopes, for which resource.
//!
//! Asked anew for every link (MCP authorization, discovery; RFC 9728, RFC 8414), so that an upstream that moved to another
//! server is not served by the old one.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::link::Grant;
use super::registration::failed;
use super::{Desk, Link};
use crate::net::Payload;
use crate::oauth::{Challenge, OAuthError, OAuthErrorKind, ProtectedResource, ServerMetadata, canonical};
use crate::vocab::PrincipalKey;

/// A plan. What a person is shown is what is done.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) upstream: String,
    /// The `resource` parameter, as the upstream wrote it.
    pub(super) resource: String,
    pub(super) server: ServerMetadata,
    /// Empty: none is asked for, the server decides.
    pub(super) scopes: Vec<String>,
}

impl Plan {
    /// The host that people are sent to.
    pub(super) fn host(&self) -> &str {
        self.server.authorization_endpoint.as_ref().and_then(|url| url.host_str()).unwrap_or_default()
    }

    /// Its origin, for the page's policy on where its form may lead.
    pub(super) fn origin(&self) -> String {
        self.server.authorization_endpoint.as_ref().map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }
}

impl Desk {
    /// Finds out where `who` would link an account at the upstream of `link`.
    pub(super) async fn plan(&self, link: &Link, who: &PrincipalKey) -> Result<Plan, OAuthError> {
        let known = self.challenges.get(&(who.clone(), link.upstream.clone()));
        let challenge = self.challenge(link).await?.or_else(|| known.as_deref().cloned());
        let described = self.client.discover_protected(&link.url, challenge.as_ref(), &link.consent).await;
        let described = match (described, &link.issuer) {
            (Ok(described), _) => described,
            // Where the operator named the server, an upstream need not. One that names another resource is not believed.
            (Err(error), Some(issuer)) if !matches!(error.kind, OAuthErrorKind::Mismatch | OAuthErrorKind::Refused) => {
                ProtectedResource {
                    resource: canonical(&link.url),
                    authorization_servers: vec![issuer.clone()],
                    scopes_supported: Vec::new(),
                }
            }
            (Err(error), _) => return Err(error),
        };
        let issuer = match &link.issuer {
            Some(issuer) if described.authorization_servers.contains(issuer) => issuer.clone(),
            Some(_) => {
                return Err(failed(OAuthErrorKind::Mismatch, "the upstream does not name the configured authorization server"));
            }
            None => described.authorization_servers.first().cloned().unwrap_or_default(),
        };
        let mut server = match link.written_as(&issuer) {
            Some(written) => written.clone(),
            None => self.client.discover_server(&issuer, &link.consent).await?,
        };
        if link.pkce_unannounced && server.code_challenge_methods_supported.is_empty() {
            server.code_challenge_methods_supported.push("S256".to_owned());
        }
        if !server.has_s256() {
            return Err(failed(OAuthErrorKind::Unsupported, "the authorization server does not announce PKCE with S256"));
        }
        let endpoint = server.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| failed(OAuthErrorKind::Unsupported, "it has no authorization endpoint"))?;
        // A browser is sent there: https, or what the operator wrote.
        link.consent.policy(endpoint)?;
        let scopes = self.scopes(link, who, challenge.as_ref(), &described, &server).await;
        Ok(Plan { upstream: link.upstream.to_string(), resource: described.resource, server, scopes })
    }

    /// As the operator says; else as the challenge says; else all that the resource knows; else none. More that was asked for since,
    /// and what is granted already, is added to whatever that is.
    async fn scopes(
        &self,
        link: &Link,
        who: &PrincipalKey,
        challenge: Option<&Challenge>,
        described: &ProtectedResource,
        server: &ServerMetadata,
    ) -> Vec<String> {
        let challenged = challenge.map(Challenge::scopes).filter(|scopes| !scopes.is_empty());
        let mut scopes = match challenged {
            _ if !link.scopes.is_empty() => link.scopes.clone(),
            Some(challenged) => challenged,
            None => described.scopes_supported.clone(),
        };
        let held = self.vault.tokens(who, &link.upstream).await.ok().flatten().filter(|held| link.covers(&Grant::of(held)));
        if let Some(held) = held.filter(|held| !held.account.wanted.is_empty()) {
            scopes.extend(held.account.asked.iter().chain(&held.account.wanted).cloned());
        }
        // Only where the server itself knows it: asked for elsewhere it is an error, or means something else.
        scopes.retain(|scope| scope != OFFLINE || link.scopes.contains(scope));
        let refreshes = server.grant_types_supported.as_ref().is_none_or(|grants| grants.iter().any(|g| g == "refresh_token"));
        if refreshes && server.scopes_supported.iter().any(|scope| scope == OFFLINE) {
            scopes.push(OFFLINE.to_owned());
        }
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes.truncate(crate::oauth::LIST_ENTRIES_MAX);
        scopes
    }

    /// What the upstream says to somebody without a token: a request that changes nothing, with nothing of a person in it. Some let
    /// `initialize` pass without one, so it is not that.
    async fn challenge(&self, link: &Link) -> Result<Option<Challenge>, OAuthError> {
        let headers = [
            (ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
            (HeaderName::from_static("mcp-protocol-version"), HeaderValue::from_static("2026-07-28")),
            (HeaderName::from_static("mcp-method"), HeaderValue::from_static("server/discover")),
        ];
        let sent = self.probe.send(&link.url, link.dial, &headers, Payload::Json(PROBE), crate::oauth::ANSWER_BYTES_MAX).await;
        Ok(match sent {
            Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => bearer(&reply.headers),
            // The well-known places are asked; they say as much.
            Ok(_) | Err(_) => None,
        })
    }
}

fn bearer(headers: &HeaderMap) -> Option<Challenge> {
    Challenge::bearer(headers)
}

const OFFLINE: &str = "offline_access";
const PROBE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"portcullis","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
