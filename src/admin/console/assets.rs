//! The one style sheet and the one script. They are ours to the last byte and part of the program.

use std::sync::OnceLock;

use http::{HeaderValue, StatusCode, header};

use crate::web::{PageAnswer, digest_text};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Changes with them.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| digest_text(&[STYLE, SCRIPT].concat()).chars().take(12).collect())
}

pub(super) fn style() -> PageAnswer {
    asset(STYLE, "text/css; charset=utf-8")
}

pub(super) fn script() -> PageAnswer {
    asset(SCRIPT, "text/javascript; charset=utf-8")
}

fn asset(text: &'static str, media: &'static str) -> PageAnswer {
    let mut answer = PageAnswer::new(StatusCode::OK, text.into());
    answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    answer.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    answer
}
