//! Who is asking: a browser with a session, or a program with a token.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::link::OneTimeLink;
use super::office::{Office, Standing, unauthenticated};
use super::problem::Problem;
use super::role::Role;
use crate::identity::{Asked, Refusal};
use crate::pipeline::World;
use crate::signin::{Entrance, SignIn};
use crate::store::Space;
use crate::vocab::{Principal, Proof, Resource};
use crate::web::{Verdict, cookie};

use super::routes::CALLBACK_PATH;

/// How people sign in here. Nothing of it serves at the agents' listener, nor the other way round.
pub const ENTRANCE: Entrance = Entrance {
    sessions: Space::ConsoleSession,
    under_way: Space::ConsoleSignIn,
    cookie: COOKIE,
    callback: CALLBACK_PATH,
    strict: true,
};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The cookie of a session.
pub(super) const COOKIE: &str = "console";

/// Somebody whose credential holds.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) principal: Arc<Principal>,
    /// How pages call them.
    pub(super) name: String,
    /// The highest role they have.
    pub(super) role: Option<Role>,
    pub(super) by: By,
}

/// What they showed.
#[derive(Clone)]
pub(super) enum By {
    /// A cookie of the session with this secret: browsers send it by themselves.
    Session(String),
    /// A token, which only a program sends.
    Token,
}

impl Caller {
    /// What the forms of their session are bound to.
    pub(super) fn form_secret(&self) -> Option<&str> {
        match &self.by {
            By::Session(secret) => Some(secret),
            By::Token => None,
        }
    }
}

impl Office {
    /// Whoever shows a credential that holds; none if there is none.
    ///
    /// # Errors
    /// 401 for a token that does not hold, 503 where it cannot be known.
    pub(super) async fn caller(
        &self,
        standing: &Standing,
        world: &World,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Problem> {
        if headers.contains_key(header::AUTHORIZATION) && !path.starts_with("/console") {
            return self.by_token(standing, world, method, headers).await.map(Some);
        }
        match &standing.sign_in {
            Some(sign_in) => by_session(sign_in, standing, headers, is_use(method, path, headers)).await,
            None => Ok(self.by_link(headers)),
        }
    }

    fn by_link(&self, headers: &HeaderMap) -> Option<Caller> {
        let id = cookie(headers, &self.site.cookie_name(COOKIE))?;
        let held = self.link.as_ref()?.holds(id);
        held.then(|| Caller {
            principal: OneTimeLink::person(),
            name: "console".to_owned(),
            role: Some(Role::Operator),
            by: By::Session(id.to_owned()),
        })
    }

    /// A token must be meant for this very listener: one for a route, which an agent holds, opens nothing here.
    async fn by_token(
        &self,
        standing: &Standing,
        world: &World,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        let resource =
            Resource { url: self.site.origin().to_owned(), metadata_url: String::new(), scopes: Vec::new(), proof: Proof::None };
        let asked = Asked { headers, resource: &resource, method, peer_certificate: None, recall: None };
        let principal = world.identity.authenticate(asked).await.map_err(|refusal| match refusal {
            Refusal::Unavailable => Problem::busy("Tokens cannot be verified now. Try again shortly."),
            other => unauthenticated().because(format!("{other:?}")),
        })?;
        let meant = principal.key_id.is_some() || principal.claim_strings("aud").any(|audience| audience == self.site.origin());
        if principal.anonymous || !meant {
            return Err(unauthenticated().because("a token for something else"));
        }
        let role = standing.roles.of(&principal);
        Ok(Caller { name: principal.sub.to_string(), role, principal, by: By::Token })
    }
}

/// Whether somebody uses their session: by a visit or a change. What a page fetches by itself is no use, or one that was left open
/// would keep its session for hours.
fn is_use(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let by_itself = headers.get_all(SEC_FETCH_DEST).into_iter().any(|what| what.as_bytes() != b"document");
    *method == Method::POST || path.starts_with("/console") && !by_itself
}

async fn by_session(sign_in: &SignIn, standing: &Standing, headers: &HeaderMap, used: bool) -> Result<Option<Caller>, Problem> {
    let session = if used { sign_in.session(headers).await } else { sign_in.unused_session(headers).await };
    let session = session.map_err(|error| {
        let words = "Your session cannot be looked up now. Try again shortly.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, words, Verdict::Limited).because(error.to_string())
    })?;
    Ok(session.map(|session| {
        let principal = session.person.principal(None);
        let role = standing.roles.of(&principal);
        let name = session.person.name.clone().unwrap_or_else(|| session.person.sub.clone());
        Caller { principal, name, role, by: By::Session(session.form_secret().to_owned()) }
    }))
}
