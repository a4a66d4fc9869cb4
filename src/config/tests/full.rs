//! Configs without a mistake.

use super::*;

#[test]
fn the_smallest_config_has_the_defaults() {
    let files = Files::new();
    let config = files.load(&with("")).unwrap();
    assert_eq!(config.listen.port(), 0);
    assert_eq!(config.public_url, None);
    assert_eq!(config.data_dir, files.path("../data"));
    assert_eq!(config.limits.body_bytes, 4 << 20);
    assert_eq!(config.limits.response_bytes, 16 << 20);
    assert_eq!((config.limits.depth, config.limits.connections, config.limits.in_flight), (64, 10_000, 4_096));
    assert_eq!(config.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.call_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.stream_idle, Duration::from_secs(300));
    assert_eq!(config.limits.streams_per_principal, 16);
    assert_eq!((config.limits.sessions_per_principal, config.limits.upstream_sessions, config.limits.processes), (64, 1_024, 32));
    assert!(!config.identity.anonymous && !config.identity.dev && !config.observe_only);
    assert_eq!(config.routes.first().unwrap().min_version, Revision::V2025_03_26);
    assert!(!config.routes.first().unwrap().bare);
    let upstream = config.upstreams.first().unwrap();
    assert_eq!(upstream.timeout, Duration::from_secs(30));
    assert!(matches!(upstream.credential, Credential::None));
    assert_eq!(config.audit.durability, Durability::Sync);
    assert_eq!(config.audit.intent_timeout, Duration::from_secs(2));
    assert_eq!(config.audit.file, files.path("../data/audit"));
    let telemetry = Telemetry {
        log: "info".into(),
        log_format: LogFormat::Json,
        otlp: None,
        trace_parts_per_million: 100_000,
        trace_slow: Duration::from_secs(2),
        trust_trace_context: TraceTrust::Authenticated,
    };
    assert_eq!(config.telemetry, telemetry);
    assert_eq!(config.admin.unwrap().listen, "127.0.0.1:9443".parse().unwrap());
    assert_eq!(config.policies, [files.path("policies/a.yaml")]);
    let watched = [files.path("policies"), files.path("policies/a.yaml"), files.path("portcullis.yaml")];
    assert_eq!(config.watched, watched);
}

const FULL: &str = r#"
version: 1
listen: 0.0.0.0:8443
public_url: https://Gateway.Example.com:443
data_dir: data
tls: { cert: cert.pem, key: key.pem, client_ca: cert.pem, client_certificates: optional }
allowed_origins: ["https://app.example.com:443", "vscode-file://vscode-app"]
allowed_hosts: [Gateway.example.com, "other.example.com:8443", "::1"]
limits: { body: 1MiB, response: 10MB, depth: 32, header_timeout: 500ms, call_timeout: 1h, stream_idle: 2m, connections: 5, in_flight: 6, sessions_per_principal: 7, streams_per_principal: 256, upstream_sessions: 8, processes: 9 }
identity:
  anonymous: false
  issuers:
    - issuer: https://idp.example.com/
      audience: [one, two]
      jwks: file:jwks.json
      algorithms: [PS512, ES384]
      claims: { groups: realm_access.roles, oncall: pager }
    - issuer: http://localhost:9000
      jwks: https://10.0.0.1/jwks
      allow_private_addresses: true
  api_keys: [{ id: k7Qm2, name: ci, hash: "sha256:HASH", groups: [ci], scopes: [mcp:read], expires: 2027-01-01 }]
  dev: { enabled: false }
routes:
  - { path: /mcp, upstreams: [files, github] }
  - { path: /mcp/files, upstreams: [files], names: bare, min_version: 2025-06-18, scopes: [mcp:read] }
upstreams:
  - name: github
    http: { url: "https://mcp.github.example/mcp?key=${env:TOKEN}", dialect: 2025-11-25 }
    credential: { bearer: "pre-${env:TOKEN}" }
    timeout: 5s
    shared: true
  - name: plain
    http: { url: "http://mcp.example.com/", danger_plaintext: true }
    credential: { header: { name: X-Api-Key, value: "${file:secret}" } }
  - name: files
    stdio: { command: mcp-server-filesystem, args: ["${env:TRICKY}", "$${env:TOKEN}", "--token=${env:TOKEN}"], env: { KEY: "${env:TOKEN}", LANG: C }, cwd: work, danger_unsandboxed: true }
    credential: none
policies: [policies]
danger_observe_only: true
audit:
  durability: danger_none
  intent_timeout: 5s
  reads: queued
  sinks:
    - { file: log/audit }
    - { stdout: { format: cef } }
    - { name: siem, syslog: { address: "tls://logs.example.com", format: ocsf } }
    - { syslog: { address: "tcp://[::1]:80" } }
    - { http: { url: "https://siem.example.com/in", secret: sink-secret-canary-1, compress: gzip } }
    - { otlp: { endpoint: "https://otlp.example.com", headers: { Authorization: "Bearer sink-secret-canary-2" } } }
  record_arguments: [/path, /a~1b]
  rotate: { size: 1GiB, every: 24h }
  compress: gzip
  retain: { for: 90d, size: 50GiB, exported: false }
  checkpoints:
    every: 2s
    records: 500
    export: [{ file: seen.jsonl }, { webhook: { url: "https://witness.example/in", secret: "${env:TOKEN}${env:TOKEN}" } }]
state: { embedded: state.db }
telemetry: { log: "info,portcullis::policy=debug", log_format: text }
admin: { listen: "[::1]:0" }
"#;

