//! Client certificates as credentials.

use rcgen::{CertificateParams, KeyPair as CertKey, SanType};

use super::super::settings::CertificateSettings;
use super::*;
use crate::vocab::PeerCertificate;

fn certificate(names: &[SanType], change: impl FnOnce(&mut CertificateParams)) -> PeerCertificate {
    let key = CertKey::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    change(&mut params);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref());
    PeerCertificate { der: Arc::from(der), sha256 }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn accepting(subjects: &[&str], trust_domain: Option<&str>, clock: &Clock) -> Authenticator {
    let certificates = CertificateSettings {
        subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
        trust_domain: trust_domain.map(str::to_owned),
    };
    let issuers = vec![issuer(JwksSource::Static(Bytes::from(all_keys())))];
    let settings = Settings { anonymous: true, issuers, client_certificates: Some(certificates), ..Settings::default() };
    Authenticator::new(settings, clock.clone(), fetch()).unwrap()
}

async fn shown(
    to: &Authenticator,
    certificate: &PeerCertificate,
    headers: &HeaderMap,
    proof: Proof,
) -> Result<Arc<Principal>, Refusal> {
    let resource = Resource { proof, ..resource(&[]) };
    to.authenticate(Asked { peer_certificate: Some(certificate), ..post(headers, &resource) }).await
}

#[tokio::test]
async fn a_certificate_has_one_name() {
    let id = "spiffe://example.org/agent/ci";
    let spiffe = || uri(id);
    let clock = Clock::system();
    let by_domain = accepting(&[], Some("example.org"), &clock);
    let by_name = accepting(&["spiffe://example.org/agent/*", "*.agents.example.com", "https://x.example/*"], None, &clock);
    let ca = |params: &mut CertificateParams| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let rows: Vec<(&str, PeerCertificate, Option<&str>, Option<&str>)> = vec![
        ("spiffe", certificate(&[spiffe()], |_| {}), Some(id), Some(id)),
        ("spiffe and a host", certificate(&[spiffe(), dns("a.agents.example.com")], |_| {}), Some(id), Some(id)),
        ("another domain", certificate(&[uri("spiffe://example.net/agent/ci")], |_| {}), None, None),
        ("a domain below", certificate(&[uri("spiffe://example.org.evil/agent/ci")], |_| {}), None, None),
        (
            "another path",
            certificate(&[uri("spiffe://example.org/human/ci")], |_| {}),
            Some("spiffe://example.org/human/ci"),
            None,
        ),
        ("two ids", certificate(&[spiffe(), uri("spiffe://example.org/agent/x")], |_| {}), None, None),
        ("an id and a URI", certificate(&[uri("https://x.example/a"), spiffe()], |_| {}), None, None),
        ("no path", certificate(&[uri("spiffe://example.org")], |_| {}), None, None),
        ("empty segment", certificate(&[uri("spiffe://example.org/agent//ci")], |_| {}), None, None),
        ("dots", certificate(&[uri("spiffe://example.org/agent/../human")], |_| {}), None, None),
        ("escapes", certificate(&[uri("spiffe://example.org/agent/%2e%2e")], |_| {}), None, None),
        ("a port", certificate(&[uri("spiffe://example.org:8443/agent/ci")], |_| {}), None, None),
        ("a user", certificate(&[uri("spiffe://a@example.org/agent/ci")], |_| {}), None, None),
        ("a query", certificate(&[uri("spiffe://example.org/agent/ci?x")], |_| {}), None, None),
        ("upper-case scheme", certificate(&[uri("SPIFFE://example.org/agent/ci")], |_| {}), None, None),
        ("upper-case domain", certificate(&[uri("spiffe://EXAMPLE.org/agent/ci")], |_| {}), None, None),
        ("a host", certificate(&[dns("a.agents.example.com")], |_| {}), None, Some("a.agents.example.com")),
        ("another host", certificate(&[dns("a.example.com")], |_| {}), None, None),
        ("two hosts", certificate(&[dns("a.agents.example.com"), dns("b.agents.example.com")], |_| {}), None, None),
        ("another URI", certificate(&[uri("https://x.example/a")], |_| {}), None, Some("https://x.example/a")),
        ("no name", certificate(&[], |_| {}), None, None),
        ("an authority", certificate(&[spiffe()], ca), None, None),
        ("expired", certificate(&[spiffe()], |p| p.not_after = rcgen::date_time_ymd(2020, 1, 1)), None, None),
        ("not yet", certificate(&[spiffe()], |p| p.not_before = rcgen::date_time_ymd(2090, 1, 1)), None, None),
    ];
    for (what, certificate, domain, name) in &rows {
        for (authenticator, wanted) in [(&by_domain, domain), (&by_name, name)] {
            for _ in 0..2 {
                let got = shown(authenticator, certificate, &HeaderMap::new(), Proof::None).await;
                assert_eq!(
                    got.as_ref().ok().map(|p| (&*p.iss, &*p.sub)),
                    wanted.map(|sub| ("portcullis:mtls", sub)),
                    "{what}: {got:?}"
                );
                assert!(got.is_ok() || matches!(got, Err(Refusal::Invalid { .. })), "{what}: never anonymous");
            }
        }
    }
    let garbage = PeerCertificate { der: Arc::from(&b"garbage"[..]), sha256: [9; 32] };
    shown(&by_domain, &garbage, &HeaderMap::new(), Proof::None).await.unwrap_err();
}

#[tokio::test]
async fn a_token_comes_before_the_certificate() {
    let clock = Clock::system();
    let authenticator = accepting(&["*"], None, &clock);
    let certificate = certificate(&[uri("spiffe://example.org/a")], |_| {});
    let ask = async |headers: HeaderMap, proof| shown(&authenticator, &certificate, &headers, proof).await;
    assert_eq!(&*ask(bearing(&token_by(&ED, "ed")), Proof::None).await.unwrap().sub, "alice");
    for wrong in [token_by(&ed(), "ed"), "x".to_owned(), "pck_a_b".to_owned()] {
        assert!(matches!(ask(bearing(&wrong), Proof::None).await, Err(Refusal::Invalid { .. })), "{wrong}");
    }
    for (proof, passes) in [(Proof::None, true), (Proof::Mtls, true), (Proof::Any, true), (Proof::Dpop, false)] {
        assert_eq!(ask(HeaderMap::new(), proof).await.is_ok(), passes, "{proof:?}");
    }
    // Without the setting a certificate is nobody's credential.
    let settings = Settings { anonymous: true, ..Settings::default() };
    let without = Authenticator::new(settings, clock.clone(), fetch()).unwrap();
    assert!(shown(&without, &certificate, &HeaderMap::new(), Proof::None).await.unwrap().anonymous);
}
