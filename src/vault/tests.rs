use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use tempfile::TempDir;

use super::*;
use crate::vocab::Clock;

fn person(n: usize) -> PrincipalKey {
    PrincipalKey { iss: "https://idp.example.com".into(), sub: format!("user-{n}").into() }
}

fn key(n: usize, upstream: &str) -> VaultKey {
    let (issuer, client_id) = ("https://as.example.com".into(), "gateway".into());
    VaultKey { principal: person(n), upstream: upstream.into(), issuer, client_id }
}

fn account(token: &str) -> Account {
    let tokens = Tokens {
        access: format!("access-{token}").into(),
        refresh: Some(format!("refresh-{token}").into()),
        expires_at_s: Some(7),
        scopes: vec!["a".to_owned()],
    };
    Account {
        tokens,
        resource: "https://up.example.com/mcp".into(),
        serial: 9,
        linked_at_s: 5,
        asked: Vec::new(),
        wanted: Vec::new(),
    }
}

fn ring(newest: u8, older: &[u8]) -> Ring {
    let older: Vec<_> = older.iter().map(|byte| Zeroizing::new([*byte; 32])).collect();
    Ring::new(&Zeroizing::new([newest; 32]), &older).unwrap()
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("state.db"), Clock::system()).unwrap();
    (dir, store)
}

async fn access(vault: &Vault, who: &PrincipalKey, upstream: &str) -> Option<String> {
    let held = vault.tokens(who, upstream).await.unwrap();
    held.map(|held| held.account.tokens.access.expose_secret().to_owned())
}

