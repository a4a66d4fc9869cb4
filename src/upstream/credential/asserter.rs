//! Assertions that the gateway makes itself, with a key of its own.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::person::{Subject, SubjectAssertions};
use crate::oauth::{SigningKey, TYPE_JWT, fresh_id};
use crate::vocab::{Clock, Fault, FaultKind, PrincipalKey};

/// Life of an assertion, in seconds.
const ASSERTION_S_MAX: u64 = 120;

/// Signs short-lived JWTs that name a person, for token exchange (RFC 8693). The server that takes them trusts the gateway's
/// key set.
pub struct Asserter {
    issuer: String,
    key: SigningKey,
    clock: Clock,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    #[serde(flatten)]
    own: Value,
}

impl Asserter {
    /// Asserts as `issuer`, the public URL of the gateway.
    pub fn new(issuer: String, key: SigningKey, clock: Clock) -> Self {
        Self { issuer, key, clock }
    }

    /// The public key (RFC 7517), for the key set at `/oauth/jwks`.
    pub fn public_jwk(&self) -> Value {
        self.key.public_jwk()
    }

    /// `own` and what every assertion says.
    fn signed(&self, own: Value) -> Result<SecretString, Fault> {
        let failed = |why: String| Fault::internal(FaultKind::Credential, why);
        let now_s = self.clock.unix_s();
        let claims = Claims {
            iss: &self.issuer,
            iat: now_s,
            exp: now_s.saturating_add(ASSERTION_S_MAX),
            jti: fresh_id().map_err(|error| failed(error.to_string()))?,
            own,
        };
        self.key.sign(None, &claims).map_err(|error| failed(error.to_string()))
    }
}

impl SubjectAssertions for Asserter {
    fn subject<'a>(
        &'a self,
        who: &'a PrincipalKey,
        audience: &'a str,
        client_id: &'a str,
    ) -> BoxFuture<'a, Result<Subject, Fault>> {
        let claims = json!({
            "sub": &*who.sub, "aud": audience, "client_id": client_id,
            "idp": { "iss": &*who.iss, "sub": &*who.sub }, "act": { "sub": client_id },
        });
        std::future::ready(self.signed(claims).map(|token| Subject { token, kind: TYPE_JWT })).boxed()
    }

    fn actor(&self, audience: &str, client_id: &str) -> Result<SecretString, Fault> {
        self.signed(json!({ "sub": client_id, "aud": audience }))
    }
}
