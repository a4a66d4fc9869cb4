use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use super::event::{Event, delivery_id};
use super::kept::Kept;
use super::limits::{NOTICE_QUEUE_MAX, NOTICE_ROWS_MAX};
use super::queue::Queue;
use super::row::{Begun, Delivery, Outcome};
use super::signed::signature;
use crate::approval::RequestId;
use crate::store::Store;
use crate::vocab::Clock;

fn request(number: u8) -> RequestId {
    RequestId::parse(&format!(
        "apr_{}AAAAAAAAAAAAAAAAAAAA",
        char::from(b'A' + number % 26).to_string() + &char::from(b'A' + number / 26).to_string()
    ))
    .unwrap()
}

fn delivery(request: RequestId, event: Event) -> Delivery {
    Delivery::new("ops", request, event, 0, 0)
}

#[test]
fn a_signature_is_what_others_compute() {
    // printf '1800000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
    let secret = "0123456789abcdef".to_owned().into();
    let wanted = "t=1800000000,v1=1313ae9c874eb1a0868ad0b65f841c4243c23fdcfad69a3ada227726fad9960e";
    assert_eq!(signature(&secret, 1_800_000_000, b"{}"), wanted);
    assert_ne!(signature(&secret, 1_800_000_001, b"{}").split(',').nth(1), wanted.split(',').nth(1), "the time is signed");
}

#[test]
fn an_id_is_of_one_channel_request_and_event() {
    let id = delivery_id("ops", &request(0), Event::Requested);
    assert_eq!(id, delivery_id("ops", &request(0), Event::Requested));
    let others = [("opt", 0, Event::Requested), ("ops", 1, Event::Requested), ("ops", 0, Event::Denied)];
    assert!(others.into_iter().all(|(channel, number, event)| delivery_id(channel, &request(number), event) != id));
}

#[tokio::test]
async fn a_request_keeps_its_order_and_holds_up_no_other() {
    let mut queue = Queue::default();
    for (number, event) in [(0, Event::Requested), (0, Event::Denied), (1, Event::Requested)] {
        queue.push(delivery(request(number), event)).unwrap();
    }
    let first = queue.take(Instant::now()).unwrap();
    assert_eq!((first.request.clone(), first.event), (request(0), Event::Requested));
    assert_eq!(queue.take(Instant::now()).map(|one| one.request), Some(request(1)), "another request goes on meanwhile");
    assert_eq!(queue.take(Instant::now()), None, "the end waits for the beginning");
    let paused = Instant::now();
    queue.again(first, Duration::from_secs(9));
    assert_eq!(queue.take(paused + Duration::from_secs(8)), None);
    let due = queue.next().unwrap();
    assert!(due >= paused + Duration::from_secs(9));
    assert_eq!(queue.take(due).map(|one| one.event), Some(Event::Requested));
    queue.done(&request(0));
    assert_eq!(queue.take(Instant::now()).map(|one| one.event), Some(Event::Denied));
    queue.done(&request(0));
    queue.done(&request(1));
    assert_eq!((queue.next(), queue.take(Instant::now())), (None, None));
}

#[tokio::test]
async fn a_queue_is_bounded() {
    let mut queue = Queue::default();
    for _ in 0..NOTICE_QUEUE_MAX {
        queue.push(delivery(request(0), Event::Requested)).unwrap();
    }
    assert!(queue.push(delivery(request(1), Event::Requested)).is_err());
    queue.take(Instant::now()).unwrap();
    queue.done(&request(0));
    queue.push(delivery(request(1), Event::Requested)).unwrap();
}

fn numbered(number: u64) -> RequestId {
    let id = URL_SAFE_NO_PAD.encode(u128::from(number).to_be_bytes());
    RequestId::parse(&format!("apr_{id}")).unwrap()
}

#[tokio::test]
async fn everything_that_waits_is_read_however_much_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store.db"), Clock::system()).unwrap();
    let kept_until_s = Clock::system().unix_s() + 1_000;
    let count = u64::from(NOTICE_ROWS_MAX) + 50;
    for made_ms in 0..count {
        // The last is the only one that was delivered, and the only one of another channel beside it.
        let channel = if made_ms == count - 2 { "other" } else { "ops" };
        let mut one = Delivery::new(channel, numbered(made_ms), Event::Requested, made_ms, kept_until_s);
        if made_ms == count - 1 {
            one.outcome = Outcome::Delivered;
        }
        assert_eq!(one.begin(&store, count).await, Ok(Begun::Now));
        assert_eq!(one.begin(&store, count).await, Ok(Begun::Known));
    }
    let over = Delivery::new("ops", numbered(count), Event::Requested, 0, kept_until_s);
    assert_eq!(over.begin(&store, count).await, Ok(Begun::NoRoom));
    let kept = Kept::read(&store, |delivery| &*delivery.channel == "ops").await.unwrap();
    let order: Vec<u64> = kept.waiting.iter().map(|delivery| delivery.made_unix_ms).collect();
    assert_eq!(order, (0..count - 2).collect::<Vec<_>>(), "all of them, in the order in which they were made");
    assert_eq!(kept.done.iter().map(|delivery| delivery.made_unix_ms).collect::<Vec<_>>(), [count - 1]);
}
