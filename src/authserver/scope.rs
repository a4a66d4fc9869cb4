//! What is asked for: one resource, and scopes that exist.

use super::AuthServer;
use super::error::{Code, Refused};
use super::settings::ResourceSettings;

/// Scopes of one request.
const SCOPES_MAX: usize = 64;

impl AuthServer {
    /// The resource that `asked` names, byte for byte; without, the only one there is (RFC 8707 section 2).
    pub(super) fn resource(&self, asked: Option<&str>) -> Result<&ResourceSettings, Refused> {
        let found = match (asked, self.settings.resources.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => return Err(Refused::new(Code::InvalidTarget, "name the resource: there are several")),
            (Some(asked), all) => all.iter().find(|resource| resource.url == asked),
        };
        found.ok_or(Refused::new(Code::InvalidTarget, "the resource is none of this server"))
    }

    /// The scopes that `asked` names, each once; without, those that any request to the resource needs.
    pub(super) fn scopes(&self, asked: Option<&str>, resource: &ResourceSettings) -> Result<Vec<String>, Refused> {
        let Some(asked) = asked else { return Ok(resource.scopes.clone()) };
        let mut scopes: Vec<String> = Vec::new();
        for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
            if !self.settings.scopes.contains_key(scope) || scopes.len() >= SCOPES_MAX {
                return Err(Refused::new(Code::InvalidScope, "a scope is not known here"));
            }
            if !scopes.iter().any(|s| s == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Ok(scopes)
    }
}

/// The scopes that `asked` names out of `granted`; without, all of them. None may be new (OAuth 2.1 section 4.3.1).
pub(super) fn narrowed(asked: Option<&str>, granted: &[String]) -> Result<Vec<String>, Refused> {
    let Some(asked) = asked else { return Ok(granted.to_vec()) };
    let wanted: Vec<&str> = asked.split(' ').filter(|scope| !scope.is_empty()).collect();
    if !wanted.iter().all(|scope| granted.iter().any(|g| g == scope)) {
        return Err(Refused::new(Code::InvalidScope, "a scope was not granted"));
    }
    Ok(granted.iter().filter(|scope| wanted.contains(&scope.as_str())).cloned().collect())
}
