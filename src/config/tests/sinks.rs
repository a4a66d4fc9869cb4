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
        "{ kafka: { brokers: [\"u:canary@b:1\"], topic: t, tls: {}, sasl: { mechanism: PLAIN, username: u, password: \"canary\\n\" } } }",
    ] {
        let problems = Files::new().load(&with(&format!("audit: {{ sinks: [{{ file: a }}, {sink}] }}"))).unwrap_err();
        assert!(!problems.is_empty() && !format!("{problems:?}").contains("canary"), "{problems:#?}");
    }
}

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// The problems of a sink of Kafka, without those that are this build's.
fn kafka(files: &Files, settings: &str) -> Vec<Problem> {
    let loaded = files.load(&with(&format!("audit: {{ sinks: [{{ file: a }}, {{ kafka: {{ {settings} }} }}] }}")));
    let problems = loaded.map_or_else(|problems| problems, |_| Vec::new());
    problems.into_iter().filter(|problem| !problem.message.contains("is not in this build")).collect()
}

#[test]
fn kafka_is_what_it_says() {
    let files = Files::new();
    files.write("ca.pem", PEM);
    let many = format!("brokers: [{}], topic: t", ["b:1"; 17].join(", "));
    let long = format!("brokers: [\"127.0.0.1:1\"], topic: {}", "t".repeat(250));
    for (settings, path, message) in [
        ("topic: t", ".brokers", "is required"),
        ("brokers: [], topic: t", ".brokers", "not a list of brokers"),
        (&many, ".brokers", "not a list of brokers"),
        ("brokers: [\"127.0.0.1:1\"]", ".topic", "is required"),
        ("brokers: [\"127.0.0.1:1\"], topic: a/b", ".topic", "not the name of a topic"),
        ("brokers: [\"127.0.0.1:1\"], topic: \"..\"", ".topic", "not the name of a topic"),
        (&long, ".topic", "not the name of a topic"),
        ("brokers: [\"127.0.0.1:1\"], topic: t, partition: 2147483648", ".partition", "not the number"),
        ("brokers: [\"127.0.0.1:1\"], topic: t, compress: gzip", ".compress", "not a way"),
        ("brokers: [\"127.0.0.1:1\"], topic: t, format: avro", ".format", "not a format"),
        ("brokers: [localhost, \"kafka.example.com:9092\"], topic: t", ".brokers[1]", "without TLS"),
        ("brokers: [\"10.0.0.1:9092\"], topic: t", ".brokers[0]", "without TLS"),
        ("brokers: [\"169.254.169.254:9092\"], topic: t, tls: {}", ".brokers[0]", "never called"),
        ("brokers: [\"kafka://b:9092\"], topic: t, tls: {}", ".brokers[0]", "not the address of a broker"),
        ("brokers: [\"a:1,b:2\"], topic: t, tls: {}", ".brokers[0]", "not the address of a broker"),
        ("brokers: [\"b:0\"], topic: t, tls: {}", ".brokers[0]", "port 0"),
        ("brokers: [b], topic: t, tls: { ca: nowhere.pem }", ".tls.ca", "cannot be read"),
        ("brokers: [b], topic: t, tls: { ca: key.pem }", ".tls.ca", "no certificate"),
        ("brokers: [b], topic: t, tls: { cert: ca.pem }", ".tls.key", "is required"),
        ("brokers: [b], topic: t, tls: { key: key.pem }", ".tls.cert", "is required"),
        ("brokers: [b], topic: t, tls: {}, sasl: { username: u, password: p }", ".sasl.mechanism", "is required"),
        (
            "brokers: [b], topic: t, tls: {}, sasl: { mechanism: GSSAPI, username: u, password: p }",
            ".sasl.mechanism",
            "not a mechanism",
        ),
        ("brokers: [b], topic: t, tls: {}, sasl: { mechanism: PLAIN, username: u }", ".sasl.password", "is required"),
        (
            "brokers: [b], topic: t, tls: {}, sasl: { mechanism: PLAIN, username: \"\", password: p }",
            ".sasl.username",
            "is empty",
        ),
        ("brokers: [localhost], topic: t, sasl: { mechanism: PLAIN, username: u, password: p }", ".sasl", "without TLS"),
    ] {
        let problems = kafka(&files, settings);
        assert_eq!(problems.len(), 1, "{settings}\n{problems:#?}");
        let problem = &problems[0];
        assert_eq!(problem.path, format!("audit.sinks[1].kafka{path}"), "{settings}\n{problem:?}");
        assert!(problem.message.contains(message), "{settings}\n{problem:?}");
    }
    for settings in [
        "brokers: [localhost, \"127.0.0.1:9093\", \"[::1]:80\"], topic: t, partition: 0, compress: lz4, format: cef",
        "brokers: [\"kafka:9092\"], topic: t, danger_plaintext: true, sasl: { mechanism: PLAIN, username: u, password: p }",
        "brokers: [\"10.0.0.1:9093\"], topic: t, tls: { ca: ca.pem, cert: ca.pem, key: key.pem }, sasl: { mechanism: SCRAM-SHA-512, username: u, password: p }",
    ] {
        let problems = kafka(&files, settings);
        assert!(problems.is_empty(), "{settings}\n{problems:#?}");
    }
}

