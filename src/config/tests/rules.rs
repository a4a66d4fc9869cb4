//! Every rule of the format, section by section.

mod accounts;
mod callers;
mod upstreams;

use super::*;
use crate::config::{Credential, JagSubject, SubjectTokenType};

/// An ID-JAG with `settings`.
fn jag(settings: &str) -> String {
    let client = "client_id: x, client_secret: y";
    format!(
        "{{ id_jag: {{ idp: {{ token_url: \"https://i.example/t\", {client} }}, issuer: \"https://a.example\", {client}, {settings} }} }}"
    )
}

#[test]
fn the_door() {
    for (yaml, path, message) in [
        ("listen: \":8443\"", "listen", "not an IP address and a port"),
        ("listen: localhost:8443", "listen", "not an IP address and a port"),
        ("listen: 127.0.0.1", "listen", "not an IP address and a port"),
        ("tls: maybe", "tls", "not a way to encrypt"),
        ("tls: none\nlisten: 0.0.0.0:1", "tls", "needs a loopback"),
        ("tls: self_signed\nlisten: 0.0.0.0:1", "tls", "`listen` is not loopback"),
        ("tls: self_signed\npublic_url: https://x.example", "tls", "host of `public_url` is not loopback"),
        ("tls: { cert: no.pem, key: key.pem }", "tls.cert", "cannot be read"),
        ("tls: { cert: cert.pem, key: policies }", "tls.key", "not a regular file"),
        ("tls: { cert: cert.pem, key: secret }", "tls.key", "others may use"),
        ("tls: { cert: cert.pem, key: key.pem, client_ca: no.pem }", "tls.client_ca", "cannot be read"),
        ("public_url: gateway", "public_url", "not a URL"),
        ("public_url: ftp://x.example", "public_url", "neither https nor http"),
        ("public_url: https://x.example/mcp", "public_url", "has a path"),
        ("public_url: https://x.example?a", "public_url", "has a path"),
        ("public_url: https://u@x.example", "public_url", "user name"),
        ("public_url: http://x.example", "public_url", "without TLS"),
        ("public_url: http://localhost\ntls: self_signed", "public_url", "is http, but"),
        ("allowed_origins: [\"*\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"null\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"https://x.example/\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"https://*.example\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"file://\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_hosts: [\"*\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"https://x.example\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"x.example:99999\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"\"]", "allowed_hosts[0]", "not a host name"),
        ("data_dir: \"\"", "data_dir", "is empty"),
        (
            "identity: { anonymous: true }\nlisten: 0.0.0.0:1\ntls: none\ndanger_plaintext: true",
            "identity.anonymous",
            "loopback only",
        ),
        ("identity: { dev: { enabled: true } }\npublic_url: https://x.example", "identity.dev.enabled", "loopback only"),
        ("admin: { listen: 127.0.0.1:77 }\nlisten: 127.0.0.1:77", "admin.listen", "port of `listen`"),
        ("admin: off", "admin", "not a listener"),
    ] {
        let line = 1 + yaml.lines().position(|line| line.starts_with(path.split(['.', '[']).next().unwrap())).unwrap();
        refuses(yaml, &[(path, message, line as u64)]);
    }
    accepts("tls: none\nlisten: 0.0.0.0:1\ndanger_plaintext: true");
    accepts(
        "tls: self_signed\nlisten: \"[::1]:1\"\npublic_url: https://localhost:8443\nidentity: { anonymous: true, dev: { enabled: true } }",
    );
    accepts("tls: none\npublic_url: https://gateway.example.com");
    assert!(accepts("admin: none").admin.is_none());
    assert_eq!(accepts("public_url: http://127.0.0.1:8443").public_url.unwrap().origin(), "http://127.0.0.1:8443");
}

#[test]
fn limits_have_bounds() {
    for (setting, message) in [
        ("body: 0", "out of range"),
        ("body: 1TiB", "not a size"),
        ("body: 10GiB", "out of range"),
        ("response: 3", "out of range"),
        ("depth: 0", "out of range"),
        ("depth: 100000", "out of range"),
        ("header_timeout: 0s", "out of range"),
        ("header_timeout: 1h", "out of range"),
        ("call_timeout: 10", "must be a string"),
        ("call_timeout: ten", "not a duration"),
        ("call_timeout: 99d", "out of range"),
        ("stream_idle: 1ms", "out of range"),
        ("connections: 0", "out of range"),
        ("in_flight: 0", "out of range"),
        ("sessions_per_principal: 0", "out of range"),
        ("streams_per_principal: 257", "out of range"),
        ("upstream_sessions: 99999999", "out of range"),
        ("processes: 0", "out of range"),
    ] {
        let path = format!("limits.{}", setting.split(':').next().unwrap());
        refuses(&format!("limits:\n  {setting}"), &[(&path, message, 2)]);
    }
    assert_eq!(accepts("limits: { body: 2048 }").limits.body_bytes, 2048);
}

#[test]
fn routes() {
    for (path, message) in [
        ("mcp", "does not start with"),
        ("/mcp?x", "query"),
        ("/mcp#x", "query or fragment"),
        ("/a/../b", "dot segment"),
        ("/./a", "dot segment"),
        ("//a", "empty or dot segment"),
        ("/mcp/", "empty or dot segment"),
        ("/a%2fb", "may not have here"),
        ("/a b", "may not have here"),
        ("/.well-known/mcp", "answers itself"),
        ("/oauth/token", "answers itself"),
        ("/connect/x", "answers itself"),
        ("/confirm/x", "answers itself"),
    ] {
        let yaml = format!("routes:\n  - {{ path: \"{path}\", upstreams: [files] }}");
        refuses(&yaml, &[("routes[0].path", message, 2)]);
    }
    let two =
        "upstreams: [{ name: files, http: { url: \"https://a.example\" } }, { name: web, http: { url: \"https://b.example\" } }]";
    for (route, key, message) in [
        ("path: /mcp, upstreams: []", "upstreams", "is required"),
        ("path: /mcp, upstreams: [nobody]", "upstreams[0]", "not the name of an upstream"),
        ("path: /mcp, upstreams: [files, files]", "upstreams[1]", "twice"),
        ("path: /mcp, upstreams: [files, web], names: bare", "names", "single upstream"),
        ("path: /mcp, upstreams: [files], names: long", "names", "not a way to name"),
        ("path: /mcp, upstreams: [files], min_version: 2024-10-07", "min_version", "not a protocol revision"),
        ("path: /mcp, upstreams: [files], scopes: [\"\"]", "scopes[0]", "not a scope"),
    ] {
        refuses(&format!("routes:\n  - {{ {route} }}\n{two}"), &[(&format!("routes[0].{key}"), message, 2)]);
    }
    let twice = "routes:\n  - { path: /mcp, upstreams: [files] }\n  - { path: /mcp, upstreams: [files] }";
    refuses(twice, &[("routes[1].path", "path of another route", 3)]);
    refuses("routes: []", &[("routes", "is required", 1)]);
    accepts("routes: [{ path: /, upstreams: [files] }]");
    accepts("routes: [{ path: /, upstreams: [files], min_version: 2024-11-05 }]");
}

#[test]
fn policies_are_never_passed_over() {
    let files = Files::new();
    files.write("none/readme.md", "");
    files.write("cases/a.cases.yaml", "");
    files.write("stray/a.yaml", "");
    files.write("stray/below/deep/b.yml", "");
    files.write("loud/a.YAML", "");
    files.write("odd.txt", "");
    for (entry, message) in [
        ("missing", "cannot be read"),
        ("none", "holds no policy file"),
        ("cases", "holds no policy file"),
        ("cases/a.cases.yaml", "holds cases"),
        ("stray", "would not be loaded"),
        ("loud", "would not be loaded"),
        ("odd.txt", "not named .yaml"),
        ("\"\"", "is empty"),
    ] {
        refuses_in(&files, &format!("policies:\n  - {entry}"), &[("policies[0]", message, 2)]);
    }
    refuses_in(&files, "policies: [policies, policies/a.yaml]", &[("policies[1]", "a second time", 1)]);
    refuses("policies: []", &[("policies", "is required", 1)]);
}

#[test]
fn policies_of_a_directory_are_its_yaml_files() {
    let files = Files::new();
    for name in ["z.yml", "b.yaml", "b.cases.yaml", "notes.txt", ".hidden.yaml", "..2024/b.yaml", "more/c.cases.yaml"] {
        files.write(&format!("set/{name}"), "");
    }
    let config = files.load(&with("policies: [set, policies/a.yaml]")).unwrap();
    assert_eq!(config.policies, ["policies/a.yaml", "set/b.yaml", "set/z.yml"].map(|name| files.path(name)));
    assert!(config.watched.contains(&files.path("set")) && config.watched.contains(&files.path("set/z.yml")));
}

#[test]
fn operation() {
    for (yaml, path, message) in [
        ("audit: { durability: maybe }", "audit.durability", "not a durability"),
        ("audit: { reads: maybe }", "audit.reads", "not a way to record reads"),
        ("audit: { reads: sync, durability: danger_none }", "audit.reads", "waits for nothing"),
        ("audit: { intent_timeout: 61s }", "audit.intent_timeout", "out of range"),
        ("audit: { compress: zip }", "audit.compress", "not a way to compress"),
        ("audit: { rotate: { size: 1KiB } }", "audit.rotate.size", "out of range"),
        ("audit: { rotate: { every: 1ms } }", "audit.rotate.every", "out of range"),
        ("audit: { retain: {} }", "audit.retain", "neither how long nor how much"),
        ("audit: { retain: { for: 1s } }", "audit.retain.for", "out of range"),
        ("audit: { retain: { size: 1 } }", "audit.retain.size", "out of range"),
        ("audit: { retain: { for: 1d, exported: true } }", "audit.retain.exported", "waits for nothing"),
        ("audit: { checkpoints: { every: 1ms } }", "audit.checkpoints.every", "out of range"),
        ("audit: { checkpoints: { records: 0 } }", "audit.checkpoints.records", "out of range"),
        ("audit: { checkpoints: { export: [{}] } }", "audit.checkpoints.export[0]", "neither `file` nor `webhook`"),
        ("audit: { checkpoints: { export: [{ file: \"\" }] } }", "audit.checkpoints.export[0].file", "not a path"),
        (
            "audit: { checkpoints: { export: [{ webhook: { url: \"https://example.com/x\" } }] } }",
            "audit.checkpoints.export[0].webhook.secret",
            "is required",
        ),
        (
            "audit: { checkpoints: { export: [{ webhook: { url: \"https://example.com/x\", secret: short } }] } }",
            "audit.checkpoints.export[0].webhook.secret",
            "shorter than",
        ),
        ("keys: { checkpoint: nowhere.pem }", "keys.checkpoint", "cannot be read"),
        ("audit: { sinks: [] }", "audit.sinks", "nothing would be recorded"),
        ("audit: { sinks: [{}] }", "audit.sinks[0].file", "is required"),
        ("audit: { record_arguments: [path] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("audit: { record_arguments: [\"\"] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("audit: { record_arguments: [/a~2] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("telemetry: { log: inof }", "telemetry.log", "not a log level"),
        ("telemetry: { log: \"a=inof\" }", "telemetry.log", "not a log level"),
        ("telemetry: { trace_sample: 1.5 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_sample: -1 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_sample: 2 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_slow: 0s }", "telemetry.trace_slow", "out of range"),
        ("telemetry: { trust_trace_context: some }", "telemetry.trust_trace_context", "nobody to trust"),
        ("telemetry: { otlp: \"ftp://x\" }", "telemetry.otlp", "neither https nor http"),
        ("telemetry: { otlp: \"http://collector.example.com:4318\" }", "telemetry.otlp", "plain http"),
        ("telemetry: { otlp: \"https://10.0.0.1\" }", "telemetry.otlp", "private address"),
        ("telemetry: { otlp: \"https://u:p@x\" }", "telemetry.otlp", "user name or password"),
        ("telemetry: { otlp: {} }", "telemetry.otlp.endpoint", "is required"),
        ("telemetry: { otlp: { endpoint: \"https://x/?k=s\" } }", "telemetry.otlp.endpoint", "has a query"),
        ("telemetry: { otlp: { endpoint: \"https://x/p\", protocol: grpc } }", "telemetry.otlp.endpoint", "no room"),
        ("telemetry: { otlp: { endpoint: \"https://x\", protocol: udp } }", "telemetry.otlp.protocol", "not a protocol"),
        ("telemetry: { otlp: { endpoint: \"https://x\", ca: none.pem } }", "telemetry.otlp.ca", ""),
        ("telemetry: { otlp: { endpoint: \"https://x\", headers: { Host: x } } }", "telemetry.otlp.headers", "no header to set"),
        (
            "telemetry: { otlp: { endpoint: \"https://x\", headers: { a: \"x\\ny\" } } }",
            "telemetry.otlp.headers",
            "no header to set",
        ),
        ("telemetry: { otlp: { endpoint: \"https://x\", metrics_every: 1ms } }", "telemetry.otlp.metrics_every", "out of range"),
        ("telemetry: { log_format: xml }", "telemetry.log_format", "not a log format"),
    ] {
        let problems = Files::new().load(&with(yaml)).unwrap_err();
        let found = problems.iter().find(|p| p.path == path);
        assert!(found.is_some_and(|p| p.message.contains(message) && p.line == 1), "{yaml}: {problems:#?}");
    }
}
