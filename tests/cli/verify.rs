//! `audit verify`, `prove` and `key`.

use super::*;

#[test]
fn a_log_is_verified_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    // Chained, with checkpoints that nobody signed.
    let sound = include_bytes!("../../fuzz/corpus/audit_reader/seed-sound");
    let log = dir.path().join("audit/audit.jsonl");
    fs::create_dir(dir.path().join("audit")).unwrap();
    fs::write(&log, sound).unwrap();
    let path = dir.path().join("audit").display().to_string();
    let ran = portcullis(&["audit", "verify", &path]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for said in ["sound: 8 records, 1 to 8", "covered: up to record 6", "signatures: NOT checked", "none given (--checkpoints)"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("MB/s"));
    let proof = portcullis(&["audit", "prove", "r3", &path]);
    assert_eq!(proof.code, 0, "{}", proof.stderr);
    let file = dir.path().join("proof.json").display().to_string();
    fs::write(&file, &proof.stdout).unwrap();
    // A key, but not the one that the checkpoints name: theirs is all zeros.
    let key = dir.path().join("key.pem").display().to_string();
    let pem = some_public_key();
    fs::write(&key, pem).unwrap();
    let checked = portcullis(&["audit", "check-proof", &file, "--key", &key]);
    assert_eq!((checked.code, checked.stdout.contains("does NOT hold")), (1, true), "{}", checked.stdout);
    let bad = portcullis(&["audit", "verify", &path, "--key", &key, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&bad.stdout).unwrap();
    assert_eq!((bad.code, &report["first_bad"]["kind"]), (1, &"rechained".into()));
    fs::write(&log, String::from_utf8_lossy(sound).replace("\"r5\"", "\"r6\"")).unwrap();
    let altered = portcullis(&["audit", "verify", &path]);
    assert_eq!((altered.code, altered.stdout.contains("BROKEN altered: audit.jsonl:5 (byte ")), (1, true), "{}", altered.stdout);
    for args in [
        vec!["audit", "verify", "/nonexistent"],
        vec!["audit", "verify", &path, "--key", &path],
        vec!["audit", "check-proof", &file],
        vec!["audit", "prove", "1", "/nonexistent"],
    ] {
        assert_eq!(portcullis(&args).code, 2, "{args:?}");
    }
    assert_eq!(portcullis(&["audit", "prove", "99", &path]).code, 1);
}

/// The public key of RFC 8032 section 7.1, test 1.
fn some_public_key() -> &'static str {
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
}
