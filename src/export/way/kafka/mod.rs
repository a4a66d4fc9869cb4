//! A topic of Kafka, by librdkafka. A batch was taken when all replicas that are in sync have acknowledged each of its messages.
//!
//! A thread of its own hands over one batch at a time. Everything goes to one partition, whose order an idempotent producer keeps: what
//! it writes of a batch is always the batch from its beginning on, without a gap. A producer that failed is closed with all it held and
//! the next one begins at the saved position. So a consumer meets the records in order, and whatever comes again it has met before.

mod client;
mod limits;

#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::sync::oneshot;

use self::client::{Client, Count};
use self::limits::{IDLE_MS, METADATA_MS_MAX, POLL_MS, REASON_MS_MAX, SEND_MS_MAX};
use super::{TooMuch, Trouble};
use crate::audit::Stretch;
use crate::config::{KafkaSink, SinkFormat};
use crate::export::shape;
use crate::net::Origin;
use crate::vocab::Deadline;

pub(in crate::export) struct Kafka {
    format: SinkFormat,
    worker: SyncSender<Job>,
    /// Comes when the thread is gone, and librdkafka with it.
    gone: oneshot::Receiver<()>,
}

struct Job {
    /// The id of the log.
    key: String,
    first: u64,
    messages: Vec<Vec<u8>>,
    taken: oneshot::Sender<Result<(), Trouble>>,
}

impl Kafka {
    /// # Errors
    /// librdkafka does not take its settings, such as a certificate; there is no thread.
    pub(super) fn open(sink: KafkaSink) -> io::Result<Self> {
        let client = client::open(&sink).map_err(|trouble| io::Error::other(format!("audit.sinks: kafka: {}", trouble.words)))?;
        let (worker, jobs) = sync_channel(1);
        let (going, gone) = oneshot::channel();
        let format = sink.format;
        std::thread::Builder::new().name("audit-kafka".to_owned()).spawn(move || {
            work(&sink, &jobs, client);
            drop(going);
        })?;
        Ok(Self { format, worker, gone })
    }

    pub(super) async fn send(&self, stretch: &Stretch) -> Result<(), Trouble> {
        let message = |line: &[u8]| {
            let mut message = Vec::new();
            shape::message(&mut message, self.format, line);
            message
        };
        let messages = stretch.lines().map(message).collect();
        let (taken, done) = oneshot::channel();
        let job = Job { key: stretch.end.log.to_string(), first: stretch.first, messages, taken };
        self.worker.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Trouble::new("the batch before it is still being given up"),
            TrySendError::Disconnected(_) => Trouble::new("nothing sends to Kafka any more"),
        })?;
        done.await.unwrap_or_else(|_| Err(Trouble::new("sending was cut off")))
    }

    /// Ends the thread, once it has nothing more to do.
    pub(super) async fn close(self) {
        let Self { worker, gone, .. } = self;
        drop(worker);
        // It is gone either way.
        let _ = gone.await;
    }
}

