use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{Space, Store, StoreError};
use crate::vocab::Clock;
use crate::vocab::limits::{STORE_KEY_BYTES_MAX, STORE_VALUE_BYTES_MAX};

const SPACE: Space = Space::Code;

fn store() -> (TempDir, Clock, Store) {
    let (dir, clock) = (TempDir::new().unwrap(), Clock::system());
    let store = Store::open(&dir.path().join("state/store.db"), clock.clone()).unwrap();
    (dir, clock, store)
}

#[tokio::test]
async fn what_is_put_is_there_until_it_expires() {
    let (_dir, clock, store) = store();
    let now_s = clock.unix_s();
    store.put(SPACE, b"a", b"1", Some(now_s + 60)).await.unwrap();
    store.put(SPACE, b"b", b"2", None).await.unwrap();
    assert_eq!(store.get(SPACE, b"a").await.unwrap().unwrap(), b"1");
    assert_eq!(store.get(Space::Client, b"a").await.unwrap(), None, "another space");
    clock.advance_ms(61_000);
    assert_eq!(store.get(SPACE, b"a").await.unwrap(), None);
    assert_eq!(store.take(SPACE, b"a").await.unwrap(), None, "expired things cannot be taken");
    assert_eq!(store.get(SPACE, b"b").await.unwrap().unwrap(), b"2");
}

#[tokio::test]
async fn of_many_who_take_one_gets_it() {
    let (_dir, _, store) = store();
    store.put(SPACE, b"code", b"x", None).await.unwrap();
    let takes = (0..20).map(|_| store.take(SPACE, b"code"));
    let taken = futures_util::future::join_all(takes).await;
    assert_eq!(taken.into_iter().filter(|t| t.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn swap_changes_only_what_was_expected() {
    let (_dir, clock, store) = store();
    let soon = Some(clock.unix_s() + 10);
    assert!(!store.swap(SPACE, b"k", Some(b"old"), Some(b"new"), None).await.unwrap(), "nothing is there");
    assert!(store.swap(SPACE, b"k", None, Some(b"one"), soon).await.unwrap());
    assert!(!store.swap(SPACE, b"k", None, Some(b"two"), None).await.unwrap(), "something is there");
    assert!(!store.swap(SPACE, b"k", Some(b"two"), Some(b"three"), None).await.unwrap());
    assert!(store.swap(SPACE, b"k", Some(b"one"), Some(b"two"), soon).await.unwrap());
    clock.advance_ms(11_000);
    assert!(!store.swap(SPACE, b"k", Some(b"two"), None, None).await.unwrap(), "expired is not there");
    assert!(store.swap(SPACE, b"k", None, Some(b"again"), None).await.unwrap());
    assert!(store.swap(SPACE, b"k", Some(b"again"), None, None).await.unwrap());
    assert_eq!(store.get(SPACE, b"k").await.unwrap(), None);
}

#[tokio::test]
async fn a_space_that_is_full_takes_no_more_until_something_expires() {
    let (_dir, clock, store) = store();
    let soon = clock.unix_s() + 10;
    assert!(store.add(SPACE, b"a", b"", soon, 2).await.unwrap());
    assert!(!store.add(SPACE, b"a", b"again", soon, 2).await.unwrap(), "it is there");
    assert!(store.add(SPACE, b"b", b"", soon, 2).await.unwrap());
    assert!(!store.add(SPACE, b"c", b"", soon, 2).await.unwrap(), "full");
    assert!(store.add(Space::Client, b"c", b"", soon, 2).await.unwrap(), "another space");
    clock.advance_ms(11_000);
    assert!(store.add(SPACE, b"c", b"", soon + 20, 2).await.unwrap());
}

#[tokio::test]
async fn lists_go_by_prefix_and_no_further() {
    let (_dir, clock, store) = store();
    for key in [&b"a/1"[..], b"a/2", b"a/3", b"b", &[b'a', 0xff, 0xff], b"a"] {
        store.put(SPACE, key, b"v", None).await.unwrap();
    }
    store.put(SPACE, b"a/0", b"gone", Some(clock.unix_s())).await.unwrap();
    let keys = async |prefix: &[u8], limit| -> Vec<Vec<u8>> {
        store.list(SPACE, prefix, limit).await.unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(b"a/", 10).await, [b"a/1", b"a/2", b"a/3"]);
    assert_eq!(keys(b"a/", 2).await, [b"a/1", b"a/2"]);
    assert_eq!(keys(&[b'a', 0xff], 10).await, [vec![b'a', 0xff, 0xff]]);
    assert_eq!(keys(b"", 10).await.len(), 6);
    assert!(keys(b"zz", 10).await.is_empty());
}

#[tokio::test]
async fn pages_go_through_all_of_a_space_once() {
    let (_dir, _, store) = store();
    let keys: Vec<Vec<u8>> = [&b""[..], b"a", b"ab", b"b", &[0xff, 0xff]].map(<[u8]>::to_vec).to_vec();
    for key in &keys {
        store.put(SPACE, key, b"v", None).await.unwrap();
    }
    store.put(Space::Client, b"a", b"v", None).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), Vec::new());
    loop {
        let page = store.list_after(SPACE, &after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last().cloned() else { break };
        seen.extend(page.into_iter().map(|(key, _)| key));
        after = last;
    }
    assert_eq!(seen, keys[1..], "nothing comes before the empty key");
}

#[tokio::test]
async fn limits_are_limits() {
    let (_dir, _, store) = store();
    assert_eq!(store.put(SPACE, &vec![0; STORE_KEY_BYTES_MAX + 1], b"", None).await, Err(StoreError::TooLarge));
    assert_eq!(store.put(SPACE, b"k", &vec![0; STORE_VALUE_BYTES_MAX + 1], None).await, Err(StoreError::TooLarge));
    store.put(SPACE, &vec![0; STORE_KEY_BYTES_MAX], &vec![0; STORE_VALUE_BYTES_MAX], None).await.unwrap();
}

#[tokio::test]
async fn the_file_is_ours_alone_and_outlives_its_handles() {
    let (dir, clock, store) = store();
    let path = dir.path().join("state/store.db");
    store.put(SPACE, b"k", b"kept", None).await.unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(dir.path().join("state").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    drop(store);
    let again = Store::open(&path, clock.clone()).unwrap();
    assert_eq!(again.get(SPACE, b"k").await.unwrap().unwrap(), b"kept");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Store::open(&path, clock.clone()), Err(StoreError::Failed(why)) if why.contains("chmod 600")));
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, vec![7; 5_000]).unwrap();
    std::fs::set_permissions(&garbage, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Store::open(&garbage, clock), Err(StoreError::Failed(_))));
}
