//! Clients that register themselves (RFC 7591): off unless the operator wants it, bounded in number, size and time.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::error::{Code, Refused};
use super::registration::{ClientKeys, Registration, text};
use super::{AuthServer, encode, redirect};
use crate::identity::strict_object;
use crate::store::Space;
use crate::web::{PageAnswer, PageRequest, digest, fresh_secret};

/// Size of a registration.
const REGISTRATION_BYTES_MAX: usize = 16 * 1024;
/// Clients registered at one time.
const CLIENTS_MAX: u64 = 10_000;
/// What ids of registered clients start with: none can be that of a configured client or a URL.
pub(super) const ID_PREFIX: &str = "dcr_";

impl AuthServer {
    /// Answers `POST /oauth/register`.
    pub(super) async fn register(&self, request: &PageRequest) -> PageAnswer {
        self.registered(request).await.unwrap_or_else(Refused::answer)
    }

    async fn registered(&self, request: &PageRequest) -> Result<PageAnswer, Refused> {
        let wrong = |words| Refused::new(Code::InvalidClientMetadata, words);
        let dcr = self.settings.dcr.ok_or(wrong("registration is off"))?;
        let media = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(wrong("send application/json"));
        }
        if request.body.len() > REGISTRATION_BYTES_MAX {
            return Err(wrong("the registration is too large"));
        }
        let members = strict_object(&request.body).ok_or(wrong("the registration is not one JSON object"))?;
        let native = match text(&members, "application_type")?.as_deref() {
            Some("native") => Some(true),
            // RFC 7591 says web where nothing is said, but clients that say nothing run on machines as often.
            None => None,
            Some("web") => Some(false),
            Some(_) => return Err(wrong("application_type must be native or web")),
        };
        let registration = Registration::read(&members, native)?;
        if matches!(registration.keys, ClientKeys::Url(_)) {
            return Err(wrong("send the keys themselves, as jwks"));
        }
        // Only what could succeed counts against the limit: mistakes do not use it up for others.
        let paced = self.lasting.pace.register(request.peer);
        paced.map_err(|wait_s| Refused::new(Code::SlowDown, "too many registrations: try again later").after(wait_s))?;
        let id = format!("{ID_PREFIX}{}", fresh_secret()?);
        let now_s = self.clock.unix_s();
        let ends_s = now_s.saturating_add(dcr.expires.as_secs());
        if !self.store().add(Space::Client, &digest(&id), &encode(&registration)?, ends_s, CLIENTS_MAX).await? {
            return Err(Refused::new(Code::SlowDown, "too many clients are registered"));
        }
        let local = registration.redirect_uris.iter().any(|uri| redirect::is_local(uri));
        let mut grants = vec!["authorization_code"];
        grants.extend(registration.refresh_token.then_some("refresh_token"));
        let method = if matches!(registration.keys, ClientKeys::None) { "none" } else { "private_key_jwt" };
        let mut body = json!({
            "client_id": id,
            "client_id_issued_at": now_s,
            "redirect_uris": registration.redirect_uris,
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
            "application_type": if native.unwrap_or(local) { "native" } else { "web" },
        });
        if let (Some(body), Some(name)) = (body.as_object_mut(), &registration.name) {
            body.insert("client_name".to_owned(), name.as_str().into());
        }
        Ok(PageAnswer::json(StatusCode::CREATED, &body).about(&id))
    }
}
