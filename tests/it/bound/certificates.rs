//! Certificates of clients, as credentials and as what tokens are bound to.

use super::*;

struct Site {
    server: (String, String),
    ca: String,
    agents: CertifiedIssuer<'static, KeyPair>,
}

impl Site {
    /// Its files, and a rule for its agents.
    fn put(&self, files: &mut Files) {
        files.policy.push_str(
            "  - { id: agents, effect: allow, principals: [\"sub:spiffe://example.org/agent/*\"], tools: [\"up__echo\"] }\n",
        );
        let (server, key) = self.server.clone();
        files.more =
            [("server.pem", server), ("server.key", key), ("ca.pem", self.ca.clone()), ("agents.pem", self.agents.pem())]
                .map(|(name, text)| (name.into(), text))
                .into();
    }
}

fn site() -> Site {
    let (ca, agents) = (authority("servers"), authority("agents"));
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &ca).unwrap();
    Site { server: (server.pem(), key.serialize_pem()), ca: ca.pem(), agents }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_a_credential_and_binds_tokens() {
    let site = site();
    let agent = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        let cert = params.signed_by(&key, &site.agents).unwrap();
        (cert.pem(), key.serialize_pem(), sha256(cert.der()))
    };
    let gate = Gate::with(|files| {
        identity(files, "client_certificates: { trust_domain: example.org, subjects: [\"spiffe://example.org/agent/*\"] }");
        files.config = files
            .config
            .replace("tls: self_signed", "tls: { cert: server.pem, key: server.key, client_ca: agents.pem }")
            .replace("names: bare, scopes: [\"mcp:admin\"]", "names: bare, proof: mtls");
        site.put(files);
    })
    .await;
    let (ours, other, foreign) =
        (agent("spiffe://example.org/agent/ci"), agent("spiffe://example.org/agent/x"), agent("spiffe://example.net/agent/ci"));
    let send = async |certificate: &(String, String, String), request: &Req| {
        gate.reach.showing(&certificate.0, &certificate.1).send(request).await
    };
    let call = gate.call("/mcp", "x", "up__echo", "{}");
    let bare = call.clone().without("Authorization");
    let answer = send(&ours, &bare).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    soon("the record", || !gate.records().is_empty()).await;
    let record = gate.records().pop().unwrap();
    assert_eq!(record["principal"]["iss"], "portcullis:mtls");
    assert_eq!(record["principal"]["sub"], "spiffe://example.org/agent/ci");
    assert_eq!(send(&foreign, &bare).await.status, 401);
    assert_eq!(send(&ours, &call).await.status, 401, "a bad token is not mended by a certificate");
    let plain = gate.token("alice", &["eng"]);
    let with = |route: &str, tool: &str, token: &str| gate.call(route, token, tool, "{}");
    assert_eq!(send(&ours, &with("/mcp", "up__echo", &plain)).await.status, 200);
    assert_eq!(send(&ours, &with("/scoped", "echo", &plain)).await.status, 401, "the route wants a bound token");
    assert_eq!(send(&ours, &gate.call("/scoped", "", "echo", "{}").without("Authorization")).await.status, 200);
    let token = bound(&gate, json!({"x5t#S256": ours.2}));
    for (certificate, status) in [(&ours, 200), (&other, 401), (&foreign, 401)] {
        let answer = send(certificate, &with("/mcp", "up__echo", &token)).await;
        assert_eq!(answer.status, status, "{}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_certificates_are_optional_whoever_shows_one_must_show_a_good_one() {
    let (site, stranger) = (site(), site());
    let agent = |of: &Site| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("spiffe://example.org/agent/ci".try_into().unwrap())];
        let cert = params.signed_by(&key, &of.agents).unwrap();
        (cert.pem(), key.serialize_pem(), sha256(cert.der()))
    };
    let gate = Gate::with(|files| {
        identity(files, "client_certificates: { trust_domain: example.org }");
        let tls = "tls: { cert: server.pem, key: server.key, client_ca: agents.pem, client_certificates: optional }";
        files.config = files.config.replace("tls: self_signed", tls);
        site.put(files);
    })
    .await;
    let (ours, theirs) = (agent(&site), agent(&stranger));
    let showing = |certificate: &(String, String, String)| gate.reach.showing(&certificate.0, &certificate.1);
    let bearer = gate.call("/mcp", &gate.token("alice", &["eng"]), "up__echo", "{}");
    let bare = bearer.clone().without("Authorization");
    let bound = gate.call("/mcp", &bound(&gate, json!({"x5t#S256": ours.2})), "up__echo", "{}");
    let (with, without) = (showing(&ours), gate.reach.clone());
    for (what, reach, request, status) in [
        ("a token alone", &without, &bearer, 200),
        ("nothing", &without, &bare, 401),
        ("a bound token without its certificate", &without, &bound, 401),
        ("a certificate alone", &with, &bare, 200),
        ("a bound token with its certificate", &with, &bound, 200),
    ] {
        let answer = reach.send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.whole());
    }
    // There is no connection, or it breaks before any answer.
    let fails = async |reach: &Reach| {
        let (reach, request) = (reach.clone(), bearer.clone());
        tokio::spawn(async move { reach.send(&request).await })
            .await
            .ok()
            .map(|answer| answer.status)
            .filter(|status| *status != 0)
    };
    assert_eq!(fails(&showing(&theirs)).await, None, "another authority's certificate");
    // A reload that asks everybody.
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(", client_certificates: optional", ""));
    let refused = async { while fails(&without).await.is_some() {} };
    tokio::time::timeout(SOON, refused).await.unwrap();
    assert_eq!(fails(&with).await, Some(200));
}
