//! What another site may not make a browser do here.

use http::{HeaderMap, HeaderName, Method};

use super::caller::Caller;
use super::problem::Problem;
use super::routes::CALLBACK_PATH;
use crate::web::{PageRequest, Params, Site, csrf_holds, csrf_token, is_from_us};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The header in which whoever uses the API with the cookie of a session shows the token of its forms; pages show it in the form.
pub(super) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// What the token of a session is for.
const PURPOSE: &str = "console";

/// Refuses what a page of another site caused, whatever credential comes with it. Visits (GET of a page) may come from anywhere:
/// they change nothing.
///
/// # Errors
/// 403.
pub(super) fn not_cross_site(method: &Method, headers: &HeaderMap, site: &Site) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let mut said = headers.get_all(SEC_FETCH_SITE).into_iter();
    let foreign = said.any(|value| !matches!(value.as_bytes(), b"same-origin" | b"none"));
    let mut origins = headers.get_all(http::header::ORIGIN).into_iter();
    if foreign || origins.any(|origin| origin.as_bytes() != site.origin().as_bytes()) {
        return Err(Problem::forbidden("Another site asked for this.").because("a cross-site request"));
    }
    Ok(())
}

/// Refuses a change that comes with a cookie, unless one of our own pages sent it: browsers send cookies by themselves.
///
/// # Errors
/// 403.
pub(super) fn meant(request: &PageRequest, caller: &Caller, site: &Site) -> Result<(), Problem> {
    if request.method != Method::POST {
        return Ok(());
    }
    let Some(secret) = caller.form_secret() else { return Ok(()) };
    let header = request.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let token = header.or_else(|| Params::of_form(request).ok()?.get("csrf").map(str::to_owned)).unwrap_or_default();
    if is_from_us(&request.headers, site) && csrf_holds(secret, PURPOSE, &token) {
        return Ok(());
    }
    Err(Problem::forbidden("This form does not hold. Load the page again.").because("a form of another page"))
}

/// The token for forms of `caller`'s pages.
pub(super) fn token(caller: &Caller) -> String {
    caller.form_secret().map(|secret| csrf_token(secret, PURPOSE)).unwrap_or_default()
}

/// A path of the console that somebody may be sent to after signing in; the first page for anything else.
pub(super) fn next(wanted: Option<&str>) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'?' | b'=' | b'&' | b'.' | b'%' | b'+');
    let fits = |path: &&str| {
        path.starts_with("/console/")
            && path.len() <= 512
            && path.bytes().all(plain)
            && !path.contains("..")
            && !path.contains("//")
    };
    let own = wanted.filter(fits).filter(|path| !path.starts_with(CALLBACK_PATH) && !path.starts_with("/console/sign"));
    own.unwrap_or(super::routes::HOME_PATH).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_our_own_pages_only() {
        for (wanted, expected) in [
            (Some("/console/approvals/apr_1"), "/console/approvals/apr_1"),
            (Some("/console/activity?tool=a__b&limit=5"), "/console/activity?tool=a__b&limit=5"),
            (None, "/console/approvals"),
            (Some("//evil.example/console/"), "/console/approvals"),
            (Some("https://evil.example/console/"), "/console/approvals"),
            (Some("/console//evil.example"), "/console/approvals"),
            (Some("/console/../mcp"), "/console/approvals"),
            (Some("/console/x\r\nSet-Cookie: a=b"), "/console/approvals"),
            (Some("/console/\"><script>"), "/console/approvals"),
            (Some("/console/callback?code=1"), "/console/approvals"),
            (Some("/console/signout"), "/console/approvals"),
            (Some("/api/v1/approvals"), "/console/approvals"),
        ] {
            assert_eq!(next(wanted), expected, "{wanted:?}");
        }
    }
}
