//! A route as an OAuth protected resource.

/// What a client must know and a token must say about one route (RFC 9728, RFC 8707).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The URL of the route as clients type it: the audience a token must name, exactly.
    pub url: String,
    /// Where the route's protected-resource metadata is served.
    pub metadata_url: String,
    /// Scopes needed for any request here; named in every challenge.
    pub scopes: Vec<String>,
    /// How a client must show that a credential is its own.
    pub proof: Proof,
}

/// Sender constraint that a route asks for. A token that is bound to a key is checked against it whatever the route asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// None: a bearer credential suffices.
    #[default]
    None,
    /// A token bound to a key that signs every request (RFC 9449).
    Dpop,
    /// A client certificate: as the credential itself, or one that the token is bound to (RFC 8705).
    Mtls,
    /// Either.
    Any,
}

impl Proof {
    /// The word in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
            Self::Any => "any",
        }
    }

    /// The proof that a word of the config means.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Dpop, Self::Mtls, Self::Any].into_iter().find(|proof| proof.as_str() == text)
    }
}
