//! Errors of the endpoints that clients call (OAuth 2.1 section 3.2.4, RFC 7591 section 3.2.2).

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::identity::StatementError;
use crate::store::StoreError;
use crate::vocab::FaultKind;
use crate::web::{NoRandomness, PageAnswer, ParamsError, Verdict};

/// Why a request of a client is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// The `error`.
    pub(super) code: Code,
    /// Words of ours for the client's developer.
    pub(super) words: &'static str,
    /// Words for the log.
    pub(super) private: Option<String>,
    /// When to try again, in seconds, where that is said at all.
    retry_s: u64,
}

/// When to try again if nothing better is known, in seconds.
const RETRY_S: u64 = 30;

/// The registered error codes that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    InvalidTarget,
    AccessDenied,
    LoginRequired,
    ConsentRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    InvalidRedirectUri,
    InvalidClientMetadata,
    SlowDown,
    ServerError,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::SlowDown => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::SlowDown => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerError => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(self) -> bool {
        matches!(self, Self::SlowDown | Self::ServerError)
    }

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::InvalidClient | Self::InvalidGrant | Self::LoginRequired => Verdict::Unauthenticated,
            Self::AccessDenied | Self::ConsentRequired => Verdict::Denied,
            Self::SlowDown => Verdict::Limited,
            Self::ServerError => Verdict::Failed(FaultKind::Internal),
            _ => Verdict::BadRequest,
        }
    }
}

impl Refused {
    pub(super) fn new(code: Code, words: &'static str) -> Self {
        Self { code, words, private: None, retry_s: RETRY_S }
    }

    pub(super) fn after(mut self, seconds: u64) -> Self {
        self.retry_s = seconds;
        self
    }

    pub(super) fn because(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }

    /// The page for a person, where the client cannot be told; with `words` unless the same may succeed later.
    pub(super) fn page(self, words: &'static str) -> PageAnswer {
        let private = self.private.unwrap_or_else(|| self.words.to_owned());
        let page = match self.code {
            Code::SlowDown => {
                PageAnswer::problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests. Try again in a minute.", Verdict::Limited)
            }
            Code::ServerError => {
                let words = "The client cannot be looked up now. Try again shortly.";
                PageAnswer::unavailable(words, FaultKind::Internal)
            }
            _ => return PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::BadRequest).because(private),
        };
        page.after(self.retry_s).because(private)
    }

    /// The JSON answer of an endpoint that clients call.
    pub(super) fn answer(self) -> PageAnswer {
        let body = json!({"error": self.code.as_str(), "error_description": self.words});
        let mut answer = PageAnswer::json(self.code.status(), &body).verdict(self.code.verdict());
        if self.code == Code::InvalidClient {
            let challenge = HeaderValue::from_static("Basic realm=\"oauth\", charset=\"UTF-8\"");
            answer = answer.header(header::WWW_AUTHENTICATE, challenge);
        }
        if self.code.is_temporary() {
            answer = answer.after(self.retry_s);
        }
        let private = self.private.unwrap_or_else(|| self.words.to_owned());
        answer.because(format!("{}: {private}", self.code.as_str()))
    }
}

/// The answer to a statement that does not count; `refused` makes that of one that is wrong.
pub(super) fn unheard(error: StatementError, refused: impl Fn(&'static str) -> Refused) -> Refused {
    match error {
        StatementError::Refused(why) => refused(why),
        StatementError::NoKeys => Refused::new(Code::ServerError, "try again shortly").because(error.to_string()),
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::new(Code::ServerError, "try again shortly").because(error.to_string())
    }
}

impl From<NoRandomness> for Refused {
    fn from(error: NoRandomness) -> Self {
        Self::new(Code::ServerError, "try again shortly").because(error.to_string())
    }
}

impl From<ParamsError> for Refused {
    fn from(error: ParamsError) -> Self {
        let words = match error {
            ParamsError::Repeated => "a parameter is there more than once",
            ParamsError::TooLarge => "too many parameters, or too long",
            ParamsError::Malformed => "a parameter is not well formed",
            ParamsError::NotAForm => "send application/x-www-form-urlencoded",
        };
        Self::new(Code::InvalidRequest, words)
    }
}