#[test]
fn a_full_config_is_read_as_written() {
    let files = Files::new();
    let hash = "0f".repeat(32);
    let config = files.load(&FULL.replace("HASH", &hash)).unwrap();
    assert_eq!(config.public_url.as_ref().unwrap().origin(), "https://gateway.example.com");
    assert_eq!(config.allowed_origins, ["https://app.example.com", "vscode-file://vscode-app"]);
    assert_eq!(config.allowed_hosts, ["gateway.example.com", "other.example.com:8443", "[::1]"]);
    assert_eq!((config.limits.body_bytes, config.limits.response_bytes), (1 << 20, 10_000_000));
    assert_eq!(config.limits.header_timeout, Duration::from_millis(500));
    assert_eq!((config.limits.in_flight, config.limits.processes), (6, 9));
    assert_eq!(
        config.tls,
        Tls::Files {
            cert: files.path("cert.pem"),
            key: files.path("key.pem"),
            client_ca: Some(files.path("cert.pem")),
            client_optional: true,
        }
    );
    let [first, second] = &config.identity.issuers[..] else { panic!() };
    assert_eq!(first.issuer, "https://idp.example.com/");
    assert_eq!(first.jwks, Jwks::File(files.path("jwks.json")));
    assert_eq!(first.algorithms, [Algorithm::PS512, Algorithm::ES384]);
    let claims: Vec<_> = first.claims.iter().map(|(ours, theirs)| (ours.as_str(), theirs.as_str())).collect();
    let expected = [
        ("client_id", "client_id"),
        ("groups", "realm_access.roles"),
        ("oncall", "pager"),
        ("scope", "scope"),
        ("tenant", "tenant"),
    ];
    assert_eq!(claims, expected);
    assert_eq!(second.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
    let key = config.identity.api_keys.first().unwrap();
    assert_eq!((key.sha256, key.expires_unix_s), ([0x0f; 32], Some(1_798_761_600)));
    let route = config.routes.last().unwrap();
    assert!(route.bare && route.min_version == Revision::V2025_06_18);
    let [github, plain, process] = &config.upstreams[..] else { panic!() };
    assert!(matches!(&github.credential, Credential::Bearer(token) if token.expose_secret() == format!("pre-{SECRET}")));
    assert!(matches!(&github.transport, Transport::Http { dialect: Some(Revision::V2025_11_25), plaintext_ok: false, .. }));
    assert!(
        matches!(&plain.credential, Credential::Header { name, value } if name == "x-api-key" && value.expose_secret() == SECRET)
    );
    let Transport::Stdio { command, args, env, cwd } = &process.transport else { panic!() };
    assert_eq!(command.to_str(), Some("mcp-server-filesystem"));
    assert_eq!(args, &["${env:TOKEN}", "${env:TOKEN}", &format!("--token={SECRET}")], "never re-parsed, and literal");
    assert_eq!((env.len(), cwd.as_deref()), (2, Some(files.path("work").as_path())));
    assert!(config.observe_only);
    assert_eq!(config.audit.file, files.path("data/log/audit"));
    assert_eq!(config.audit.durability, Durability::DangerNone);
    let sinks = &config.audit.sinks;
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["stdout", "siem", "syslog", "http", "otlp"]);
    assert!(matches!(&sinks[1].way, SinkWay::Syslog(sink) if sink.tls && sink.port == 6514 && sink.format == SinkFormat::Ocsf));
    assert!(matches!(&sinks[2].way, SinkWay::Syslog(sink) if !sink.tls && sink.host == "::1" && sink.port == 80));
    assert!(matches!(&sinks[3].way, SinkWay::Http(sink) if sink.gzip && sink.format == SinkFormat::Json));
    assert!(matches!(&sinks[4].way, SinkWay::Otlp(sink) if sink.url.path() == "/v1/logs" && sink.headers.len() == 1));
    assert!(!format!("{sinks:?}").contains("canary"), "{sinks:?}");
    assert!(*sinks == sinks.clone());
    let day = Duration::from_secs(24 * 3600);
    assert!(config.audit.compress && !config.audit.reads_wait);
    assert_eq!(config.audit.intent_timeout, Duration::from_secs(5));
    assert_eq!((config.audit.rotate.bytes, config.audit.rotate.every), (1 << 30, Some(day)));
    let retain = config.audit.retain.unwrap();
    assert_eq!((retain.time, retain.bytes, retain.exported), (Some(90 * day), Some(50 << 30), false));
    let pace = config.audit.checkpoints;
    assert_eq!((pace.every, pace.records), (Duration::from_secs(2), 500));
    assert!(matches!(&config.audit.exports[0], CheckpointExport::File(path) if *path == files.path("data/seen.jsonl")));
    assert!(matches!(&config.audit.exports[1], CheckpointExport::Webhook(webhook) if webhook.url.path() == "/in"));
    assert_eq!(config.audit.checkpoint_key, files.path("data/keys/checkpoint.pem"));
    for name in ["secret", "cert.pem", "key.pem", "jwks.json", "portcullis.yaml", "policies", "policies/a.yaml"] {
        assert!(config.watched.contains(&files.path(name)), "{name} is not watched");
    }
    let printed = format!("{config:?} {config:#?}");
    assert!(!printed.contains(SECRET), "a secret in {printed}");
    assert!(!printed.contains("15, 15, 15"), "a hash in {printed}");
}

#[test]
fn the_example_config_loads() {
    let files = Files::new();
    files.write("policies/demo/demo.yaml", "version: 1\n");
    files.write("config/portcullis.yaml", include_str!("../../../config/portcullis.yaml"));
    let config = load_with(&files.path("config/portcullis.yaml"), &|_| None).unwrap();
    assert!(config.identity.dev);
    assert_eq!(config.tls, Tls::SelfSigned);
}
