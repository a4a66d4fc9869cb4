//! Against librdkafka's own mock cluster, in this process; behind a relay where it has to be reached by TLS, or to lie.

#![expect(clippy::disallowed_methods, reason = "tests wait for what they spawn")]

use std::collections::BTreeSet;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::*;
use crate::audit::{LogId, Position};

#[cfg(feature = "kafka-tls")]
mod tls;

mod relay;

const TOPIC: &str = "audit";
const PARTITIONS: i32 = 4;
const WAIT: Duration = Duration::from_secs(30);

pub(super) type Mock = MockCluster<'static, DefaultProducerContext>;

pub(super) fn mock(brokers: i32) -> Mock {
    let mock = MockCluster::new(brokers).unwrap();
    mock.create_topic(TOPIC, PARTITIONS, brokers).unwrap();
    mock
}

pub(super) fn sink(brokers: &str) -> KafkaSink {
    KafkaSink {
        brokers: brokers.split(',').map(str::to_owned).collect(),
        topic: TOPIC.to_owned(),
        partition: None,
        format: SinkFormat::Json,
        lz4: false,
        tls: None,
        sasl: None,
        danger_plaintext: false,
    }
}

pub(super) fn stretch(log: LogId, first: u64, last: u64, pad: usize) -> Stretch {
    let line = |seq| format!("{{\"v\":1,\"seq\":{seq},\"kind\":\"outcome\",\"pad\":\"{}\"}}\n", "x".repeat(pad));
    let bytes = (first..=last).map(line).collect::<String>().into_bytes();
    Stretch { first, bytes, end: Position { seq: last, ..Position::start(log) }, skipped: 0 }
}

/// The messages of the topic, of which there are at least `count`: partition, key, and `seq`.
pub(super) fn messages(brokers: &str, count: usize) -> Vec<(i32, String, u64)> {
    let mut settings = ClientConfig::new();
    let consumer: BaseConsumer = settings.set("bootstrap.servers", brokers).set("group.id", "test").create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut found, mut quiet, until) = (Vec::new(), 0, Instant::now() + WAIT);
    // A little longer than for the last: there may be more than there should.
    while found.len() < count || quiet < 3 {
        assert!(Instant::now() < until, "{} of {count} messages", found.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let record: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                found.push((message.partition(), key, record["seq"].as_u64().unwrap()));
                quiet = 0;
            }
            Some(Err(_)) => {}
            None => quiet += 1,
        }
    }
    found
}

/// The numbers in the order in which a consumer meets them first: all of them, and how many came again.
fn in_order(found: &[(i32, String, u64)], last: u64) -> usize {
    let mut seen = 0;
    for (_, _, seq) in found {
        assert!(*seq <= seen + 1, "{seq} after {seen}");
        seen = seen.max(*seq);
    }
    assert_eq!(seen, last);
    found.len() - usize::try_from(last).unwrap()
}

#[tokio::test]
async fn one_log_is_one_partition_in_order() {
    let mock = mock(3);
    let brokers = mock.bootstrap_servers();
    let (one, two) = (LogId::random().unwrap(), LogId::random().unwrap());
    let way = Kafka::open(KafkaSink { lz4: true, ..sink(&brokers) }).unwrap();
    for first in [1, 1_001, 2_001] {
        way.send(&stretch(one, first, first + 999, 100)).await.unwrap();
    }
    way.close().await;
    let way = Kafka::open(KafkaSink { partition: Some(2), ..sink(&brokers) }).unwrap();
    way.send(&stretch(two, 1, 10, 0)).await.unwrap();
    let found = messages(&brokers, 3_010);
    let of = |log: LogId| found.iter().filter(|(_, key, _)| *key == log.to_string()).cloned().collect::<Vec<_>>();
    let partitions = |found: &[(i32, String, u64)]| found.iter().map(|(at, ..)| *at).collect::<BTreeSet<_>>();
    let (one, two) = (of(one), of(two));
    assert_eq!((in_order(&one, 3_000), in_order(&two, 10), found.len()), (0, 0, 3_010));
    assert_eq!((partitions(&one).len(), partitions(&two)), (1, BTreeSet::from([2])));
}

