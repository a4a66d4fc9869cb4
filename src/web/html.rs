//! Pages, written by hand: text of ours as it is, text of others escaped.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, header};

use super::answer::PageAnswer;
use super::secret::fresh_secret;
use crate::vocab::escape::is_unsafe;

/// A piece of a page. What is not a literal of this program can only be added escaped.
#[derive(Clone, Debug, Default)]
pub struct Html(String);

impl Html {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Markup of ours.
    #[must_use]
    pub fn raw(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Text of anybody, safe between tags and inside quoted attributes. Characters that would hide or turn around what stands
    /// beside them are replaced.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if is_unsafe(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Another piece.
    #[must_use]
    pub fn html(mut self, other: &Html) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// A number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{number}");
        self
    }

    /// Everything, as markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A hidden field of a form.
    #[must_use]
    pub fn hidden(self, name: &'static str, value: &str) -> Self {
        self.raw("<input type=\"hidden\" name=\"").raw(name).raw("\" value=\"").text(value).raw("\">")
    }
}

/// A whole page.
#[derive(Clone, Debug)]
pub struct Page {
    title: &'static str,
    body: Html,
    form_action: Vec<String>,
    /// Where the browser goes by itself.
    next: Html,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.3rem}dt{font-weight:600;margin-top:.7rem}dd{margin:0;overflow-wrap:anywhere}\
.warn{border-left:4px solid #b35900;background:#fff4e5;padding:.6rem .9rem}\
button{font:inherit;padding:.45rem 1.2rem;margin:1.2rem .6rem 0 0;border:1px solid #57606a;border-radius:6px;background:#f6f8fa}\
button.go{background:#1f6feb;border-color:#1f6feb;color:#fff}code{overflow-wrap:anywhere}";

impl Page {
    /// A page with `body` under its title.
    pub fn new(title: &'static str, body: Html) -> Self {
        Self { title, body, form_action: Vec::new(), next: Html::new() }
    }

    /// Has the browser go to `url`, of our own, at once. Unlike a redirect this is a visit that our page caused, whoever caused the
    /// visit of this page: cookies that are for visits of our own are sent with it.
    #[must_use]
    pub fn goes_on_to(mut self, url: &str) -> Self {
        self.next = Html::new().raw("<meta http-equiv=\"refresh\" content=\"0;url=").text(url).raw("\">");
        self.body = self.body.raw("<p><a href=\"").text(url).raw("\">Go on</a></p>");
        self
    }

    /// Where a form of this page may lead besides our own origin, redirects included (browsers check those too): a source
    /// expression of Content Security Policy, such as `https:` or an origin. One that could end the directive is left out.
    #[must_use]
    pub fn form_leads_to(mut self, source: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'.' | b'-' | b'+' | b'[' | b']' | b'*');
        if !source.is_empty() && source.bytes().all(plain) {
            self.form_action.push(source.to_owned());
        }
        self
    }

    /// The page as an answer, with the headers that keep it alone: no script, no frame, no cache, no word to other sites.
    pub fn answer(self, status: StatusCode) -> PageAnswer {
        // Without randomness the page goes without its style.
        let nonce = fresh_secret().ok();
        let mut text = String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
        text.push_str(&self.next.0);
        text.push_str("<meta name=\"viewport\" content=\"width=device-width\"><title>");
        text.push_str(self.title);
        text.push_str("</title>");
        if let Some(nonce) = &nonce {
            // Writing to a string cannot fail.
            let _ = write!(text, "<style nonce=\"{nonce}\">{STYLE}</style>");
        }
        let _ = write!(text, "</head><body><h1>{}</h1>{}</body></html>", self.title, self.body.0);
        let style = nonce.map(|nonce| format!("; style-src 'nonce-{nonce}'")).unwrap_or_default();
        let forms: String = self.form_action.iter().map(|source| format!(" {source}")).collect();
        let csp = format!("default-src 'none'{style}; form-action 'self'{forms}; base-uri 'none'; frame-ancestors 'none'");
        let mut answer = PageAnswer::new(status, text.into());
        let headers = &mut answer.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let csp = HeaderValue::try_from(csp).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        headers.insert(header::CONTENT_SECURITY_POLICY, csp);
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        answer
    }
}
