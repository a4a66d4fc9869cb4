//! Client certificates as credentials of their own. The handshake proved the key and the chain; here only the name is read.

use std::sync::Arc;

use moka::sync::Cache;
use serde_json::Map;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::judge::{Validity, is_subject};
use super::settings::{CertificateSettings, globs};
use crate::policy::Glob;
use crate::vocab::principal::CERTIFICATE_ISSUER;
use crate::vocab::{PeerCertificate, Principal};

/// Certificates remembered with their principal.
const CERTIFICATES_MAX: u64 = 10_000;
/// Scheme of a SPIFFE id.
const SPIFFE: &str = "spiffe://";

pub(super) struct Certificates {
    subjects: Vec<Glob>,
    trust_domain: Option<String>,
    /// By SHA-256 of the certificate.
    known: Cache<[u8; 32], Arc<Named>>,
}

/// Whom a certificate names.
pub(super) struct Named {
    pub(super) principal: Arc<Principal>,
    pub(super) validity: Validity,
}

impl Certificates {
    /// # Errors
    /// A glob that is none.
    pub(super) fn new(settings: &CertificateSettings) -> Result<Self, String> {
        let known = Cache::builder().max_capacity(CERTIFICATES_MAX).build();
        Ok(Self { subjects: globs(&settings.subjects)?, trust_domain: settings.trust_domain.clone(), known })
    }

    /// Whom `certificate` names; `enrich` completes the principal, once.
    ///
    /// # Errors
    /// Why it names nobody here, for the log.
    pub(super) fn named(
        &self,
        certificate: &PeerCertificate,
        enrich: impl FnOnce(&mut Principal) -> Result<(), &'static str>,
    ) -> Result<Arc<Named>, &'static str> {
        if let Some(named) = self.known.get(&certificate.sha256) {
            return Ok(named);
        }
        let (rest, parsed) = X509Certificate::from_der(&certificate.der).map_err(|_| "the certificate cannot be read")?;
        if !rest.is_empty() {
            return Err("bytes after the certificate");
        }
        let name = self.name(&parsed)?;
        let seconds = |time: i64| u64::try_from(time).map_err(|_| "the certificate is of another age");
        let (from_s, last_s) =
            (seconds(parsed.validity().not_before.timestamp())?, seconds(parsed.validity().not_after.timestamp())?);
        let mut principal = Principal {
            iss: Arc::from(CERTIFICATE_ISSUER),
            sub: Arc::from(name),
            client_id: None,
            scopes: Vec::new(),
            claims: Map::new(),
            expires_at_s: Some(last_s.saturating_add(1)),
            key_id: None,
            anonymous: false,
        };
        enrich(&mut principal)?;
        let validity = Validity { not_before_s: from_s, ends_s: last_s.saturating_add(1) };
        let named = Arc::new(Named { principal: Arc::new(principal), validity });
        self.known.insert(certificate.sha256, named.clone());
        Ok(named)
    }

    /// The one URI, else the one DNS name, of the certificate. Subjects and common names are never looked at.
    fn name(&self, certificate: &X509Certificate<'_>) -> Result<String, &'static str> {
        if certificate.is_ca() {
            return Err("the certificate is that of an authority");
        }
        let names = certificate.subject_alternative_name().map_err(|_| "the names of the certificate cannot be read")?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let uris: Vec<&str> =
            names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None }).collect();
        let hosts: Vec<&str> =
            names.iter().filter_map(|name| if let GeneralName::DNSName(host) = name { Some(*host) } else { None }).collect();
        let name = match (uris.as_slice(), hosts.as_slice()) {
            ([uri], _) => self.uri(uri)?,
            ([], [host]) if self.trust_domain.is_none() => host,
            ([], _) if self.trust_domain.is_some() => return Err("the certificate holds no SPIFFE id"),
            ([], []) => return Err("the certificate holds neither a URI nor a DNS name"),
            _ => return Err("the certificate holds several names"),
        };
        if !is_subject(name) || !name.is_ascii() {
            return Err("the name in the certificate is not usable");
        }
        if !self.subjects.is_empty() && !self.subjects.iter().any(|glob| glob.matches(name)) {
            return Err("the name in the certificate is not one of the configured");
        }
        Ok(name.to_owned())
    }

    /// A URI as it is, a SPIFFE id only of the trust domain.
    fn uri<'a>(&self, uri: &'a str) -> Result<&'a str, &'static str> {
        let Some(id) = uri.strip_prefix(SPIFFE) else {
            let other = uri.get(..SPIFFE.len()).is_some_and(|head| head.eq_ignore_ascii_case(SPIFFE));
            return if self.trust_domain.is_none() && !other { Ok(uri) } else { Err("the URI is not a SPIFFE id") };
        };
        let (domain, path) = id.split_once('/').ok_or("the SPIFFE id has no path")?;
        let letters = |text: &str, more: &[u8]| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_') || more.contains(&b))
        };
        let upper: Vec<u8> = (b'A'..=b'Z').collect();
        let segments = path.split('/').all(|segment| letters(segment, &upper) && segment != "." && segment != "..");
        if !letters(domain, b"") || !segments {
            return Err("the SPIFFE id is malformed");
        }
        match &self.trust_domain {
            Some(ours) if ours != domain => Err("a SPIFFE id of another trust domain"),
            _ => Ok(uri),
        }
    }
}
