use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::audit::chain;

fn key(dir: &tempfile::TempDir) -> CheckpointKey {
    CheckpointKey::open_or_make(&dir.path().join("keys/checkpoint.pem")).unwrap()
}

fn tree(leaves: u8) -> Frontier {
    let mut tree = Frontier::new();
    (0..leaves).for_each(|leaf| tree.push(Link::from_bytes([leaf; 32])));
    tree
}

fn made(key: &CheckpointKey, leaves: u8) -> Checkpoint {
    let log = LogId::from_hex(&[b'a'; 32]).unwrap();
    Checkpoint::sign(key, log, &tree(leaves), Link::from_bytes([7; 32]), "2026-11-22T03:34:09.123Z".to_owned())
}

fn line(checkpoint: &Checkpoint, tree: &Frontier) -> String {
    let mut out = format!(
        "{{\"v\":1,\"seq\":{},\"time\":\"{}\",\"kind\":\"checkpoint\",\"checkpoint\":",
        tree.size() + 1,
        checkpoint.statement.time
    );
    let mut bytes = std::mem::take(&mut out).into_bytes();
    checkpoint.push_member(tree, &mut bytes);
    chain::seal(&mut bytes, 0, checkpoint.statement.head);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_text_that_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let statement = made(&key(&dir), 0).statement;
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = format!(
        "portcullis-audit-checkpoint-v1\n{}\n0\n{empty}\n{}\n2026-11-22T03:34:09.123Z\n",
        "a".repeat(32),
        "07".repeat(32)
    );
    assert_eq!(statement.text(), expected);
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(&dir);
    for leaves in [0, 1, 2, 7, 8, 100] {
        let (checkpoint, tree) = (made(&key, leaves), tree(leaves));
        assert_eq!(Checkpoint::read(line(&checkpoint, &tree).as_bytes()), Some((checkpoint.clone(), tree)), "{leaves}");
        let mut exported = Vec::new();
        checkpoint.push_exported(&mut exported);
        let text = String::from_utf8(exported).unwrap();
        let members: Vec<&str> = text.split("\":").filter_map(|part| part.rsplit('"').next()).collect();
        assert_eq!(members[..7], ["log", "size", "root", "head", "time", "key", "sig"]);
        assert_eq!(Checkpoint::read_exported(text.as_bytes()), Some(checkpoint.clone()));
        assert_eq!(checkpoint.signature(&[key.public()]), Signature::Holds);
    }
}

#[test]
fn a_signature_is_over_every_member_and_by_the_key_that_is_named() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, other) = (key(&dir), self::key(&other));
    let good = made(&key, 5);
    let keys = [other.public(), key.public()];
    assert_eq!(good.signature(&keys), Signature::Holds);
    assert_eq!(good.signature(&[other.public()]), Signature::UnknownKey);
    let changes: [fn(&mut Checkpoint); 6] = [
        |c| c.statement.log = LogId::from_hex(&[b'b'; 32]).unwrap(),
        |c| c.statement.size += 1,
        |c| c.statement.root[31] ^= 1,
        |c| c.statement.head = Link::ZERO,
        |c| c.statement.time.push('1'),
        |c| c.signature[3] ^= 1,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(changed.signature(&keys), Signature::Wrong, "{at}");
    }
    let claimed = Checkpoint { key: other.id(), ..good };
    assert_eq!(claimed.signature(&keys), Signature::Wrong);
}

#[test]
fn what_is_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let text = line(&made(&key(&dir), 3), &tree(3));
    for (from, to) in [
        ("\"kind\":\"checkpoint\"", "\"kind\":\"outcome\""),
        ("\"size\":3", "\"size\":4"),
        ("\"size\":3", "\"size\":-3"),
        ("\"log\":\"aa", "\"log\":\"AA"),
        ("\"frontier\":[", "\"frontier\":[\"00\","),
        ("\"sig\":\"", "\"sig\":\"AAAA"),
        ("09.123Z", "09.123Z\\n1"),
        ("09.123Z", "09.123Z                      1"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(Checkpoint::read(text.replacen(from, to, 1).as_bytes()), None, "{to}");
    }
}

#[test]
fn keys_are_made_once_and_only_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/checkpoint.pem");
    let made = key(&dir);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key(&dir).public(), made.public());
    let shown = fs::read(path.with_extension("pub")).unwrap();
    assert_eq!(PublicKey::from_pem(&shown), Some(made.public()));
    assert_eq!(made.id().to_string().len(), 16);
    assert!(!format!("{made:?}").contains("PRIVATE"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = CheckpointKey::open_or_make(&path).unwrap_err().to_string();
    assert!(error.contains("accessible to others"), "{error}");
    // Another key in its place: what the old one signed stays verifiable.
    fs::remove_file(&path).unwrap();
    let second = key(&dir);
    assert_ne!(second.id(), made.id());
    let old = fs::read(dir.path().join(format!("keys/checkpoint-{}.pub", made.id()))).unwrap();
    assert_eq!(PublicKey::from_pem(&old), Some(made.public()));
    assert_eq!(PublicKey::from_pem(&fs::read(path.with_extension("pub")).unwrap()), Some(second.public()));
}

#[test]
fn other_files_are_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    for text in [String::new(), "hello".to_owned(), ec.serialize_pem(), ec.public_key_pem()] {
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        CheckpointKey::open_or_make(&path).unwrap_err();
        assert_eq!(PublicKey::from_pem(text.as_bytes()), None);
    }
}
