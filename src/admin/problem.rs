//! Refusals of the API, as problem details (RFC 9457).

use std::borrow::Cow;

use http::{HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::reply::AdminBody;
use crate::net::head::HeadRefusal;
use crate::web::{PageAnswer, Verdict};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal. Every text is ours, or repeats what the caller sent.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// The status.
    pub(super) status: StatusCode,
    /// What would help, in a sentence.
    pub(super) detail: Cow<'static, str>,
    /// How it is recorded.
    pub(super) verdict: Verdict,
    /// For the log.
    pub(super) private: Option<String>,
}

/// The body of a refusal.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Details {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What would help.
    detail: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>, verdict: Verdict) -> Self {
        Self { status, detail: detail.into(), verdict, private: None }
    }

    /// What the rules of every listener refused.
    pub(super) fn of_head(refusal: &HeadRefusal) -> Self {
        Self::new(refusal.status, refusal.detail, Verdict::BadRequest)
    }

    /// 400.
    pub(super) fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, Verdict::BadRequest)
    }

    /// 404.
    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such thing here.", Verdict::BadRequest)
    }

    /// 403.
    pub(super) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail, Verdict::Denied)
    }

    /// 503.
    pub(super) fn busy(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail, Verdict::Limited)
    }

    pub(super) fn because(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }

    /// For programs.
    pub(super) fn document(&self) -> PageAnswer {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let details = Details { kind: "about:blank", title, status: self.status.as_u16(), detail: self.detail.clone() };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut answer = PageAnswer::new(self.status, body.into());
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        self.finish(answer)
    }

    /// For programs, where nothing is put on record.
    pub(super) fn response(&self) -> Response<AdminBody> {
        let answer = self.document();
        let mut response = Response::new(AdminBody::whole(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }

    /// For people.
    pub(super) fn page(&self) -> PageAnswer {
        self.finish(PageAnswer::problem(self.status, &self.detail, self.verdict))
    }

    fn finish(&self, mut answer: PageAnswer) -> PageAnswer {
        let challenge = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"portcullis\"")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = challenge {
            answer.headers.insert(name, HeaderValue::from_static(value));
        }
        answer.note.verdict = self.verdict;
        answer.note.private.clone_from(&self.private);
        answer
    }
}