/// What a build does not have is an error that says which one has it.
#[test]
fn kafka_is_in_some_builds() {
    let paths = |settings: &str| {
        let sink = format!("brokers: [localhost], topic: t, {settings}");
        let loaded = Files::new().load(&with(&format!("audit: {{ sinks: [{{ file: a }}, {{ kafka: {{ {sink} }} }}] }}")));
        let problems = loaded.map_or_else(|problems| problems, |_| Vec::new());
        assert!(problems.iter().all(|problem| problem.hint.contains("--features kafka")), "{problems:#?}");
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    let scram = "tls: {}, sasl: { mechanism: SCRAM-SHA-256, username: u, password: p }";
    let at = |keys: &[&str]| keys.iter().map(|key| format!("audit.sinks[1].kafka{key}")).collect::<Vec<_>>();
    let (plain, secured) = match (cfg!(feature = "kafka"), cfg!(feature = "kafka-tls")) {
        (false, _) => (at(&[""]), at(&[""])),
        (true, false) => (at(&[]), at(&[".sasl.mechanism", ".tls"])),
        (true, true) => (at(&[]), at(&[])),
    };
    assert_eq!((paths(""), paths(scram)), (plain, secured));
}

#[cfg(feature = "kafka-tls")]
#[test]
fn kafka_is_read_whole() {
    let settings = "brokers: [KAFKA, \"[::1]:80\"], topic: t, partition: 7, format: ocsf, compress: lz4, tls: { ca: ca.pem, cert: ca.pem, key: key.pem }, sasl: { mechanism: SCRAM-SHA-256, username: u, password: canary }";
    let files = Files::new();
    files.write("ca.pem", PEM);
    let config = files.load(&with(&format!("audit: {{ sinks: [{{ file: a }}, {{ kafka: {{ {settings} }} }}] }}"))).unwrap();
    let sink = &config.audit.sinks[0];
    let SinkWay::Kafka(kafka) = &sink.way else { panic!("{sink:?}") };
    assert_eq!((sink.name.as_str(), kafka.brokers.join(" ")), ("kafka", "kafka:9092 [::1]:80".to_owned()));
    assert_eq!((kafka.topic.as_str(), kafka.partition, kafka.format, kafka.lz4), ("t", Some(7), SinkFormat::Ocsf, true));
    let (cert, key) = (files.path("ca.pem"), files.path("key.pem"));
    assert_eq!(kafka.tls, Some(KafkaTls { ca: Some(cert.clone()), own: Some((cert, key)) }));
    let sasl = kafka.sasl.clone().unwrap();
    assert_eq!((sasl.mechanism, sasl.username.as_str(), kafka.danger_plaintext), ("SCRAM-SHA-256", "u", false));
    assert!(!format!("{config:?}").contains("canary"));
    let other = KafkaSasl { password: "another".into(), ..sasl.clone() };
    assert!(sasl != other && sasl == sasl.clone());
}
