//! Mistakes of form, and how mistakes are told.

use super::*;

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    let yaml = "version: 2\nlisten: here\nlisten_on: x\nlimits:\n  depth: many\n  boddy: 1\nidentity: { anonymous: yes }\nroutes:\n  - path: mcp\n    upstreams: [fils, 7]\nlock: { mode: require }\ntls: none";
    refuses(
        yaml,
        &[
            ("version", "not a version", 1),
            ("listen", "not an IP address", 2),
            ("listen_on", "unknown key", 3),
            ("limits.depth", "must be a whole number, is a string", 5),
            ("limits.boddy", "unknown key", 6),
            ("identity.anonymous", "must be true or false", 7),
            ("routes[0].path", "does not start with", 9),
            ("routes[0].upstreams[0]", "not the name of an upstream", 10),
            ("routes[0].upstreams[1]", "must be a string, is a number", 10),
            ("lock", "not built yet: lock", 11),
        ],
    );
}

#[test]
fn hints_name_the_nearest_word() {
    let files = Files::new();
    for (yaml, hint) in [
        ("lisen: 127.0.0.1:1", "did you mean `listen`?"),
        ("limits: { bodi: 1 }", "did you mean `body`?"),
        ("routes: [{ path: /mcp, upstreams: [file] }]", "did you mean `files`?"),
        ("telemetry: { zzzzzz: 1 }", "known here: log, log_format, otlp, trace_sample, trace_slow, trust_trace_context"),
    ] {
        let problems = files.load(&with(yaml)).unwrap_err();
        assert_eq!(problems.first().unwrap().hint, hint, "{yaml}");
    }
}

#[test]
fn broken_yaml_is_one_problem_with_a_place() {
    let files = Files::new();
    for (yaml, fragment, line) in [
        ("version: 1\nversion: 1\n", "duplicate", 2),
        ("version: 1\ntls: { a: 1, a: 2 }\n", "duplicate", 2),
        ("version: 1\ntls: [\n", "unclosed", 2),
        ("a: &a { x: 1 }\nb:\n  <<: *a\n", "merge", 3),
        ("version: 1\n---\nversion: 1\n", "", 2),
        ("version: !custom 1\n", "tag", 1),
        (&format!("version: {}\n", "[".repeat(100)), "", 1),
    ] {
        let problems = files.load(yaml).unwrap_err();
        assert_eq!(problems.len(), 1, "{yaml}: {problems:#?}");
        let problem = problems.first().unwrap();
        assert!(problem.message.to_lowercase().contains(fragment), "{yaml}: {problem:?}");
        assert_eq!(problem.line, line, "{yaml}: {problem:?}");
        assert!(
            !problem.message.contains(" line ") && !problem.message.contains('\n') && !problem.message.is_empty(),
            "{problem:?}"
        );
    }
    for yaml in ["", "[]", "42", "just words"] {
        let problems = files.load(yaml).unwrap_err();
        assert!(!problems.is_empty() && problems.len() < 3, "{yaml}: {problems:#?}");
    }
}

#[test]
fn aliases_cannot_blow_up() {
    let mut yaml = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e"), ("g", "f")] {
        let row = vec![format!("*{of}"); 10].join(", ");
        yaml.push_str(&format!("{name}: &{name} [{row}]\n"));
    }
    let problems = Files::new().load(&yaml).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let files = Files::new();
    let problems = load_with(&files.path("none.yaml"), &|_| None).unwrap_err();
    assert!(problems.first().unwrap().message.contains("cannot be read"), "{problems:?}");
    let problems = load_with(&files.path("policies"), &|_| None).unwrap_err();
    assert!(problems.first().unwrap().message.contains("not a regular file"), "{problems:?}");
    let problems = files.load(&format!("#{}", "x".repeat(5 << 20))).unwrap_err();
    assert!(problems.first().unwrap().message.contains("holds more than"), "{problems:?}");
}

