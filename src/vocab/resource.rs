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
}
