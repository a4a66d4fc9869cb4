//! Which client is calling, and whether it is (OAuth 2.1 section 2.4).

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use super::AuthServer;
use super::client::{Auth, Client};
use super::error::{Code, Refused};
use crate::identity::unverified_claims;
use crate::web::{PageRequest, Params, digest};

/// `client_assertion_type` of RFC 7523 section 2.2.
const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request shows, one way at most.
enum Shown<'a> {
    Nothing(&'a str),
    Basic(String, String),
    Assertion(&'a str),
}

fn invalid(words: &'static str) -> Refused {
    Refused::new(Code::InvalidClient, words)
}

impl AuthServer {
    /// The client that sent this, which has shown what it must.
    pub(super) async fn client_of(&self, request: &PageRequest, params: &Params) -> Result<Arc<Client>, Refused> {
        let peer = request.peer;
        match shown(&request.headers, params)? {
            Shown::Nothing(id) => {
                let client = self.clients.find(id, peer).await?;
                match client.auth {
                    Auth::None => Ok(client),
                    _ => Err(invalid("the client must authenticate")),
                }
            }
            Shown::Basic(id, secret) => {
                let client = self.clients.find(&id, peer).await?;
                match client.auth {
                    Auth::Secret(hash) if bool::from(digest(&secret).ct_eq(&hash)) => Ok(client),
                    _ => Err(invalid("the client's secret does not hold")),
                }
            }
            Shown::Assertion(assertion) => {
                let claims = unverified_claims(assertion).ok_or(invalid("the client assertion is not a JWT"))?;
                let id = claims.get("sub").and_then(|sub| sub.as_str()).ok_or(invalid("the client assertion has no subject"))?;
                if params.get("client_id").is_some_and(|named| named != id) {
                    return Err(invalid("the client assertion is of another client"));
                }
                self.asserted(id, assertion, peer).await
            }
        }
    }

    async fn asserted(&self, id: &str, assertion: &str, peer: Option<IpAddr>) -> Result<Arc<Client>, Refused> {
        let client = self.clients.find(id, peer).await?;
        let refused = match self.assertion_holds(&client, assertion).await {
            Ok(()) => return Ok(client),
            Err(refused) if refused.code == Code::InvalidClient => refused,
            Err(refused) => return Err(refused),
        };
        // A document's keys may have changed since it was fetched.
        match self.clients.anew(&client, peer).await {
            Ok(Some(client)) => self.assertion_holds(&client, assertion).await.map(|()| client),
            Err(away) if away.code.is_temporary() => Err(away),
            Ok(None) | Err(_) => Err(refused),
        }
    }
}

fn shown<'a>(headers: &HeaderMap, params: &'a Params) -> Result<Shown<'a>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let (header, more) = (values.next(), values.next());
    if params.get("client_secret").is_some() {
        return Err(invalid("send the client's secret by HTTP Basic"));
    }
    let assertion = match (params.get("client_assertion_type"), params.get("client_assertion")) {
        (None, None) => None,
        (Some(JWT_ASSERTION), Some(assertion)) => Some(assertion),
        _ => return Err(invalid("the client assertion is of an unknown type")),
    };
    match (header, more, assertion) {
        (None, None, None) => params.get("client_id").map(Shown::Nothing).ok_or(invalid("no client is named")),
        (None, None, Some(assertion)) => Ok(Shown::Assertion(assertion)),
        (Some(header), None, None) => {
            let (id, secret) =
                header.to_str().ok().and_then(basic).ok_or(invalid("the Authorization header is not HTTP Basic"))?;
            if params.get("client_id").is_some_and(|named| named != id) {
                return Err(invalid("the Authorization header is of another client"));
            }
            Ok(Shown::Basic(id, secret))
        }
        _ => Err(Refused::new(Code::InvalidRequest, "the client authenticates in more than one way")),
    }
}

/// Both halves are form-encoded (OAuth 2.1 section 2.4.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    let text = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    let form = Params::parse(format!("i={id}&s={secret}").as_bytes()).ok()?;
    Some((form.get("i")?.to_owned(), form.get("s")?.to_owned()))
}
