use serde_json::Value;

use super::forge::{self, key, log};
use super::{ONE, Unproven, Which, check_proof, prove};
use crate::audit::verify::NoProof;

#[test]
fn every_record_that_is_covered_can_be_proven() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 60, 7);
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl.gz", 30), ("audit.jsonl", 30)]);
    for seq in 1..=60_u64 {
        let proof = prove(&path, &Which::Seq(seq), &[log.public]);
        if seq == 60 {
            assert!(matches!(proof, Err(NoProof::NotCovered)), "the last checkpoint covers what is before it");
            continue;
        }
        let text = serde_json::to_vec(&proof.unwrap()).unwrap();
        let proven = check_proof(&text, &[log.public]).unwrap();
        assert_eq!(proven.seq, seq);
        assert!(proven.checkpoint.statement.size >= seq);
        assert_eq!(check_proof(&text, &[]), Err(Unproven::UnknownKey));
        assert_eq!(check_proof(&text, &[key(&dir.path().join("own")).public()]), Err(Unproven::UnknownKey));
    }
    assert_eq!(prove(&path, &Which::Id("r33".to_owned()), &[]).unwrap().index, 32);
    for none in [Which::Seq(0), Which::Seq(61), Which::Id("r3".to_owned() + "3x"), Which::Id(String::new())] {
        assert!(matches!(prove(&path, &none, &[]), Err(NoProof::NoRecord)), "{none:?}");
    }
}

#[test]
fn a_proof_that_was_changed_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 60, 7);
    let (path, _) = log.write(dir.path(), ONE);
    let good = serde_json::to_value(prove(&path, &Which::Seq(33), &[]).unwrap()).unwrap();
    let other = serde_json::to_value(prove(&path, &Which::Seq(34), &[]).unwrap()).unwrap();
    let zero = Value::from("0".repeat(64));
    let changes: [(&str, Value, Unproven); 13] = [
        ("/proof", "portcullis-audit-proof-v2".into(), Unproven::Form),
        ("/record", other["record"].clone(), Unproven::Place),
        ("/record", good["record"].as_str().unwrap().replace("alice", "malice").into(), Unproven::Record),
        ("/record", format!("{}\n", good["record"].as_str().unwrap()).into(), Unproven::Form),
        ("/index", 33.into(), Unproven::Place),
        ("/size", 99.into(), Unproven::Path),
        ("/path/0", zero.clone(), Unproven::Path),
        ("/path/2", "00".into(), Unproven::Form),
        ("/path", other["path"].clone(), Unproven::Path),
        ("/checkpoint/size", 99.into(), Unproven::Signature),
        ("/checkpoint/root", zero, Unproven::Signature),
        ("/checkpoint/sig", "A".repeat(86).into(), Unproven::Signature),
        ("/checkpoint/key", "0".repeat(16).into(), Unproven::UnknownKey),
    ];
    for (pointer, value, why) in changes {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let text = serde_json::to_vec(&changed).unwrap();
        assert_eq!(check_proof(&text, &[log.public]), Err(why), "{pointer}");
    }
    assert_eq!(check_proof(b"\0", &[log.public]), Err(Unproven::Form));
}

#[test]
fn nothing_is_proven_of_a_broken_log_nor_before_its_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let good = log(&key(dir.path()), 60, 7);
    let mut changed = good.clone();
    forge::rechain(&mut changed, 30, None, true);
    let (path, _) = changed.write(dir.path(), ONE);
    assert!(prove(&path, &Which::Seq(20), &[good.public]).is_ok(), "before the change");
    assert!(matches!(prove(&path, &Which::Seq(31), &[good.public]), Err(NoProof::Broken)));
    let mut later = good.clone();
    later.lines.drain(..10);
    let (path, _) = later.write(dir.path(), ONE);
    assert!(matches!(prove(&path, &Which::Seq(12), &[good.public]), Err(NoProof::NotAnchored)));
    let text = serde_json::to_vec(&prove(&path, &Which::Seq(25), &[good.public]).unwrap()).unwrap();
    assert_eq!(check_proof(&text, &[good.public]).unwrap().seq, 25);
}
