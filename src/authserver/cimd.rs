//! Client id metadata documents: a client's id is the https URL of what it says of itself.

use http::StatusCode;
use serde_json::Value;
use url::{Host, Url};

use super::error::{Code, Refused};
use super::registration::Registration;
use super::settings::CimdSettings;
use crate::identity::strict_object;
use crate::net::fetch::Payload;
use crate::net::{DialError, DialPolicy, Fetch, FetchError, Origin};

/// Size of a document.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Bounds of the freshness that a document may claim, and what it has where it claims none, in seconds.
const FRESH_S_MIN: u64 = 60;
const FRESH_S_MAX: u64 = 24 * 3_600;
const FRESH_S_DEFAULT: u64 = 3_600;

fn refused(words: &'static str) -> Refused {
    Refused::new(Code::InvalidClient, words)
}

/// The URL of `id`, if documents from there are wanted. Nothing is contacted.
pub(super) fn acceptable(settings: &CimdSettings, id: &str) -> Result<Url, Refused> {
    let url = Url::parse(id).map_err(|_| refused("the client id is not a URL"))?;
    // A path with something in it, no user, no fragment, no dots to resolve, and one spelling: that of the URL itself.
    let plain = url.scheme() == "https" && url.as_str() == id && url.path().len() > 1 && url.fragment().is_none();
    if !plain || !url.username().is_empty() || url.password().is_some() {
        return Err(refused("the client id is not an https URL with a path, written plainly"));
    }
    if !matches!(url.host(), Some(Host::Domain(_))) {
        return Err(refused("the client id names no host by name"));
    }
    if !settings.any && !is_listed(settings, &url) {
        return Err(refused("the operator does not accept clients of this host"));
    }
    Ok(url)
}

/// Whether the operator listed the host of `url`.
pub(super) fn is_listed(settings: &CimdSettings, url: &Url) -> bool {
    url.host_str().is_some_and(|host| settings.allow.iter().any(|allowed| covers(allowed, host)))
}

/// Which addresses `url`, of a listed host, may be at: on this machine only if its name says so, and private hosts are meant.
pub(super) fn dial(settings: &CimdSettings, url: &Url) -> DialPolicy {
    let local = settings.dial.allow_private && is_listed(settings, url);
    let named = local && Origin::of(url).is_some_and(|origin| origin.names_loopback());
    DialPolicy { allow_loopback: settings.dial.allow_loopback || named, ..settings.dial }
}

/// `*.example.com` covers every name below, not `example.com` itself.
fn covers(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix('*') {
        Some(below) => below.starts_with('.') && host.len() > below.len() && host.ends_with(below),
        None => allowed == host,
    }
}

/// Whether another attempt could succeed with nothing changed but the time.
pub(super) fn is_temporary(error: &FetchError) -> bool {
    match error {
        FetchError::Dial(DialError::Refused) => false,
        FetchError::Timeout | FetchError::Exchange(_) | FetchError::Dial(_) => true,
        FetchError::Status(status) => {
            status.is_server_error() || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        }
        FetchError::Scheme | FetchError::Redirect(_) | FetchError::Encoded | FetchError::TooLarge(_) => false,
    }
}

/// The document at `url`, and for how many seconds it is fresh.
pub(super) async fn fetch(fetch: &Fetch, dial: DialPolicy, url: &Url, id: &str) -> Result<(Registration, u64), Refused> {
    // What went wrong is for the log alone: it would tell a stranger about our network.
    let failed = |why: String| refused("the client's metadata document cannot be used").because(format!("{id}: {why}"));
    let away = |why: String| {
        Refused::new(Code::ServerError, "the client's metadata document cannot be fetched now").because(format!("{id}: {why}"))
    };
    let sent = fetch.send(url, dial, &[], Payload::None, DOCUMENT_BYTES_MAX).await;
    let got = sent.map_err(|error| if is_temporary(&error) { away(error.to_string()) } else { failed(error.to_string()) })?;
    if got.status != StatusCode::OK {
        let error = FetchError::Status(got.status);
        return Err(if is_temporary(&error) { away(error.to_string()) } else { failed(error.to_string()) });
    }
    let media = got.media_type().unwrap_or_default();
    if media != "application/json" && !(media.starts_with("application/") && media.ends_with("+json")) {
        return Err(failed("not JSON by its media type".to_owned()));
    }
    let members = strict_object(&got.body).ok_or_else(|| failed("not one strict JSON object".to_owned()))?;
    if members.get("client_id").and_then(Value::as_str) != Some(id) {
        return Err(failed("it names another client id".to_owned()));
    }
    if members.contains_key("client_secret") {
        return Err(failed("it holds a secret".to_owned()));
    }
    let registration = Registration::read(&members, None).map_err(|refused| failed(refused.words.to_owned()))?;
    let fresh_s = got.max_age_s().unwrap_or(FRESH_S_DEFAULT).clamp(FRESH_S_MIN, FRESH_S_MAX);
    Ok((registration, fresh_s))
}
