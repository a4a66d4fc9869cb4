//! Parameters of a query or a form (`application/x-www-form-urlencoded`), in one reading.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::PageRequest;
use crate::vocab::limits::{FORM_PARAMETERS_MAX, QUERY_BYTES_MAX};

/// Why parameters cannot be read. The texts may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Too many, or too long.
    #[error("too many parameters, or too long")]
    TooLarge,
    /// A broken escape, or not UTF-8.
    #[error("a parameter is not well formed")]
    Malformed,
    /// A parameter is there twice (OAuth 2.1 section 3.1 and 3.2).
    #[error("a parameter is there more than once")]
    Repeated,
    /// The body is no form.
    #[error("the body is not application/x-www-form-urlencoded")]
    NotAForm,
}

/// Parameters, each there once. Their values may be secrets, so they are not printed.
#[derive(Clone, Default)]
pub struct Params(BTreeMap<String, String>);

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Params {
    /// The parameters of the query.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn of_query(request: &PageRequest) -> Result<Self, ParamsError> {
        let query = request.query.as_deref().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX { Err(ParamsError::TooLarge) } else { Self::parse(query.as_bytes()) }
    }

    /// The parameters of the body, which must be a form.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn of_form(request: &PageRequest) -> Result<Self, ParamsError> {
        if is_form(&request.headers) { Self::parse(&request.body) } else { Err(ParamsError::NotAForm) }
    }

    /// Reads `bytes`.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParamsError> {
        let mut params = BTreeMap::new();
        for (at, pair) in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).enumerate() {
            if at >= FORM_PARAMETERS_MAX {
                return Err(ParamsError::TooLarge);
            }
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            if params.insert(decoded(name)?, decoded(value)?).is_some() {
                return Err(ParamsError::Repeated);
            }
        }
        Ok(Self(params))
    }

    /// The parameter `name`. One without a value is as good as absent (OAuth 2.1 section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The names, whatever their values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).into_iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else { return false };
    let media = value.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn decoded(text: &[u8]) -> Result<String, ParamsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
                let (high, low) = (digit(), digit());
                high.zip(low).map(|(high, low)| (high << 4) | low).ok_or(ParamsError::Malformed)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| ParamsError::Malformed)
}
