//! Tokens for clients themselves (client credentials, OAuth 2.1 section 4.2).

use std::sync::Arc;

use http::StatusCode;

use super::AuthServer;
use super::client::{Auth, Client};
use super::error::{Code, Refused};
use super::mint::Wanted;
use crate::vocab::Principal;
use crate::web::{PageAnswer, Params};

impl AuthServer {
    /// The client is its own subject: the principal is (our issuer, its id), which no person can be.
    pub(super) fn by_client(&self, client: &Client, params: &Params) -> Result<PageAnswer, Refused> {
        if matches!(client.auth, Auth::None) {
            return Err(Refused::new(Code::UnauthorizedClient, "a public client cannot be its own subject"));
        }
        let resource = self.resource(params.get("resource"))?;
        let scopes = self.scopes(params.get("scope"), resource)?;
        let wanted = Wanted { client_id: &client.id, resource: &resource.url, scopes: &scopes, person: None };
        let minted = self.mint(&wanted)?;
        let principal = Principal {
            iss: Arc::from(self.settings.issuer.as_str()),
            sub: Arc::from(client.id.as_str()),
            client_id: Some(Arc::from(client.id.as_str())),
            anonymous: false,
            ..Principal::anonymous()
        };
        Ok(PageAnswer::json(StatusCode::OK, &self.granted(&minted, &scopes, None)).by(Arc::new(principal)))
    }
}
