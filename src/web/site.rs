//! The origin that browsers know us by, and what follows from its scheme.

use http::HeaderValue;

/// Longest value of a cookie of ours.
const VALUE_BYTES_MAX: usize = 3_000;

/// Ourselves as a browser sees us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    origin: String,
    secure: bool,
}

impl Site {
    /// The site at `origin` (`scheme://host[:port]`, without a slash at the end).
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), secure: origin.starts_with("https://") }
    }

    /// The origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The full name of the cookie `name`. Over https it has the prefix `__Host-` (RFC 6265bis section 4.1.3), so that no other
    /// host and no plain-http page can have set it. Plain http is for development on one machine, where browsers refuse the prefix.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.secure { format!("__Host-portcullis-{name}") } else { format!("portcullis-{name}") }
    }

    /// `Set-Cookie` of the cookie `name`, for `max_age_s` seconds; 0 deletes it. `None` for a value that no cookie can have.
    ///
    /// Lax and not strict: the way back from an identity provider is a navigation from another site.
    pub fn set_cookie(&self, name: &str, value: &str, max_age_s: u64) -> Option<HeaderValue> {
        self.set_cookie_as(name, value, max_age_s, "Lax")
    }

    /// The same, sent with no request that another site caused.
    pub fn set_strict_cookie(&self, name: &str, value: &str, max_age_s: u64) -> Option<HeaderValue> {
        self.set_cookie_as(name, value, max_age_s, "Strict")
    }

    fn set_cookie_as(&self, name: &str, value: &str, max_age_s: u64, same_site: &str) -> Option<HeaderValue> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if value.len() > VALUE_BYTES_MAX || !value.bytes().all(plain) {
            return None;
        }
        let secure = if self.secure { "; Secure" } else { "" };
        let text =
            format!("{}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite={same_site}{secure}", self.cookie_name(name));
        HeaderValue::try_from(text).ok()
    }
}