#[test]
fn required_keys_are_asked_for() {
    let files = Files::new();
    let problems = files.load("listen: 127.0.0.1:0\n").unwrap_err();
    let paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["policies", "routes", "tls", "upstreams", "version"]);
    let bare = [
        ("upstreams[0]", "neither", 2),
        ("upstreams[0].name", "is required", 2),
        ("routes[0].upstreams[0]", "not the name of an upstream", 6),
    ];
    refuses("upstreams:\n  - {}", &bare);
    refuses("routes:\n  - {}", &[("routes[0].path", "is required", 2), ("routes[0].upstreams", "is required", 2)]);
    refuses("tls: {}", &[("tls.cert", "is required", 1), ("tls.key", "is required", 1)]);
    let key = "identity: { api_keys: [{}] }";
    let path = |key: &str| format!("identity.api_keys[0].{key}");
    let (hash, id, name) = (path("hash"), path("id"), path("name"));
    refuses(key, &[(&hash, "is required", 1), (&id, "is required", 1), (&name, "is required", 1)]);
}

#[test]
fn a_key_without_a_value_is_not_a_default() {
    refuses("admin:", &[("admin", "has no value", 1)]);
    refuses("tls: { cert: cert.pem, key: key.pem, client_ca: }", &[("tls.client_ca", "has no value", 1)]);
    refuses("limits:\n  depth: ~", &[("limits.depth", "has no value", 2)]);
}

#[test]
fn wrong_shapes_are_refused() {
    for (yaml, path, message) in [
        ("limits: 3", "limits", "must be a map"),
        ("policies: policies", "policies", "must be a list"),
        ("policies: { a: b }", "policies", "must be a list"),
        ("data_dir: 7", "data_dir", "must be a string, is a number"),
        ("data_dir: [a]", "data_dir", "must be a string, is a list"),
        ("danger_observe_only: yes", "danger_observe_only", "must be true or false"),
        ("danger_observe_only: \"true\"", "danger_observe_only", "must be true or false"),
        ("limits: { depth: -1 }", "limits.depth", "must be a whole number"),
        ("limits: { depth: 1.5 }", "limits.depth", "must be a whole number"),
        ("limits: { depth: 1_0 }", "limits.depth", "must be a whole number"),
        ("limits: { body: 1.5 }", "limits.body", "must be a string"),
        ("admin: [1]", "admin", "must be a word or a map"),
    ] {
        refuses(yaml, &[(path, message, 1)]);
    }
}

#[test]
fn what_is_not_built_says_so() {
    for (yaml, path, line) in [
        ("keys: { seal: x }", "keys.seal", 1),
        ("lock: {}", "lock", 1),
        ("state: { redis: \"rediss://x\" }", "state.redis", 1),
        ("state: { embedded: other.db }", "state.embedded", 1),
        (
            &upstream("stdio: { command: x, danger_unsandboxed: true, sandbox: { network: none } }"),
            "upstreams[0].stdio.sandbox",
            3,
        ),
    ] {
        refuses(yaml, &[(path, &format!("not built yet: {path}"), line)]);
    }
}

#[test]
fn judging_needs_no_secrets_of_upstreams() {
    let files = Files::new();
    let load = |yaml: &str| {
        files.write("portcullis.yaml", &with(yaml));
        (load(&files.path("portcullis.yaml")), load_to_judge(&files.path("portcullis.yaml")))
    };
    let credential = |value: &str| http(&format!("credential: {{ bearer: \"{value}\" }}"));
    for value in ["${env:PORTCULLIS_TEST_UNSET}", "x-${file:none}"] {
        let (serve, judge) = load(&credential(value));
        assert!(serve.is_err() && judge.is_ok(), "{value}: {judge:?}");
        // Anywhere else they decide what is judged, and for whom.
        let (serve, judge) = load(&format!("data_dir: \"{value}\""));
        assert!(serve.is_err() && judge.is_err(), "{value}");
    }
    // Where even so nothing can be made of it, what is missing is said, not what it led to.
    let (_, judge) = load("upstreams: [{ name: files, http: { url: \"${env:PORTCULLIS_TEST_UNSET}\" } }]");
    assert_eq!(judge.unwrap_err()[0].message, "the environment variable PORTCULLIS_TEST_UNSET is not set");
}

