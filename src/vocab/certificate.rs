//! The certificate that a client showed in its TLS handshake.

use std::fmt;
use std::sync::Arc;

/// A client's certificate, which the configured client authorities vouch for. Made once per connection.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The certificate itself (X.509, DER).
    pub der: Arc<[u8]>,
    /// SHA-256 of [`Self::der`]: what a token bound to the certificate names (RFC 8705 section 3.1).
    pub sha256: [u8; 32],
}

/// Names hold personal data, so only the size is printed.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").field("bytes", &self.der.len()).finish_non_exhaustive()
    }
}
