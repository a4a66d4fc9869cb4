//! Records go to Kafka: the cluster is librdkafka's own mock, in this process. Its brokers go down, refuse, and lose answers.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::log::{Log, chained};
use super::sinks::{Taken, sinks};
use super::{Came, came, write};
use crate::gate::Gate;

const TOPIC: &str = "audit";
const PARTITIONS: i32 = 3;

fn mock() -> MockCluster<'static, DefaultProducerContext> {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    mock
}

/// Reads the topic from its beginning on.
struct Reader {
    consumer: BaseConsumer,
    taken: Mutex<Taken>,
    keys: Mutex<std::collections::BTreeSet<(i32, Vec<u8>)>>,
}

impl Reader {
    fn of(brokers: &str) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", brokers).set("group.id", "test").set("reconnect.backoff.max.ms", "500");
        let consumer: BaseConsumer = settings.create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        Self { consumer, taken: Mutex::default(), keys: Mutex::default() }
    }

    /// The number of the last record that is there.
    fn last(&self) -> u64 {
        while let Some(came) = self.consumer.poll(Duration::from_millis(20)) {
            // Brokers that are down are told of here too.
            let Ok(message) = came else { continue };
            self.taken.lock().take(std::str::from_utf8(message.payload().unwrap()).unwrap());
            self.keys.lock().insert((message.partition(), message.key().unwrap().to_vec()));
        }
        self.taken.lock().last()
    }
}

/// Waits until `done`, or fails. A batch that nobody takes is given up after half a minute only, and then tried again.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kafka(brokers: &str) -> String {
    format!("{{ kafka: {{ brokers: [\"{brokers}\"], topic: {TOPIC}, compress: lz4 }} }}")
}

fn last_written(gate: &Gate) -> u64 {
    gate.records().last().unwrap()["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_brokers_do_everything_is_there_in_order_and_no_call_waits() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR__TRANSPORT as HANGS_UP, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as TOO_FEW,
    };
    let mock = mock();
    let brokers = mock.bootstrap_servers();
    let mut gate = Gate::program(|files| sinks(files, &kafka(&brokers), "")).await;
    let reader = Reader::of(&brokers);
    let token = gate.token("alice", &["eng"]);
    let mut n = 0;
    let mut some = async |count: u64| {
        for _ in 0..count {
            assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_000)).await), Came::Done);
            n += 1;
        }
    };
    some(20).await;
    eventually("it takes records", || reader.last() > 20).await;
    mock.broker_down(-1).unwrap();
    some(200).await;
    eventually("it fails", || gate.log().contains("does not take records")).await;
    some(20).await;
    assert_eq!(gate.admin("/readyz").await.status, 200);
    // The first requests of the backlog fail each in its own way.
    mock.request_errors(RDKafkaApiKey::Produce, &[HANGS_UP, TOO_FEW, TOO_LARGE, HANGS_UP]);
    mock.broker_up(-1).unwrap();
    let written = last_written(&gate);
    eventually("what was kept is there", || reader.last() >= written).await;
    some(20).await;
    assert_eq!(gate.terminate().await, Some(0));
    assert_eq!(gate.log().matches("takes records again").count(), gate.log().matches("does not take records").count());
    let log = Log::read(&gate.dir.path().join("data/audit"));
    let end = *log.records.keys().last().unwrap();
    eventually("the last record too", || reader.last() >= end).await;
    let id = &log.records.values().next().unwrap()["checkpoint"]["log"];
    let keys = reader.keys.lock().clone();
    assert_eq!(keys.len(), 1, "one partition, one key");
    assert_eq!(keys.first().unwrap().1, id.as_str().unwrap().as_bytes());
    assert_eq!(chained(&reader.taken.lock().lines), log.records);
    let saved = std::fs::read_to_string(gate.dir.path().join("data/audit/sinks/kafka.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&saved).unwrap()["seq"], end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_goes_on_from_where_the_topic_has_it() {
    let mock = mock();
    let brokers = mock.bootstrap_servers();
    let mut gate = Gate::program(|files| sinks(files, &kafka(&brokers), "")).await;
    let reader = Reader::of(&brokers);
    let mut n = 0;
    for down in [false, true, false] {
        let (token, before) = (gate.token("alice", &["eng"]), reader.last());
        let mut some = async |count: u64| {
            for _ in 0..count {
                assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_000)).await), Came::Done);
                n += 1;
            }
        };
        some(40).await;
        eventually("it goes on where it was", || reader.last() > before).await;
        if down {
            mock.broker_down(-1).unwrap();
        }
        some(80).await;
        gate = gate.again().await;
        mock.broker_up(-1).unwrap();
    }
    assert_eq!(gate.terminate().await, Some(0));
    let log = Log::read(&gate.dir.path().join("data/audit"));
    let end = *log.records.keys().last().unwrap();
    eventually("everything is there", || reader.last() >= end).await;
    let taken = reader.taken.lock();
    assert_eq!(chained(&taken.lines), log.records);
    // A batch whose position was not saved may have come again with each kill, and no more than that.
    assert!(taken.again < 3 * 1_000 && taken.again < log.records.len(), "{}", taken.again);
}
