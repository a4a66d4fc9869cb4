use std::time::Duration;

use serde_json::{Map, Value};

use super::{Signer, SignerSettings, SigningAlgorithm};
use crate::vocab::Clock;

fn open(dir: &std::path::Path, algorithm: SigningAlgorithm, clock: &Clock) -> Signer {
    let settings = SignerSettings {
        dir: dir.join("keys"),
        algorithm,
        rotate_every: Duration::from_secs(1_000),
        signed_for: Duration::from_secs(600),
    };
    Signer::open(settings, clock.clone()).unwrap()
}

fn kids(signer: &Signer) -> Vec<String> {
    let document: Value = serde_json::from_slice(&signer.document().load()).unwrap();
    document["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_rotate_and_stay_published_while_something_depends_on_them() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let signer = open(dir.path(), algorithm, &clock);
        let first = kids(&signer);
        assert_eq!(first.len(), 1);
        assert!(!signer.rotate().unwrap());
        clock.advance_ms(1_001_000);
        assert!(signer.rotate().unwrap());
        let both = kids(&signer);
        assert_eq!((both.len(), &both[1]), (2, &first[0]));
        // What was signed last by the first key holds for 600 s, and clocks differ.
        clock.advance_ms(890_000);
        assert!(!signer.rotate().unwrap());
        clock.advance_ms(20_000);
        assert!(signer.rotate().unwrap());
        assert_eq!(kids(&signer), both[..1]);
        let again = open(dir.path(), algorithm, &clock);
        assert_eq!(kids(&again), both[..1], "keys outlive the process");
        let files = std::fs::read_dir(dir.path().join("keys")).unwrap().count();
        assert_eq!(files, 1);
    }
}

#[test]
fn another_algorithm_means_another_key() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let first = kids(&open(dir.path(), SigningAlgorithm::Es256, &clock));
    let signer = open(dir.path(), SigningAlgorithm::EdDsa, &clock);
    assert_eq!((kids(&signer).len(), &kids(&signer)[1]), (2, &first[0]));
    let token = signer.sign("at+jwt", &Map::new()).unwrap();
    assert_eq!(token.split('.').count(), 3);
    assert!(!format!("{signer:?}").contains("Pair"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    drop(open(dir.path(), SigningAlgorithm::Es256, &clock));
    let file = std::fs::read_dir(dir.path().join("keys")).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(super::key::read_all(&dir.path().join("keys")).is_err_and(|e| e.to_string().contains("chmod 600")));
}
