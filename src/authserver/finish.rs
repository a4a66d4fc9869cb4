//! The answer to an authorization request that was allowed.

use super::AuthServer;
use super::client::Client;
use super::error::Refused;
use super::pending::Pending;
use super::redirect;
use crate::signin::Person;
use crate::web::PageAnswer;

impl AuthServer {
    /// Sends `person`'s browser back to the client with a code, and with our issuer (RFC 9207).
    pub(super) async fn finish(&self, client: &Client, pending: Pending, person: &Person) -> Result<PageAnswer, Refused> {
        let (uri, state) = (pending.redirect_uri.clone(), pending.state.clone());
        let code = self.code(pending, person).await?;
        let mut parameters = vec![("code", code.as_str())];
        parameters.extend(state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &self.settings.issuer));
        Ok(PageAnswer::see_other(&redirect::with_parameters(&uri, &parameters)).by(person.principal(Some(&client.id))))
    }
}
