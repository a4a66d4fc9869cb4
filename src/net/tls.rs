//! TLS towards others: one crypto provider, TLS 1.2 and 1.3, the platform's roots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Size of an extra CA file.
const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a TLS client configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file could not be read, or is too large.
    #[error("CA file {path}: {why}")]
    CaFile {
        /// The file as named.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate or key to show is not usable. Says nothing of what is in the files.
    #[error("client certificate: {0}")]
    Certificate(&'static str),
    /// The TLS library refused the settings.
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// The provider everything uses: aws-lc-rs.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A client configuration that trusts the platform's roots and, where given, the certificates in `extra_ca` (PEM).
///
/// A machine without any roots gets a configuration whose every handshake fails with an error that says so; a gateway that
/// only talks to loopback must still start there.
///
/// # Errors
/// [`TlsError`] if `extra_ca` cannot be read or holds no valid certificate.
pub fn client_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let extra = extra_ca.map(read_ca).transpose()?.unwrap_or_default();
    let verifier: Arc<dyn ServerCertVerifier> = match Verifier::new_with_extra_roots(extra, provider.clone()) {
        Ok(verifier) => Arc::new(verifier),
        Err(error) if extra_ca.is_some() => return Err(error.into()),
        Err(_) => Arc::new(NoRoots(provider.clone())),
    };
    config_with(provider, verifier)
}

/// A client configuration that trusts the certificates in `ca` (PEM) and nobody else: for peers of a private CA, for whom no public
/// one vouches.
///
/// # Errors
/// [`TlsError`] if `ca` cannot be read or holds no valid certificate.
pub fn client_config_for(ca: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_ca(ca)? {
        let bad = |error: rustls::Error| TlsError::CaFile { path: ca.to_owned(), why: error.to_string() };
        roots.add(certificate).map_err(bad)?;
    }
    let provider = provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = verifier.map_err(|error| TlsError::Settings(rustls::Error::General(error.to_string())))?;
    config_with(provider, verifier)
}

/// `base` with a certificate of ours to show (mutual TLS; RFC 8705): `chain` and `key` are PEM texts.
///
/// Sessions are resumed among users of the result only: a session of another identity, or of none, is never taken up.
///
/// # Errors
/// [`TlsError::Certificate`] if a text holds no such thing, or the two do not belong together.
pub fn with_certificate(base: &ClientConfig, chain: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let bad = TlsError::Certificate;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| bad("the certificate file is not PEM"))?;
    if chain.is_empty() {
        return Err(bad("the certificate file holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad("the key file holds no private key in PEM"))?;
    let certified =
        CertifiedKey::from_der(chain, key, &provider()).map_err(|_| bad("the key is not the certificate's, or not usable"))?;
    let mut config = base.clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    config.resumption = Resumption::default();
    Ok(Arc::new(config))
}

fn config_with(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What a machine without CA certificates gets.
#[cfg(test)]
pub(super) fn config_without_roots() -> Arc<ClientConfig> {
    config_with(provider(), Arc::new(NoRoots(provider()))).unwrap()
}

fn read_ca(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |why: String| TlsError::CaFile { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if size > CA_FILE_BYTES_MAX {
        return Err(fail(format!("over {CA_FILE_BYTES_MAX} bytes")));
    }
    let pem = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| fail(format!("not PEM: {e:?}")))?;
    if found.is_empty() { Err(fail("holds no certificate".to_owned())) } else { Ok(found) }
}

/// Stands in where the platform has no roots: trusts nobody.
#[derive(Debug)]
struct NoRoots(Arc<CryptoProvider>);

impl NoRoots {
    fn refusal() -> rustls::Error {
        rustls::Error::General("this machine has no CA certificates: install them or configure a CA file".to_owned())
    }
}

impl ServerCertVerifier for NoRoots {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(Self::refusal())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::refusal())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::refusal())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