fn work(sink: &KafkaSink, jobs: &Receiver<Job>, first: Client) {
    let mut ready = Some(first);
    loop {
        let job = match jobs.recv_timeout(Duration::from_millis(IDLE_MS)) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                // What librdkafka has to say is in a queue that nobody else empties.
                if let Some(client) = &ready {
                    client.poll(Duration::from_millis(POLL_MS));
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Nobody waits for it any more: it is handed over again.
        if job.taken.is_closed() {
            continue;
        }
        let opened = ready.take().map_or_else(|| client::open(sink), Ok);
        let (client, done) = match opened {
            Ok(client) => {
                // What brokers send is read by the library: whatever that makes of it, there is a next attempt.
                let done = catch_unwind(AssertUnwindSafe(|| deliver(sink, &client, &job)));
                (Some(client), done.unwrap_or_else(|_| Err(Trouble::new("the client of Kafka failed"))))
            }
            Err(trouble) => (None, Err(trouble)),
        };
        let keep = done.is_ok();
        // Whoever gave it up knows.
        let _ = job.taken.send(done);
        // What is left of a batch that failed goes with its producer, which takes a moment that nobody has to wait for.
        ready = client.filter(|_| keep);
    }
}

/// True to its return: nothing of the batch is on its way any more only if all of it was taken.
fn deliver(sink: &KafkaSink, client: &Client, job: &Job) -> Result<(), Trouble> {
    let tally = client.context();
    // What troubled the batch before it is no news.
    tally.begin();
    may_have_it(sink, client)?;
    let deadline = Deadline::after(Duration::from_millis(SEND_MS_MAX));
    let poll = || client.poll(Duration::from_millis(POLL_MS));
    let given_up = || deadline.remaining().is_zero() || job.taken.is_closed();
    for (seq, message) in (job.first..).zip(&job.messages) {
        loop {
            let mut record = BaseRecord::to(&sink.topic).key(&job.key).payload(message);
            record.partition = sink.partition;
            match client.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    if given_up() {
                        return Err(late(tally.count()));
                    }
                    poll();
                }
                Err((error, _)) => {
                    // A producer that a refusal ended takes nothing more, and tells of that beside it.
                    poll();
                    if let Some(code) = refusal(client) {
                        return Err(refused(code));
                    }
                    let length = message.len();
                    return Err(Trouble::new(format!("record {seq} of {length} bytes: {}", client::words(&error))));
                }
            }
        }
    }
    loop {
        let count = tally.count();
        if count.refused.is_some()
            && let Some(code) = refusal(client)
        {
            return Err(refused(code));
        }
        if count.taken == job.messages.len() {
            return Ok(());
        }
        if given_up() {
            return Err(late(count));
        }
        poll();
    }
}

/// Why a message was refused, if one was. Waits a moment for the reason of what was refused because another one was.
fn refusal(client: &Client) -> Option<RDKafkaErrorCode> {
    let deadline = Deadline::after(Duration::from_millis(REASON_MS_MAX));
    loop {
        let refused = client.context().count().refused;
        if !refused.is_some_and(client::follows) || deadline.remaining().is_zero() {
            return refused;
        }
        client.poll(Duration::from_millis(POLL_MS));
    }
}

/// Brokers bound whole requests by the length that they bound records by.
fn refused(code: RDKafkaErrorCode) -> Trouble {
    let too_much = if code == RDKafkaErrorCode::MessageSizeTooLarge { TooMuch::Yes } else { TooMuch::No };
    Trouble { too_much, ..Trouble::new(format!("a record was refused: {code}")) }
}

fn late(count: Count) -> Trouble {
    let why = count.trouble.map(|code| format!(": {code}")).unwrap_or_default();
    Trouble::perhaps_too_much(format!("it was not acknowledged in time{why}"))
}

/// Whether somebody answers who may have records, and has the topic.
fn may_have_it(sink: &KafkaSink, client: &Client) -> Result<(), Trouble> {
    let asked = client.client().fetch_metadata(Some(&sink.topic), Duration::from_millis(METADATA_MS_MAX));
    let metadata = asked.map_err(|error| {
        // Errors are told in the queue: the one behind it says more than that nobody answered.
        client.poll(Duration::from_millis(POLL_MS));
        let code = client.context().count().trouble;
        Trouble::new(code.map_or_else(|| client::words(&error), |code| code.to_string()))
    })?;
    let is_here = |host: &str| Origin { https: false, host: host.to_owned(), port: 0 }.names_loopback();
    // A broker at loopback says where the others are, and need not be what it seems.
    if sink.tls.is_none() && !sink.danger_plaintext && !metadata.brokers().iter().all(|broker| is_here(broker.host())) {
        return Err(Trouble::new("the cluster has brokers at more than loopback, which get nothing without TLS"));
    }
    let error = metadata.topics().iter().filter(|topic| topic.name() == sink.topic).find_map(|topic| topic.error());
    match error {
        Some(error) => Err(Trouble::new(format!("the topic: {}", RDKafkaErrorCode::from(error)))),
        None => Ok(()),
    }
}
