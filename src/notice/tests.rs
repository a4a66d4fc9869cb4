use std::time::Duration;

use tokio::time::Instant;

use super::event::{Event, delivery_id};
use super::limits::NOTICE_QUEUE_MAX;
use super::queue::Queue;
use super::row::Delivery;
use super::webhook::signature;
use crate::approval::RequestId;

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
