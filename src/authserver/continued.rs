//! After a yes and a sign-in: the same browser, now with a person.

use http::StatusCode;

use super::AuthServer;
use super::authorize::failed;
use super::error::{Code, Refused};
use crate::signin::FAILED;
use crate::web::{PageAnswer, PageRequest, Params, Verdict};

impl AuthServer {
    /// Answers `GET /oauth/authorize/continue`: the request must have been allowed in this very browser, and somebody be signed in.
    pub(super) async fn continued(&self, request: &PageRequest) -> PageAnswer {
        let params = Params::of_query(request).unwrap_or_default();
        let Some(id) = params.get("request") else { return over("no request") };
        // Looked at before it is taken: another browser's visit must not use it up.
        let pending = match self.kept(id).await {
            Ok(Some(pending)) if pending.approved && self.is_of_browser(&request.headers, &pending) => pending,
            Ok(_) => return over("the request is unknown, not allowed, or of another browser"),
            Err(error) => return failed(error),
        };
        if let Some(failed) = params.get(FAILED) {
            return self.nobody(id, failed).await;
        }
        let session = match self.sign_in.session(&request.headers).await {
            Ok(Some(session)) => session,
            Ok(None) => return over("nobody is signed in"),
            Err(error) => return failed(error),
        };
        // A client that cannot be looked up now uses nothing up.
        let client = match self.clients.find(&pending.client_id, request.peer).await {
            Ok(client) => client,
            Err(refused) => return refused.page(OVER),
        };
        let pending = match self.take(id).await {
            Ok(Some(pending)) if pending.approved => pending,
            Ok(_) => return over("the request was used meanwhile"),
            Err(error) => return failed(error),
        };
        if session.person.signed_in_s < pending.signed_in_after_s {
            return over("the sign-in is from before the request");
        }
        if client.digest != pending.client_digest {
            return over("the client changed meanwhile");
        }
        if let Err(error) = self.remember(&session.person, &pending).await {
            return failed(error);
        }
        let (uri, state) = (pending.redirect_uri.clone(), pending.state.clone());
        let about = pending.client_id.clone();
        let finished = self.finish(&client, pending, &session.person).await;
        finished.unwrap_or_else(|refused| self.told(&uri, state.as_deref(), refused)).about(&about)
    }

    /// Tells the client that the provider signed nobody in (OAuth 2.1 section 4.1.2.1); the request is over.
    async fn nobody(&self, id: &str, failed: &str) -> PageAnswer {
        let pending = match self.take(id).await {
            Ok(Some(pending)) => pending,
            Ok(None) => return over("the request was used meanwhile"),
            Err(error) => return super::authorize::failed(error),
        };
        let refused = match failed {
            "access_denied" => Refused::new(Code::AccessDenied, "the person was not signed in"),
            _ => Refused::new(Code::ServerError, "the person could not be signed in"),
        };
        self.told(&pending.redirect_uri, pending.state.as_deref(), refused).about(&pending.client_id)
    }
}

const OVER: &str = "This request is over, or belongs to another browser. Start again from your client.";

fn over(private: &str) -> PageAnswer {
    PageAnswer::problem(StatusCode::BAD_REQUEST, OVER, Verdict::Unauthenticated).because(private)
}
