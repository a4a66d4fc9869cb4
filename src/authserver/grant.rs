//! The token endpoint (OAuth 2.1 section 3.2).

use http::StatusCode;

use super::AuthServer;
use super::client::Client;
use super::error::{Code, Refused};
use super::metadata::JWT_BEARER;
use super::mint::Wanted;
use crate::web::{PageAnswer, PageRequest, Params};

impl AuthServer {
    /// Answers `POST /oauth/token`.
    pub(super) async fn token(&self, request: &PageRequest) -> PageAnswer {
        self.tokens(request).await.unwrap_or_else(Refused::answer)
    }

    async fn tokens(&self, request: &PageRequest) -> Result<PageAnswer, Refused> {
        if request.query.is_some() {
            return Err(Refused::new(Code::InvalidRequest, "parameters belong into the body"));
        }
        let params = Params::of_form(request)?;
        let grant = params.get("grant_type").ok_or(Refused::new(Code::InvalidRequest, "send the grant_type"))?;
        let client = self.client_of(request, &params).await?;
        let done = match grant {
            "authorization_code" if client.grants.authorization_code => self.by_code(&client, &params).await,
            "refresh_token" if client.grants.refresh_token => self.by_refresh_token(&client, &params).await,
            "client_credentials" if client.grants.client_credentials => self.by_client(&client, &params),
            JWT_BEARER if client.grants.jwt_bearer => self.by_id_jag(&client, &params).await,
            "authorization_code" | "refresh_token" | "client_credentials" | JWT_BEARER => {
                Err(Refused::new(Code::UnauthorizedClient, "the client may not use this grant"))
            }
            _ => Err(Refused::new(Code::UnsupportedGrantType, "the grant type is not known here")),
        };
        Ok(done.unwrap_or_else(Refused::answer).about(&client.id))
    }

    async fn by_code(&self, client: &Client, params: &Params) -> Result<PageAnswer, Refused> {
        let held = self.held(client, params).await?;
        let granted = &held.granted;
        let minted = self.mint(&Wanted {
            client_id: &client.id,
            resource: &granted.resource,
            scopes: &granted.scopes,
            person: Some(&granted.person),
        })?;
        // There before the code is used up, so that whoever brings the code again can end the family.
        let family = client.grants.refresh_token.then(crate::web::fresh_secret).transpose()?;
        let refresh = match &family {
            Some(family) => Some(self.found_family(family, client, granted, &minted.ended).await?),
            None => None,
        };
        if let Err(refused) = self.use_up(&held, family.as_deref(), &minted.ended).await {
            // Its tokens go to nobody; that they are ended as well is for whoever reads the store.
            if let Some(family) = &family {
                self.end_family(family).await?;
            }
            return Err(refused);
        }
        let body = self.granted(&minted, &granted.scopes, refresh.as_deref());
        Ok(PageAnswer::json(StatusCode::OK, &body).by(granted.person.principal(Some(&client.id))))
    }
}