#[test]
fn references_must_lead_somewhere() {
    for (value, message) in [
        ("${env:UNSET}", "variable UNSET is not set"),
        ("${env:EMPTY}", "variable EMPTY is empty"),
        ("${env:BAD-NAME}", "neither"),
        ("${env:}", "neither"),
        ("${TOKEN}", "neither"),
        ("${file:}", "neither"),
        ("${env:TOKEN", "has no `}`"),
        ("${file:none}", "cannot be read"),
        ("${file:empty}", "is empty"),
        ("${file:big}", "more than 64 KiB"),
        ("${file:policies}", "not a regular file"),
        ("${env:TOKEN}${env:UNSET}", "not set"),
    ] {
        refuses(&format!("data_dir: \"{value}\""), &[("data_dir", message, 1)]);
        let yaml = http(&format!("credential: {{ bearer: \"{value}\" }}"));
        refuses(&yaml, &[("upstreams[0].credential.bearer", message, 4)]);
    }
    let files = Files::new();
    let config = files.load(&with("data_dir: \"a-${env:NEWLINE}-${file:secret}-$${x}-$y-$$\"")).unwrap();
    assert_eq!(config.data_dir, files.path(&format!("a-line-{SECRET}-${{x}}-$y-$$")));
    // Keys are never looked at.
    refuses("\"${env:UNSET}\": 1", &[("[\"${env:UNSET}\"]", "unknown key", 1)]);
}

#[test]
fn secrets_in_wrong_places_are_not_repeated() {
    for (yaml, path, line) in [
        (http(&format!("credential: {{ beerer: {SECRET} }}")), "", 0),
        (http(&format!("credential: {{ {SECRET} }}")), "", 0),
        (http(&format!("credential: {{ bearer: !{SECRET} }}")), "", 4),
        (http(&format!("credential: {{ bearer: *{SECRET} }}")), "", 4),
        (http(&format!("credential: {{ bearer: \"{SECRET} }}")), "", 0),
        (http("credential: { bearer: \"${env:TOKEN} x\" }"), "upstreams[0].credential.bearer", 4),
        (http(&format!("credential: {SECRET}")), "upstreams[0].credential", 4),
        (
            http(&format!("credential: {{ header: {{ name: X, value: \"{SECRET}\\n\" }} }}")),
            "upstreams[0].credential.header.value",
            4,
        ),
        (upstream("http: { url: \"https://u:${env:TOKEN}@x.example/\" }"), "upstreams[0].http.url", 3),
        (upstream(&format!("http: {{ url: \"https://u:{SECRET}@x.example/\" }}")), "upstreams[0].http.url", 3),
        (upstream(&format!("http: {{ url: \"ftp://x.example/?{SECRET}\" }}")), "upstreams[0].http.url", 3),
        (format!("identity: {{ api_keys: [{{ id: a, name: a, hash: {SECRET} }}] }}"), "identity.api_keys[0].hash", 1),
        (format!("state: {{ redis: \"rediss://{SECRET}@x\" }}"), "state.redis", 1),
        ("listen: \"${env:TOKEN}\"".to_owned(), "listen", 1),
    ] {
        let problems = Files::new().load(&with(&yaml)).unwrap_err();
        assert!(!format!("{problems:?}").contains(SECRET), "{problems:?}");
        if line > 0 {
            assert_eq!(problems.iter().map(|p| (p.path.as_str(), p.line)).collect::<Vec<_>>(), [(path, line)], "{yaml}");
        }
    }
}

#[test]
fn the_schema_knows_the_example_and_nothing_unbuilt() {
    let schema = schema();
    let properties = schema.get("properties").unwrap().as_object().unwrap();
    for (key, _) in BASE {
        assert!(properties.contains_key(key), "{key}");
    }
    assert!(!properties.contains_key("lock"));
    assert_eq!(schema.get("additionalProperties"), Some(&serde_json::Value::Bool(false)));
    assert!(schema.get("required").unwrap().as_array().unwrap().contains(&"tls".into()));
    assert!(!schema.to_string().contains("Unbuilt"));
}
