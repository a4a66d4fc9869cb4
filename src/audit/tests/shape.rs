//! What a record looks like, whatever is put in.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::vocab::limits::{AUDIT_ARGUMENTS_BYTES_MAX, AUDIT_LIST_ENTRIES_MAX};
use crate::vocab::{Class, Principal};

fn alice() -> Arc<Principal> {
    let claims = json!({"groups": ["eng", "sre"], "email": "CANARY@example.com", "act": {"sub": "agent", "token": "CANARY", "act": {"iss": "https://idp", "sub": "robot"}}});
    Arc::new(Principal {
        iss: "https://idp".into(),
        sub: "alice".into(),
        client_id: Some("https://agent".into()),
        scopes: vec!["mcp:read".into()],
        claims: claims.as_object().unwrap().clone(),
        ..Principal::anonymous()
    })
}

fn fill(draft: &mut Draft) {
    draft.set_rpc_id("\"a\\u0041\"");
    draft.trace_id = Some([0xab; 16]);
    draft.principal = Some(alice());
    draft.key = Some("k7Qm2".into());
    draft.route = Some("/mcp".into());
    draft.upstream = Some("files".into());
    draft.set_method("tools/call");
    draft.set_name("files__read");
    draft.class = Some(Class::Read);
    draft.definition = Some("sha256:00".into());
    draft.set_arguments(br#"{"path":"CANARY"}"#);
    draft.add_field("/path", "[ 1.50,\n \"a \\\" \u{9b}b\" ]");
    draft.decision = Some(DecisionNote {
        allowed: true,
        observed: false,
        reason: Reason::Allowed,
        rules: vec!["r1".into()],
        obligations: vec!["limit"],
        policy: "sha256:11".into(),
        shadow: None,
    });
    draft.outcome = Some(OutcomeNote::fault(FaultKind::Malformed));
    draft.http = Some(200);
    draft.upstream_us = Some(1_234);
    (draft.bytes_in, draft.bytes_out) = (10, 20);
}

#[test]
fn no_revealed_value_hides_its_record() {
    let bed = Bed::new();
    let audit = bed.open();
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    for raw in ["1e999", "{\"a\":[-1E+400]}", "1e999...", &deep(124), &deep(125), &deep(200), "\"1e999\"", "1e308"] {
        let mut slot = audit.reserve().unwrap();
        fill(slot.draft());
        slot.draft().add_field("/big", raw);
        drop(slot);
    }
    audit.close(PATIENCE).unwrap();
    let text = std::fs::read_to_string(bed.file()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("/big")).collect();
    let said: Vec<bool> = lines
        .iter()
        .map(|line| {
            let whole = serde_json::from_str::<serde_json::Value>(line);
            assert!(whole.is_ok(), "{whole:?}: {line}");
            Recorded::read(line).unwrap().fields().unwrap().any(|(pointer, _)| pointer == "/big")
        })
        .collect();
    assert_eq!(said, [false, false, true, true, false, false, true, true], "{text}");
}

#[test]
fn a_full_record_has_the_promised_shape_and_no_value_that_nobody_listed() {
    let bed = Bed::new();
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    fill(slot.draft());
    let id = slot.draft().id().to_string();
    slot.draft().intent = Some(wait(audit.intent(&slot.draft().clone(), soon())).unwrap());
    drop(slot);
    audit.close(PATIENCE).unwrap();
    let text = fs::read_to_string(bed.file()).unwrap();
    chained(&text);
    let digest = format!("hmac-sha256:{}", "0".repeat(64));
    let masked = |line: &str| {
        let mut line = line.to_owned();
        for (key, mask) in [("\"time\":\"", "T"), ("\"total_ms\":", "0"), ("\"digest\":\"", &digest)] {
            if let Some(at) = line.find(key) {
                let from = at + key.len();
                let to = from + line.get(from..).unwrap().find(['"', ',']).unwrap();
                line.replace_range(from..to, mask);
            }
        }
        line
    };
    let head = |seq: u64, kind: &str| {
        format!(
            r#"{{"v":1,"seq":{seq},"time":"T","id":"{id}","rpc_id":"aA","kind":"{kind}","trace_id":"{}","principal":{{"iss":"https://idp","sub":"alice","client_id":"https://agent","groups":["eng","sre"],"scopes":["mcp:read"],"key":"k7Qm2","actor":["agent","https://idp#robot"]}},"route":"/mcp","upstream":"files","method":"tools/call","name":"files__read","class":"read","definition":"sha256:00","args":{{"digest":"{digest}","fields":{{"/path":[1.50,"a \" \u009bb"]}}}},"decision":{{"effect":"allow","mode":"enforce","reason":"allowed","rules":["r1"],"obligations":["limit"],"policy":"sha256:11"}}"#,
            "ab".repeat(16)
        )
    };
    let outcome = r#","outcome":{"status":"faulted","reason":"upstream_unavailable","error_kind":"malformed","http":200,"upstream_ms":1.234,"total_ms":0,"bytes_in":10,"bytes_out":20},"intent":2"#;
    let lines: Vec<String> = text.lines().skip(1).take(2).map(masked).collect();
    let open = |line: &String| line.split(",\"prev\":\"").next().unwrap().to_owned();
    let opened: Vec<String> = lines.iter().map(open).collect();
    assert_eq!(opened, [head(2, "intent"), head(3, "outcome") + outcome]);
    assert!(!text.contains("CANARY"));
    // The schema names every member that records have.
    let schema = crate::audit::schema();
    for (pointer, at) in [
        ("", ""),
        ("/principal", "/properties/principal"),
        ("/args", "/properties/args"),
        ("/decision", "/properties/decision"),
        ("/outcome", "/properties/outcome"),
    ] {
        let properties = schema.pointer(&format!("{at}/properties")).unwrap();
        let record = &bed.records()[1];
        let members = record.pointer(pointer).unwrap().as_object().unwrap();
        assert!(members.keys().all(|key| properties.get(key).is_some()), "{pointer}: {members:?}");
    }
    let time = bed.records()[0]["time"].as_str().unwrap().to_owned();
    assert!(time.len() == "2026-07-28T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
}

#[test]
fn the_schema_names_what_only_some_records_have() {
    let bed = Bed::new();
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    fill(slot.draft());
    slot.draft().redacted = 2;
    let shadow = ShadowNote { allowed: false, reason: Reason::RuleDenied, rules: vec!["r2".into()] };
    let decision = slot.draft().decision.as_mut().unwrap();
    (decision.observed, decision.shadow) = (true, Some(Box::new(shadow)));
    drop(slot);
    audit.close(PATIENCE).unwrap();
    let (record, schema) = (bed.records().remove(0), crate::audit::schema());
    for (part, member) in [("decision", "shadow"), ("outcome", "redacted")] {
        assert!(record[part].get(member).is_some(), "{record}");
        assert!(schema.pointer(&format!("/properties/{part}/properties/{member}")).is_some(), "{part}.{member}");
    }
    let shadow = schema.pointer("/properties/decision/properties/shadow/properties").unwrap();
    let members = record["decision"]["shadow"].as_object().unwrap();
    assert!(members.len() == 3 && members.keys().all(|key| shadow.get(key).is_some()), "{members:?}");
    let modes = schema.pointer("/properties/decision/properties/mode/enum").unwrap();
    assert!(modes.as_array().unwrap().contains(&record["decision"]["mode"]));
}

#[test]
fn absent_parts_are_left_out() {
    let bed = Bed::new();
    let audit = bed.open();
    drop(audit.reserve().unwrap());
    audit.close(PATIENCE).unwrap();
    let record = bed.records().remove(0);
    let keys: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expect = ["v", "seq", "time", "id", "kind", "outcome", "prev", "hash"];
    expect.sort_unstable();
    let mut keys_sorted = keys.clone();
    keys_sorted.sort_unstable();
    assert_eq!(keys_sorted, expect);
    assert_eq!(record["outcome"]["status"], "cancelled");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_draft_is_one_line_of_json(
        texts in prop::collection::vec(".{0,20}|[\u{0}-\u{a0}\u{2000}-\u{2070}\u{e0000}-\u{e0080}\\\\\"{}]{0,40}|(ab\u{e9}\u{202e}){0,90}", 9),
        raw in ".{0,40}|[\\[\\]{}\",:0-9 \n\\\\a-z]{0,30}|\\[\\s*\"[^\"\\\\\u{0}-\u{1f}]{0,8}(\\\\\"|\\\\\\\\|\\\\u00ff){0,3}\"\\s*,\\s*1\\s*\\]",
        numbers in any::<(u64, u64, u64, u16)>(),
    ) {
        let digester = Arc::new(Digester::for_tests());
        let mut draft = Draft::new(crate::vocab::RecordId::mint(numbers.0), numbers.0, digester);
        let text = |at: usize| Arc::<str>::from(texts[at].as_str());
        draft.set_rpc_id(&texts[0]);
        draft.set_method(texts[1].clone());
        draft.set_name(text(2));
        draft.set_arguments(texts[3].as_bytes());
        draft.add_field(&texts[4], &raw);
        draft.principal = Some(Arc::new(Principal {
            iss: text(5),
            sub: text(6),
            claims: json!({"groups": [texts[7], texts[8]]}).as_object().unwrap().clone(),
            ..Principal::anonymous()
        }));
        draft.route = Some(text(7));
        draft.upstream = Some(text(8));
        draft.http = Some(numbers.3);
        draft.upstream_us = Some(numbers.1);
        draft.bytes_in = numbers.2;
        draft.finish(false);
        let mut out = Vec::new();
        record::write(&mut out, numbers.1, &draft);
        let link = chain::seal(&mut out, 0, Link::ZERO);
        prop_assert_eq!(chain::check(out.trim_ascii_end()), Ok(Sealed { seq: numbers.1, prev: Link::ZERO, hash: link }));
        prop_assert!(!record::is_checkpoint(&out));
        let line = std::str::from_utf8(&out)?;
        prop_assert!(line.ends_with('\n'));
        prop_assert!(!line.trim_end_matches('\n').chars().any(crate::telemetry::escape::is_unsafe), "{:?}", line);
        let value: Value = serde_json::from_str(line)?;
        prop_assert_eq!(&value["seq"], &json!(numbers.1));
        if texts[6].len() <= 256 {
            prop_assert_eq!(&value["principal"]["sub"], &json!(texts[6]));
        }
        if let (Ok(parsed), true) = (serde_json::from_str::<Value>(&raw), texts[4].len() <= 128) {
            prop_assert_eq!(&value["args"]["fields"][&texts[4]], &parsed);
        }
    }
}

#[test]
fn long_texts_are_cut_with_a_mark() {
    let bed = Bed::new();
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    let draft = slot.draft();
    draft.set_rpc_id(&"9".repeat(300));
    draft.set_method("é".repeat(200));
    draft.set_name("ü".repeat(5_000));
    draft.route = Some("r".repeat(1_000).into());
    draft.add_field("/a", &format!("\"{}\"", "x".repeat(10_000)));
    draft.set_arguments(&vec![b'1'; AUDIT_ARGUMENTS_BYTES_MAX + 1]);
    let rules = (0..AUDIT_LIST_ENTRIES_MAX + 5).map(|i| i.to_string().into()).collect();
    let note = DecisionNote {
        allowed: false,
        observed: true,
        reason: Reason::RuleDenied,
        rules,
        obligations: Vec::new(),
        policy: "p".into(),
        shadow: None,
    };
    draft.decision = Some(note);
    drop(slot);
    audit.close(PATIENCE).unwrap();
    let record = bed.records().remove(0);
    for (text, bytes_max) in [
        (&record["rpc_id"], 128),
        (&record["method"], 128),
        (&record["name"], 2_048),
        (&record["route"], 256),
        (&record["args"]["fields"]["/a"], 2_048),
    ] {
        let text = text.as_str().unwrap();
        assert!(text.len() <= bytes_max && text.len() > bytes_max - 4 && text.ends_with("...[cut]"), "{text}");
    }
    let rules = record["decision"]["rules"].as_array().unwrap();
    assert_eq!((rules.len(), rules.last().unwrap()), (AUDIT_LIST_ENTRIES_MAX + 1, &json!("...[cut]")));
    assert_eq!(record["decision"]["mode"], "observe");
    assert!(record["args"]["digest"].as_str().unwrap().starts_with("hmac-sha256:"));
}

#[test]
fn digests_are_keyed_equal_for_equal_values_and_last_over_restarts() {
    let digest_of = |bed: &Bed, value: &[u8]| {
        let audit = bed.open();
        let mut slot = audit.reserve().unwrap();
        slot.draft().set_arguments(value);
        drop(slot);
        audit.close(PATIENCE).unwrap();
        bed.records().pop().unwrap()["args"]["digest"].clone()
    };
    let (bed, other) = (Bed::new(), Bed::new());
    let long = vec![b'x'; AUDIT_ARGUMENTS_BYTES_MAX * 2];
    for value in [b"{}".as_slice(), &long] {
        assert_eq!(digest_of(&bed, value), digest_of(&bed, value));
        assert_ne!(digest_of(&bed, value), digest_of(&other, value));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bed.settings.digest_key), 0o600);
    assert_eq!(mode(bed.settings.digest_key.parent().unwrap()), 0o700);
    assert_eq!((mode(&bed.file()), mode(bed.file().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_key_that_others_can_read_or_that_is_short_is_refused() {
    for (bytes, mode) in [(32, 0o644), (31, 0o600), (33, 0o600), (0, 0o600)] {
        let bed = Bed::new();
        fs::create_dir_all(bed.settings.digest_key.parent().unwrap()).unwrap();
        fs::write(&bed.settings.digest_key, vec![7; bytes]).unwrap();
        fs::set_permissions(&bed.settings.digest_key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(Audit::open(&bed.settings, Clock::system()).is_err(), "{bytes} {mode:o}");
    }
}

#[test]
fn what_is_cut_is_looked_through_as_far_as_a_secret_may_reach() {
    let secret = format!("ghp_{}", "aB3".repeat(12));
    let key = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", "x".repeat(30_000));
    let filler = |bytes: usize| "x y".chars().cycle().take(bytes).collect::<String>();
    for (text, name, field) in [
        (secret.clone(), "[redacted: github-token]".to_owned(), "\"[redacted: github-token]\"".to_owned()),
        // Across the cut: nothing of it is left.
        (
            format!("{} {secret} {}", filler(2_020), filler(100)),
            format!("{} [redacted: github-t...[cut]", filler(2_020)),
            format!("\"{} [redacted: github-...[cut]", filler(2_020)),
        ),
        // What is longer than a secret is told by its beginning, and what follows is not looked for.
        (
            format!("a {key} b"),
            "a [redacted: private-key]...[cut]".to_owned(),
            "\"a [redacted: private-key]\"...[cut]".to_owned(),
        ),
        (format!("\n{}", filler(50_000)), format!("\n{}...[cut]", filler(2_039)), format!("\"\\n{}...[cut]", filler(2_037))),
    ] {
        let mut draft = Draft::new(crate::vocab::RecordId::mint(1), 1, Arc::new(Digester::for_tests()));
        draft.set_name(text.clone());
        assert_eq!(draft.name.as_deref(), Some(&*name));
        draft.set_unknown_name(&text);
        assert_eq!(draft.name.as_deref(), Some(&*name));
        draft.add_field("/a", &json!(text).to_string());
        assert_eq!(&*draft.fields[0].1, field);
    }
}

#[test]
fn a_name_that_nobody_knows_loses_what_looks_random() {
    let mut draft = Draft::new(crate::vocab::RecordId::mint(1), 1, Arc::new(Digester::for_tests()));
    let random = "up__V1StGXR8Z5jdHi6BmyT3q__get";
    draft.set_unknown_name(random);
    assert_eq!(draft.name.as_deref(), Some("up__[redacted: random]__get"));
    draft.set_name(random);
    assert_eq!(draft.name.as_deref(), Some(random));
}
