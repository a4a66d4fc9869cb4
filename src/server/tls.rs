//! TLS of the listeners: one configuration, swapped whole, read by every accept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsPeer;
use crate::vocab::limits::SECRET_FILE_BYTES_MAX;
use crate::vocab::{Clock, PeerCertificate};

mod expiry;
mod self_signed;

pub use self_signed::self_signed;

/// Where a listener's certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then the rest of its chain.
    pub cert: PathBuf,
    /// PEM: the private key. Refused if others may read it.
    pub key: PathBuf,
    /// PEM: authorities of client certificates. Present: clients are asked for one, and what they show must hold.
    pub client_ca: Option<PathBuf>,
    /// A client that is asked may show none.
    pub client_optional: bool,
}

/// Why a listener has no TLS. Names files, never their contents.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Certificate, key or client authorities do not work together.
    #[error("{cert}: {source}")]
    Unusable {
        /// The certificate file.
        cert: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

impl TlsError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    fn content(path: &Path, what: &'static str) -> Self {
        Self::Content { path: path.to_owned(), what }
    }
}

/// The TLS configuration of a listener. Clones see each other's swaps.
#[derive(Clone, Debug)]
pub struct TlsHandle {
    current: Arc<ArcSwap<ServerConfig>>,
}

impl TlsHandle {
    /// Reads `files` and logs when the certificate ends.
    pub fn load(files: &TlsFiles, clock: &Clock) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(ArcSwap::from(server_config(files, clock)?)) })
    }

    /// Reads `files` again. New connections use what they hold now, open ones are not touched; on an error nothing changes.
    ///
    /// Session tickets of before no longer resume: what they stand for was decided under the old client authorities.
    pub fn reload(&self, files: &TlsFiles, clock: &Clock) -> Result<(), TlsError> {
        self.swap(server_config(files, clock)?);
        Ok(())
    }

    /// Puts a configuration made with [`server_config`] in place.
    pub fn swap(&self, config: Arc<ServerConfig>) {
        self.current.store(config);
    }

    /// Shakes hands. True: the peer chose HTTP/2.
    pub(super) async fn accept<IO>(&self, io: IO) -> io::Result<(TlsStream<IO>, bool, TlsPeer)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.current.load_full()).accept(io).await?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let peer = TlsPeer {
            server_name: session.server_name().map(Box::from),
            client_certificate: certificate.map(|der| peer_certificate(der)),
        };
        let multiplexed = session.alpn_protocol() == Some(ALPN_H2);
        Ok((stream, multiplexed, peer))
    }
}

/// The configuration that `files` make: TLS 1.2 and 1.3 by aws-lc-rs, post-quantum key exchange preferred, HTTP/2 preferred.
pub fn server_config(files: &TlsFiles, clock: &Clock) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |source| TlsError::Unusable { cert: files.cert.clone(), source };
    let chain = certificates(&files.cert)?;
    if let Some(leaf) = chain.first() {
        expiry::log(&files.cert, leaf, clock);
    }
    let key = private_key(&files.key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients: Arc<dyn ClientCertVerifier> = match &files.client_ca {
        None => Arc::new(NoClientAuth),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities(path)?.into(), provider.clone());
            let verifier = if files.client_optional { verifier.allow_unauthenticated() } else { verifier };
            verifier.build().map_err(|_| TlsError::content(path, "no usable authority"))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    // Tickets instead of a table: resumption costs no memory. No early data: it can be replayed.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Everything that is wrong with each of `files`, by the key of the config that names it (`cert`, `key`, `client_ca`); else what
/// [`server_config`] says of them together, by no key.
pub fn mistakes(files: &TlsFiles, clock: &Clock) -> Vec<(Option<&'static str>, TlsError)> {
    let alone = [
        ("cert", certificates(&files.cert).err()),
        ("key", private_key(&files.key).err()),
        ("client_ca", files.client_ca.as_deref().and_then(|path| authorities(path).err())),
    ];
    let found: Vec<_> = alone.into_iter().filter_map(|(key, error)| Some((Some(key), error?))).collect();
    if found.is_empty() { server_config(files, clock).err().map(|error| (None, error)).into_iter().collect() } else { found }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|_| TlsError::content(path, "not the certificate of an authority"))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError::content(path, "no PEM certificate")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let mode = std::fs::metadata(path).map_err(|e| TlsError::file(path, e))?;
    if readable_by_others(&mode) {
        return Err(TlsError::content(path, "a private key that others may read (chmod o-rwx)"));
    }
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| TlsError::content(path, "no PEM private key"))
}

#[cfg(unix)]
fn readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o007 != 0
}

#[cfg(not(unix))]
fn readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let size = std::fs::metadata(path).map_err(|e| TlsError::file(path, e))?.len();
    if size > TLS_FILE_BYTES_MAX {
        return Err(TlsError::content(path, "too large for a PEM file"));
    }
    std::fs::read(path).map_err(|e| TlsError::file(path, e))
}

fn peer_certificate(der: &[u8]) -> PeerCertificate {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, der);
    let mut sha256 = [0; 32];
    sha256.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    PeerCertificate { der: Arc::from(der), sha256 }
}

/// RFC 7301, RFC 9113 section 3.1.
const ALPN_H2: &[u8] = b"h2";
/// Size of a certificate, key or authority file: bundles of authorities are larger than other secrets.
const TLS_FILE_BYTES_MAX: u64 = 16 * SECRET_FILE_BYTES_MAX;