#[tokio::test]
async fn each_of_twenty_people_has_their_own_and_no_other() {
    let (_dir, store) = store();
    let vault = Vault::new(store.clone(), ring(1, &[]));
    for n in 0..20 {
        vault.link(&key(n, "github"), &account(&n.to_string())).await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(access(&vault, &person(n), "github").await, Some(format!("access-{n}")));
        assert_eq!(access(&vault, &person(n), "git").await, None, "a name that another begins with");
    }
    // Whoever can write to the file still cannot give one person's tokens to another: all pairs.
    for thief in 0..20 {
        for victim in (0..20).filter(|victim| *victim != thief) {
            let stolen = store.get(Space::Vault, &entry::store_key(&key(victim, "github"))).await.unwrap().unwrap();
            let own = entry::store_key(&key(thief, "github"));
            let before = store.get(Space::Vault, &own).await.unwrap().unwrap();
            store.put(Space::Vault, &own, &stolen, None).await.unwrap();
            assert_eq!(access(&vault, &person(thief), "github").await, None, "{thief} with the entry of {victim}");
            store.put(Space::Vault, &own, &before, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_entry_opens_under_its_whole_key_only() {
    let (_dir, store) = store();
    let vault = Vault::new(store.clone(), ring(1, &[]));
    let own = key(1, "github");
    vault.link(&own, &account("x")).await.unwrap();
    let value = store.get(Space::Vault, &entry::store_key(&own)).await.unwrap().unwrap();
    let Parts { closed, .. } = entry::split(&value).unwrap();
    let changed = [
        VaultKey { principal: person(2), ..own.clone() },
        VaultKey { principal: PrincipalKey { iss: "https://idp.example.co".into(), sub: "muser-1".into() }, ..own.clone() },
        VaultKey { upstream: "gitlab".into(), ..own.clone() },
        VaultKey { issuer: "https://as.example.com/".into(), ..own.clone() },
        VaultKey { client_id: "gateway2".into(), ..own.clone() },
    ];
    for other in changed {
        let copied = entry::join(&other.issuer, &other.client_id, closed).unwrap();
        store.put(Space::Vault, &entry::store_key(&other), &copied, None).await.unwrap();
        store.put(Space::Vault, &entry::store_key(&own), b"", None).await.unwrap();
        assert_eq!(access(&vault, &other.principal, &other.upstream).await, None, "{other:?}");
        store.remove(Space::Vault, &entry::store_key(&other)).await.unwrap();
    }
    store.put(Space::Vault, &entry::store_key(&own), &value, None).await.unwrap();
    assert_eq!(access(&vault, &person(1), "github").await.unwrap(), "access-x");
}

#[tokio::test]
async fn nothing_secret_or_personal_is_in_the_store() {
    let (dir, store) = store();
    let vault = Vault::new(store.clone(), ring(1, &[]));
    vault.link(&key(1, "github"), &account("canary")).await.unwrap();
    assert!(!format!("{:?}", vault.tokens(&person(1), "github").await.unwrap().unwrap()).contains("canary"));
    let mut read = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += usize::from(bytes.windows(7).any(|window| window == b".github"));
        for word in [&b"canary"[..], b"user-1", b"idp.example.com"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word));
        }
    }
    assert!(read > 0, "the entry is in one of the files");
}

#[tokio::test]
async fn keys_rotate_and_entries_are_encrypted_anew_when_they_are_read() {
    let (_dir, store) = store();
    Vault::new(store.clone(), ring(1, &[])).link(&key(1, "github"), &account("x")).await.unwrap();
    let alone = Vault::new(store.clone(), ring(2, &[]));
    assert_eq!(access(&alone, &person(1), "github").await, None, "its key was taken away");
    let both = Vault::new(store.clone(), ring(2, &[1]));
    let held = both.tokens(&person(1), "github").await.unwrap().unwrap();
    assert_eq!(access(&alone, &person(1), "github").await.unwrap(), "access-x");
    assert!(both.replace(&held, &account("y")).await.unwrap(), "what was read and encrypted anew can be replaced");
}

#[tokio::test]
async fn of_two_who_replace_one_does() {
    let (_dir, store) = store();
    let vault = Vault::new(store, ring(1, &[]));
    vault.link(&key(1, "github"), &account("x")).await.unwrap();
    let held = vault.tokens(&person(1), "github").await.unwrap().unwrap();
    assert!(vault.replace(&held, &account("y")).await.unwrap());
    assert!(!vault.replace(&held, &account("z")).await.unwrap());
    assert!(!vault.drop_seen(&held).await.unwrap(), "what somebody renewed is not dropped");
    assert_eq!(access(&vault, &person(1), "github").await.unwrap(), "access-y");
    let held = vault.tokens(&person(1), "github").await.unwrap().unwrap();
    assert!(vault.drop_seen(&held).await.unwrap());
    assert!(!vault.replace(&held, &account("z")).await.unwrap(), "what was unlinked does not come back");
    assert_eq!(access(&vault, &person(1), "github").await, None);
}

#[tokio::test]
async fn a_person_has_one_account_at_an_upstream_and_takes_all_along() {
    let (_dir, store) = store();
    let vault = Vault::new(store, ring(1, &[]));
    vault.link(&key(1, "github"), &account("old")).await.unwrap();
    let moved = VaultKey { issuer: "https://other.example.com".into(), ..key(1, "github") };
    vault.link(&moved, &account("new")).await.unwrap();
    vault.link(&key(1, "files"), &account("files")).await.unwrap();
    vault.link(&key(2, "files"), &account("other")).await.unwrap();
    let names = |held: Vec<Held>| held.into_iter().map(|held| held.key.upstream.to_string()).collect::<Vec<_>>();
    assert_eq!(names(vault.list(&person(1)).await.unwrap()), ["files", "github"]);
    assert_eq!(access(&vault, &person(1), "github").await.unwrap(), "access-new");
    let gone = vault.unlink(&moved).await.unwrap().unwrap();
    assert_eq!(gone.account.tokens.refresh.unwrap().expose_secret(), "refresh-new");
    assert!(vault.unlink(&moved).await.unwrap().is_none());
    vault.link(&key(1, "github"), &account("again")).await.unwrap();
    assert_eq!(names(vault.unlink_all(&person(1)).await.unwrap()).len(), 2);
    assert!(vault.list(&person(1)).await.unwrap().is_empty());
    assert_eq!(access(&vault, &person(2), "files").await.unwrap(), "access-other");
}

#[test]
fn what_is_the_gateways_own_opens_by_its_name_only() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("state.db"), Clock::system()).unwrap();
    let vault = Vault::new(store, ring(1, &[]));
    let closed = vault.close_own("registration", "https://as.example.com", b"secret").unwrap();
    assert_eq!(vault.open_own("registration", "https://as.example.com", &closed).unwrap().as_slice(), b"secret");
    assert!(vault.open_own("registration", "https://other.example.com", &closed).is_err());
    assert!(vault.open_own("other", "https://as.example.com", &closed).is_err());
}
