//! `audit.sinks`.

use super::*;

#[test]
fn sinks_are_what_they_say() {
    for (sinks, path, message) in [
        ("[{ udp: x }]", "[0].udp", "unknown key"),
        ("[{ stdout: {} }]", "[0].file", "is required"),
        ("[{ file: a, stdout: {} }]", "[0]", "more than `file`"),
        ("[{ file: a }, { file: b }]", "[1]", "a second file"),
        ("[{ file: a }, {}]", "[1]", "not one sink"),
        ("[{ file: a }, { stdout: {}, syslog: {} }]", "[1]", "not one sink"),
        ("[{ file: a }, { stdout: {} }, { stdout: {} }]", "[2].name", "another sink"),
        ("[{ file: a }, { name: ../x, stdout: {} }]", "[1].name", "not a name"),
        ("[{ file: a }, { stdout: { format: leef } }]", "[1].stdout.format", "not a format"),
        ("[{ file: a }, { syslog: {} }]", "[1].syslog.address", "is required"),
        ("[{ file: a }, { syslog: { address: \"udp://h:514\" } }]", "[1].syslog.address", "not the address of a syslog server"),
        ("[{ file: a }, { syslog: { address: \"tcp://logs.example.com:514\" } }]", "[1].syslog.address", "without TLS"),
        ("[{ file: a }, { syslog: { address: \"tls://10.0.0.1\" } }]", "[1].syslog.address", "private address"),
        ("[{ file: a }, { syslog: { address: \"tcp://127.0.0.1\" } }]", "[1].syslog.address", "names no port"),
        ("[{ file: a }, { syslog: { address: \"tls://u:p@h\" } }]", "[1].syslog.address", "not the address of a syslog server"),
        ("[{ file: a }, { http: { url: \"https://example.com/\" } }]", "[1].http.secret", "is required"),
        ("[{ file: a }, { http: { url: \"https://example.com/\", secret: short } }]", "[1].http.secret", "shorter than 16"),
        ("[{ file: a }, { http: { url: \"http://example.com/\", secret: 0123456789abcdef } }]", "[1].http.url", "plain http"),
        (
            "[{ file: a }, { otlp: { endpoint: \"https://example.com\", headers: { Host: x } } }]",
            "[1].otlp.headers",
            "one that is the gateway's",
        ),
        ("[{ file: a }, { otlp: { endpoint: \"https://example.com\", ca: nowhere.pem } }]", "[1].otlp.ca", "cannot be read"),
    ] {
        let problems = Files::new().load(&with(&format!("audit: {{ sinks: {sinks} }}"))).unwrap_err();
        assert_eq!(problems.len(), 1, "{sinks}\n{problems:#?}");
        let problem = &problems[0];
        assert_eq!(problem.path, format!("audit.sinks{path}"), "{sinks}\n{problem:?}");
        assert!(problem.message.contains(message), "{sinks}\n{problem:?}");
    }
}

#[test]
fn no_secret_of_a_sink_is_shown() {
    for sink in [
        "{ http: { url: \"https://u:canary@example.com/\", secret: short-canary } }",
        "{ syslog: { address: \"tls://u:canary@example.com\" } }",
        "{ otlp: { endpoint: \"https://example.com\", headers: { authorization: \"canary\\n\" } } }",
    ] {
        let problems = Files::new().load(&with(&format!("audit: {{ sinks: [{{ file: a }}, {sink}] }}"))).unwrap_err();
        assert!(!problems.is_empty() && !format!("{problems:?}").contains("canary"), "{problems:#?}");
    }
}
