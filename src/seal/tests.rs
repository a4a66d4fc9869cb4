use super::*;
use proptest::prelude::*;

fn key(sub: &str) -> PrincipalKey {
    PrincipalKey { iss: "https://idp".into(), sub: sub.into() }
}

fn binding<'a>(principal: &'a PrincipalKey, purpose: Purpose, route: &'a str) -> Binding<'a> {
    Binding { purpose, principal, route, context: b"" }
}

#[test]
fn opens_only_for_the_same_party_place_purpose_and_time() {
    let sealer = Sealer::with_key(&[7; 32]).unwrap();
    let (alice, bob) = (key("alice"), key("bob"));
    let own = binding(&alice, Purpose::Session, "/mcp");
    let text = sealer.seal(own, b"payload", 100).unwrap();
    assert_eq!(sealer.open_text(own, &text, 99).unwrap(), b"payload");
    let refused = [
        (binding(&bob, Purpose::Session, "/mcp"), 99),
        (binding(&alice, Purpose::Cursor, "/mcp"), 99),
        (binding(&alice, Purpose::Session, "/other"), 99),
        (Binding { context: b"x", ..own }, 99),
        (own, 100),
    ];
    for (other, now) in refused {
        assert_eq!(sealer.open_text(other, &text, now), Err(Unsealed), "{other:?} at {now}");
    }
    let stranger = Sealer::with_key(&[8; 32]).unwrap();
    assert_eq!(stranger.open_text(own, &text, 99), Err(Unsealed));
}

proptest! {
    #[test]
    fn every_changed_character_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), c in "[A-Za-z0-9_-]") {
        let sealer = Sealer::with_key(&[7; 32]).unwrap();
        let alice = key("alice");
        let own = binding(&alice, Purpose::Cursor, "/mcp");
        let text = sealer.seal(own, &payload, 100).unwrap();
        let at = at.index(text.len());
        let mut forged = text.clone();
        forged.replace_range(at..at + 1, &c);
        prop_assume!(forged != text);
        prop_assert_eq!(sealer.open_text(own, &forged, 1), Err(Unsealed));
    }
}

#[test]
fn a_key_file_is_made_once_and_guarded() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/seal");
    // What a start that was cut off left behind; in a container every process has the same number.
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    for name in ["seal.0000000000000000.draft".to_owned(), format!("seal.new-{}", std::process::id())] {
        std::fs::write(dir.path().join("keys").join(name), [1; 7]).unwrap();
    }
    let first = load_or_create(&path).unwrap();
    assert_eq!(load_or_create(&path).unwrap(), first);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load_or_create(&path).is_err());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, [1; 31]).unwrap();
    assert!(load_or_create(&path).is_err());
}