#[test]
fn the_reason_is_that_of_the_message_which_took_others_with_it() {
    use RDKafkaErrorCode::{Fail, MessageSizeTooLarge, PurgeInflight, PurgeQueue};
    for (reported, reason) in [
        (&[MessageSizeTooLarge, PurgeQueue][..], MessageSizeTooLarge),
        (&[PurgeQueue, PurgeInflight, MessageSizeTooLarge, PurgeQueue], MessageSizeTooLarge),
        (&[PurgeInflight, Fail, MessageSizeTooLarge], Fail),
        (&[PurgeQueue], PurgeQueue),
    ] {
        let mut count = client::Count::default();
        reported.iter().for_each(|code| count.refuse(*code));
        assert_eq!(count.refused, Some(reason), "{reported:?}");
        assert_eq!(client::follows(reason), reason == PurgeQueue);
    }
}

#[tokio::test]
async fn what_is_refused_in_the_middle_leaves_no_gap() {
    let mock = mock(1);
    let brokers = mock.bootstrap_servers();
    let way = Kafka::open(sink(&brokers)).unwrap();
    let log = LogId::random().unwrap();
    way.send(&stretch(log, 1, 10, 0)).await.unwrap();
    // The batch is several requests, of which the second is refused for good.
    use RDKafkaRespErr::{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE, RD_KAFKA_RESP_ERR_NO_ERROR as FINE};
    mock.request_errors(RDKafkaApiKey::Produce, &[FINE, TOO_LARGE]);
    let batch = stretch(log, 11, 1_010, 1_500);
    let refused = way.send(&batch).await.unwrap_err();
    assert!(refused.words.contains("refused"), "{refused:?}");
    assert_eq!(refused.too_much, TooMuch::Yes, "{refused:?}");
    mock.clear_request_errors(RDKafkaApiKey::Produce);
    way.send(&batch).await.unwrap();
    way.send(&stretch(log, 1_011, 1_020, 0)).await.unwrap();
    let again = in_order(&messages(&brokers, 1_020), 1_020);
    assert!((1..1_000).contains(&again), "what came before the one that was refused came twice: {again}");
}

#[tokio::test]
async fn brokers_that_are_down_are_said_to_be_and_taken_up_again() {
    let mock = mock(1);
    let brokers = mock.bootstrap_servers();
    let way = Kafka::open(sink(&brokers)).unwrap();
    let log = LogId::random().unwrap();
    way.send(&stretch(log, 1, 10, 0)).await.unwrap();
    mock.broker_down(-1).unwrap();
    let refused = way.send(&stretch(log, 11, 20, 0)).await.unwrap_err();
    assert!(refused.words.contains("Local: "), "{refused:?}");
    mock.broker_up(-1).unwrap();
    let until = Instant::now() + WAIT;
    while let Err(refused) = way.send(&stretch(log, 11, 20, 0)).await {
        assert!(Instant::now() < until, "{refused:?}");
    }
    assert_eq!(in_order(&messages(&brokers, 20), 20), 0);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_named() {
    let mock = mock(1);
    let way = Kafka::open(sink(&mock.bootstrap_servers())).unwrap();
    let refused = way.send(&stretch(LogId::random().unwrap(), 7, 7, 2_000_000)).await.unwrap_err();
    assert!(refused.words.starts_with("record 7 of 2000") && refused.words.contains("too large"), "{refused:?}");
}

#[tokio::test]
async fn a_topic_or_partition_that_is_not_there_is_an_error() {
    let mock = mock(1);
    let brokers = mock.bootstrap_servers();
    let way = Kafka::open(KafkaSink { partition: Some(PARTITIONS), ..sink(&brokers) }).unwrap();
    let log = LogId::random().unwrap();
    assert!(way.send(&stretch(log, 1, 1, 0)).await.unwrap_err().words.contains("Unknown partition"));
    mock.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let refused = Kafka::open(sink(&brokers)).unwrap().send(&stretch(log, 1, 1, 0)).await.unwrap_err();
    assert!(refused.words.contains("authorization"), "{refused:?}");
}

#[tokio::test]
async fn brokers_beyond_loopback_get_nothing_without_tls() {
    let mock = mock(1);
    let front = relay::Front { elsewhere: true, ..relay::Front::default() };
    let (brokers, produced) = relay::start(&mock, front).await;
    let log = LogId::random().unwrap();
    let refused = Kafka::open(sink(&brokers)).unwrap().send(&stretch(log, 1, 1, 0)).await.unwrap_err();
    assert!(refused.words.contains("more than loopback"), "{refused:?}");
    assert_eq!(produced.load(std::sync::atomic::Ordering::Relaxed), 0);
    // The same relay, telling the truth.
    let (brokers, produced) = relay::start(&mock, relay::Front::default()).await;
    Kafka::open(sink(&brokers)).unwrap().send(&stretch(log, 1, 1, 0)).await.unwrap();
    assert_eq!(produced.load(std::sync::atomic::Ordering::Relaxed), 1);
}
