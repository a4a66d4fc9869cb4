//! Revocation (RFC 7009).

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::AuthServer;
use super::error::{Code, Refused};
use crate::identity::{StatementKeys, seconds};
use crate::web::{PageAnswer, PageRequest, Params};

impl AuthServer {
    /// Answers `POST /oauth/revoke`: 200 whatever the token is, so that nothing is learnt of tokens of others.
    pub(super) async fn revoke(&self, request: &PageRequest) -> PageAnswer {
        self.revoked(request).await.unwrap_or_else(Refused::answer)
    }

    async fn revoked(&self, request: &PageRequest) -> Result<PageAnswer, Refused> {
        let params = Params::of_form(request)?;
        let token = params.get("token").ok_or(Refused::new(Code::InvalidRequest, "send the token"))?;
        let client = self.client_of(request, &params).await?;
        let done = PageAnswer::new(StatusCode::OK, Bytes::new()).about(&client.id);
        // A hint is a hint: both kinds are looked for (RFC 7009 section 2.1).
        if self.end_family_of(token, &client).await? {
            return Ok(done);
        }
        let ours = StatementKeys::of_document(self.jwks(), self.clock.clone(), self.clients.fetcher());
        let ours = ours.map_err(|why| Refused::new(Code::ServerError, "try again shortly").because(why))?;
        let Ok(claims) = ours.claims(token, &["at+jwt"]).await else { return Ok(done) };
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if let (Some(id), Some(jti), Some(ends_s)) = (text("client_id"), text("jti"), seconds(&claims, "exp"))
            && id == client.id
        {
            self.lasting.ended.add(&[(jti, ends_s)]).await?;
        }
        Ok(done)
    }
}
