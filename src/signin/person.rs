//! Who signed in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::vocab::{Principal, PrincipalKey};

/// A person, as the identity provider vouched for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The provider's issuer.
    pub iss: String,
    /// The subject there.
    pub sub: String,
    /// How pages call them.
    pub name: Option<String>,
    /// Verified claims that tokens pass on: `groups`, `email`, `email_verified`.
    pub claims: Map<String, Value>,
    /// When they signed in, in seconds since the Unix epoch.
    pub signed_in_s: u64,
}

impl Person {
    /// The identity that everything is bound to.
    pub fn key(&self) -> PrincipalKey {
        PrincipalKey { iss: Arc::from(self.iss.as_str()), sub: Arc::from(self.sub.as_str()) }
    }

    /// The person as a principal, acting through `client_id`; for records.
    pub fn principal(&self, client_id: Option<&str>) -> Arc<Principal> {
        Arc::new(Principal {
            iss: Arc::from(self.iss.as_str()),
            sub: Arc::from(self.sub.as_str()),
            client_id: client_id.map(Arc::from),
            scopes: Vec::new(),
            claims: self.claims.clone(),
            expires_at_s: None,
            key_id: None,
            anonymous: false,
        })
    }
}
