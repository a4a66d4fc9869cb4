//! A certificate for loopback, from an authority of our own, for development.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::expiry::not_after_s;
use super::{TlsError, TlsFiles, server_config};
use crate::vocab::Clock;

/// Files for `tls: self_signed` under `data_dir/tls`: `ca.pem` (what clients are told to trust), `server.pem`, and their keys,
/// which only the owner may read. What is there is used again until it nears its end; a new server certificate comes from the
/// old authority, so that clients need not be told twice.
///
/// The authority may vouch for `localhost` and loopback addresses only: whoever takes its key gains nothing beyond this host.
pub fn self_signed(data_dir: &Path, clock: &Clock) -> Result<TlsFiles, TlsError> {
    let dir = data_dir.join("tls");
    fs::create_dir_all(&dir).map_err(|e| TlsError::file(&dir, e))?;
    let files = TlsFiles { cert: dir.join("server.pem"), key: dir.join("server.key"), client_ca: None, client_optional: false };
    let ca = Pair { cert: dir.join("ca.pem"), key: dir.join("ca.key") };
    let now_s = i64::try_from(clock.unix_s()).unwrap_or(0);
    let ca_end_s = ca.end_s()?.filter(|end| end.saturating_sub(now_s) > CA_RENEWAL_S);
    let authority_key = match ca_end_s {
        Some(_) => ca.key()?,
        None => None,
    };
    let server = Pair { cert: files.cert.clone(), key: files.key.clone() };
    let server_end_s = server.end_s()?.filter(|end| end.saturating_sub(now_s) > RENEWAL_S);
    if authority_key.is_some() && server_end_s.is_some() && server_config(&files, clock).is_ok() {
        return Ok(files);
    }
    let (authority_key, ca_end_s) = match (authority_key, ca_end_s) {
        (Some(key), Some(end_s)) => (key, end_s),
        _ => {
            let key = KeyPair::generate()?;
            let end_s = now_s.saturating_add(CA_LIFE_S);
            let certificate = authority(now_s, end_s).self_signed(&key)?;
            ca.write(&certificate.pem(), &key)?;
            (key, end_s)
        }
    };
    let issuer = Issuer::new(authority(now_s, ca_end_s), authority_key);
    let key = KeyPair::generate()?;
    let end_s = now_s.saturating_add(LIFE_S).min(ca_end_s);
    let certificate = loopback(now_s, end_s)?.signed_by(&key, &issuer)?;
    server.write(&certificate.pem(), &key)?;
    Ok(files)
}

fn authority(now_s: i64, end_s: i64) -> CertificateParams {
    let mut params = valid(now_s, end_s);
    params.distinguished_name.push(DnType::CommonName, "Portcullis development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let v6_host = Ipv6Addr::from_bits(u128::MAX).octets();
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".into()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), v6_host)),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn loopback(now_s: i64, end_s: i64) -> Result<CertificateParams, TlsError> {
    let mut params = valid(now_s, end_s);
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Valid from an hour ago, for clients whose clock is behind.
fn valid(now_s: i64, end_s: i64) -> CertificateParams {
    let at = |s: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(s).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = at(now_s.saturating_sub(3_600));
    params.not_after = at(end_s);
    params
}

/// A certificate and its key on disk.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// When the certificate ends; `None` where there is none, or nothing that can be read as one.
    fn end_s(&self) -> Result<Option<i64>, TlsError> {
        let pem = read(&self.cert)?;
        Ok(pem.and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok()).and_then(|der| not_after_s(&der)))
    }

    fn key(&self) -> Result<Option<KeyPair>, TlsError> {
        Ok(read(&self.key)?.and_then(|pem| KeyPair::from_pem(&pem).ok()))
    }

    /// The key first: a certificate without its key is noticed at the next start, a key without certificate is replaced.
    fn write(&self, certificate: &str, key: &KeyPair) -> Result<(), TlsError> {
        replace(&self.key, key.serialize_pem().as_bytes(), 0o600)?;
        replace(&self.cert, certificate.as_bytes(), 0o644)
    }
}

fn read(path: &Path) -> Result<Option<String>, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(e) => Err(TlsError::file(path, e)),
    }
}

/// Puts a whole file in place at once, never readable by more than `mode` says, not even while it is written.
fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        if new.exists() {
            fs::remove_file(&new)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        with_mode(&mut options, mode);
        let mut file = options.open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.map_err(|e| TlsError::file(path, e))
}

#[cfg(unix)]
fn with_mode(options: &mut fs::OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn with_mode(_: &mut fs::OpenOptions, _: u32) {}

const DAY_S: i64 = 86_400;
/// Browsers and operating systems refuse server certificates that live longer than 398 days.
const LIFE_S: i64 = 397 * DAY_S;
const RENEWAL_S: i64 = 30 * DAY_S;
const CA_LIFE_S: i64 = 5 * 365 * DAY_S;
const CA_RENEWAL_S: i64 = 60 * DAY_S;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(data_dir: &Path) -> Vec<String> {
        ["ca.pem", "ca.key", "server.pem", "server.key"]
            .iter()
            .map(|name| fs::read_to_string(data_dir.join("tls").join(name)).unwrap())
            .collect()
    }

    #[test]
    fn certificates_are_reused_until_they_near_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let files = self_signed(dir.path(), &clock).unwrap();
        assert!(server_config(&files, &clock).is_ok());
        let first = all(dir.path());

        self_signed(dir.path(), &clock).unwrap();
        assert_eq!(all(dir.path()), first, "nothing to renew");

        clock.advance_ms((LIFE_S - RENEWAL_S + DAY_S) * 1000);
        self_signed(dir.path(), &clock).unwrap();
        let renewed = all(dir.path());
        assert_eq!(renewed[..2], first[..2], "the authority stays");
        assert!(renewed[2] != first[2] && renewed[3] != first[3], "the server's does not");

        clock.advance_ms((CA_LIFE_S - CA_RENEWAL_S) * 1000);
        self_signed(dir.path(), &clock).unwrap();
        assert!(all(dir.path())[0] != first[0], "the authority ends as well");
    }

    #[test]
    fn damaged_files_are_replaced() {
        let clock = Clock::system();
        for (name, content) in [
            ("server.pem", ""),
            ("server.key", "nonsense"),
            ("ca.pem", "nonsense"),
            ("ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let files = self_signed(dir.path(), &clock).unwrap();
            fs::write(dir.path().join("tls").join(name), content).unwrap();
            self_signed(dir.path(), &clock).unwrap();
            assert!(server_config(&files, &clock).is_ok(), "{name}");
            assert_ne!(fs::read_to_string(dir.path().join("tls").join(name)).unwrap(), content, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let files = self_signed(dir.path(), &Clock::system()).unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = fs::metadata(dir.path().join("tls").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = server_config(&files, &Clock::system()).unwrap_err().to_string();
        assert!(error.contains("server.key") && error.contains("others may read"), "{error}");
    }
}
