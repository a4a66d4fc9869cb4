//! `WWW-Authenticate` (RFC 9110 section 11.6.1): what a resource wants to see. Read leniently as far as there is one reading.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use super::{LIST_ENTRIES_MAX, is_scope};

/// Bytes of all `WWW-Authenticate` values together; more is as good as none.
const CHALLENGE_BYTES_MAX: usize = 8 * 1024;
/// Challenges that are read.
const CHALLENGES_MAX: usize = 8;
/// Parameters of one challenge.
const PARAMS_MAX: usize = 16;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, in lower case.
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// The `Bearer` challenge among `headers`, if there is one; of several the first.
    pub fn bearer(headers: &HeaderMap) -> Option<Self> {
        challenges(headers).into_iter().find(|challenge| challenge.scheme == "bearer")
    }

    /// The parameter called `name` (in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Where the resource's metadata is (RFC 9728 section 5.1).
    pub fn resource_metadata(&self) -> Option<&str> {
        self.get("resource_metadata")
    }

    /// The scopes it asks for (RFC 6750 section 3), without those that are none. Bounded.
    pub fn scopes(&self) -> Vec<String> {
        let listed = self.get("scope").unwrap_or_default().split(' ').filter(|scope| is_scope(scope));
        let mut scopes: Vec<String> = Vec::new();
        for scope in listed.take(LIST_ENTRIES_MAX) {
            if !scopes.iter().any(|seen| seen == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }

    /// Whether it says that the token lacks a scope.
    pub fn wants_scope(&self) -> bool {
        self.get("error") == Some("insufficient_scope")
    }
}

/// Every challenge of every `WWW-Authenticate` field. A challenge that names a parameter twice is left out; what follows
/// something that is no challenge is not read.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values: Vec<&[u8]> = headers.get_all(WWW_AUTHENTICATE).iter().map(http::HeaderValue::as_bytes).collect();
    if values.iter().map(|value| value.len()).sum::<usize>() > CHALLENGE_BYTES_MAX {
        return Vec::new();
    }
    let mut found = Vec::new();
    for value in values {
        let Ok(text) = std::str::from_utf8(value) else { continue };
        Reader { rest: text }.all(&mut found);
    }
    found
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn all(mut self, found: &mut Vec<Challenge>) {
        while found.len() < CHALLENGES_MAX {
            self.skip(|c| matches!(c, ' ' | '\t' | ','));
            let Some(scheme) = self.token() else { return };
            let mut challenge = Challenge { scheme: scheme.to_ascii_lowercase(), params: Vec::new() };
            let sound = self.params(&mut challenge.params);
            let twice = |at: usize, name: &str| challenge.params.iter().take(at).any(|(other, _)| other == name);
            if !challenge.params.iter().enumerate().any(|(at, (name, _))| twice(at, name)) {
                found.push(challenge);
            }
            if !sound {
                return;
            }
        }
    }

    /// Reads what belongs to a scheme. False if the rest makes no sense.
    fn params(&mut self, params: &mut Vec<(String, String)>) -> bool {
        self.skip(|c| matches!(c, ' ' | '\t'));
        self.token68();
        loop {
            self.skip(|c| matches!(c, ' ' | '\t' | ','));
            let before = self.rest;
            let Some(name) = self.token() else { return self.rest.is_empty() };
            self.skip(|c| matches!(c, ' ' | '\t'));
            let Some(after) = self.rest.strip_prefix('=') else {
                // A token that is not followed by `=` is the next scheme.
                self.rest = before;
                return true;
            };
            self.rest = after;
            self.skip(|c| matches!(c, ' ' | '\t'));
            let Some(value) = self.value() else { return false };
            if params.len() >= PARAMS_MAX {
                return false;
            }
            params.push((name.to_ascii_lowercase(), value));
        }
    }

    /// A token68 stands alone: up to a comma or the end.
    fn token68(&mut self) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/');
        let after = self.rest.trim_start_matches(legal);
        if after.len() == self.rest.len() {
            return;
        }
        let after = after.trim_start_matches('=').trim_start_matches([' ', '\t']);
        if after.is_empty() || after.starts_with(',') {
            self.rest = after;
        }
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else { return self.token().map(str::to_owned) };
        let mut value = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(chars.next()?),
                c => value.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(value)
    }

    fn token(&mut self) -> Option<&'a str> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let after = self.rest.trim_start_matches(legal);
        let token = self.rest.strip_suffix(after).filter(|token| !token.is_empty())?;
        self.rest = after;
        Some(token)
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }
}
