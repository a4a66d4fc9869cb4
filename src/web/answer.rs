//! What a page answers, and what the audit is told of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::html::{Html, Page};
use crate::vocab::{FaultKind, Principal};

/// An answer, and what is put on record.
#[derive(Clone)]
pub struct PageAnswer {
    /// The status.
    pub status: StatusCode,
    /// Header fields; `no-store` and their like are in it from the start.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What is put on record. Boxed, as most answers have little to say.
    pub note: Box<Note>,
}

/// Headers and body hold codes, cookies and tokens, so that only the status and what goes on record are printed.
impl std::fmt::Debug for PageAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageAnswer").field("status", &self.status).field("note", &self.note).finish_non_exhaustive()
    }
}

/// What an audit record says of a page. Nothing in it is a secret.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// What was done, as the record's `method`: `oauth/token`, `connect/start`.
    pub action: Option<&'static str>,
    /// Whom it was about: a client id, an upstream. The record's `name`.
    pub target: Option<String>,
    /// Who did it, where somebody is signed in or a credential held.
    pub principal: Option<Arc<Principal>>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in words for the log.
    pub private: Option<String>,
}

/// How a page's work ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// As asked.
    #[default]
    Done,
    /// A credential, code or session that does not hold.
    Unauthenticated,
    /// Not understood, or not allowed to be asked.
    BadRequest,
    /// The person, or a rule, said no.
    Denied,
    /// Too often.
    Limited,
    /// Something failed.
    Failed(FaultKind),
}

impl PageAnswer {
    /// An answer that is not stored, not sniffed, and says nothing to other sites of where it stood.
    ///
    /// The referrer policy is `same-origin`: under `no-referrer` browsers send `Origin: null` with our own forms.
    pub fn new(status: StatusCode, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        Self { status, headers, body, note: Box::default() }
    }

    /// A JSON document.
    pub fn json(status: StatusCode, document: &Value) -> Self {
        let mut answer = Self::new(status, document.to_string().into());
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    /// A public JSON document that may be kept for `max_age_s` seconds, for each origin by itself: one may read what another may not.
    pub fn document(document: Bytes, max_age_s: u64) -> Self {
        let mut answer = Self::new(StatusCode::OK, document);
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if let Ok(value) = HeaderValue::try_from(format!("public, max-age={max_age_s}")) {
            answer.headers.insert(header::CACHE_CONTROL, value);
        }
        answer
    }

    /// To `url`, by GET whatever the method was. An address that no header can hold becomes an error page.
    pub fn see_other(url: &str) -> Self {
        let Ok(location) = HeaderValue::try_from(url) else {
            return Self::problem(StatusCode::BAD_REQUEST, "The address to go to is not usable.", Verdict::BadRequest);
        };
        let mut answer = Self::new(StatusCode::SEE_OTHER, Bytes::new());
        answer.headers.insert(header::LOCATION, location);
        answer
    }

    /// A page that says that it did not work, in words of ours.
    pub fn problem(status: StatusCode, words: &str, verdict: Verdict) -> Self {
        let body = Html::new().raw("<p>").text(words).raw("</p>");
        Page::new("This did not work", body).answer(status).verdict(verdict)
    }

    /// A page that says that its address takes the methods of the list `allowed`, and no other.
    pub fn wrong_method(allowed: &'static str) -> Self {
        let words = "This address does not take this method.";
        let page = Self::problem(StatusCode::METHOD_NOT_ALLOWED, words, Verdict::BadRequest);
        page.header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// A page that says that it does not work now, as `kind` has it, and may in a few seconds.
    pub fn unavailable(words: &str, kind: FaultKind) -> Self {
        Self::problem(StatusCode::SERVICE_UNAVAILABLE, words, Verdict::Failed(kind)).after(UNAVAILABLE_S)
    }

    /// A page that says that too much was asked of one address, and that a minute later it works again.
    pub fn paced(words: &str) -> Self {
        Self::problem(StatusCode::TOO_MANY_REQUESTS, words, Verdict::Limited).after(PACED_S)
    }

    /// The same with a cookie set. `None`, a cookie that cannot be set, changes nothing.
    #[must_use]
    pub fn cookie(mut self, cookie: Option<HeaderValue>) -> Self {
        if let Some(cookie) = cookie {
            self.headers.append(header::SET_COOKIE, cookie);
        }
        self
    }

    /// The same with a header field.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same, with when to try again, in seconds.
    #[must_use]
    pub fn after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The same, as what it is on record.
    #[must_use]
    pub fn action(mut self, action: &'static str) -> Self {
        self.note.action.get_or_insert(action);
        self
    }

    /// The same, with whom it was about.
    #[must_use]
    pub fn about(mut self, target: &str) -> Self {
        self.note.target = Some(target.to_owned());
        self
    }

    /// The same, with who did it.
    #[must_use]
    pub fn by(mut self, principal: Arc<Principal>) -> Self {
        self.note.principal = Some(principal);
        self
    }

    /// The same, with how it ended.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.note.verdict = verdict;
        self
    }

    /// The same, with words for the log.
    #[must_use]
    pub fn because(mut self, private: impl Into<String>) -> Self {
        self.note.private = Some(private.into());
        self
    }
}

/// When to try again what was asked too often, in seconds.
const PACED_S: u64 = 60;
/// When to try again what does not work now, in seconds.
const UNAVAILABLE_S: u64 = 5;
