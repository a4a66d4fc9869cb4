//! Ways to hand a batch over. Each says that it was taken only if the receiver said so.

mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod otlp;
mod stdout;
mod syslog;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::audit::Stretch;
use crate::config::SinkWay;
use crate::net::{Fetch, client_config};
use crate::vocab::Clock;

/// How one sink takes records.
pub(super) enum Way {
    Stdout(stdout::Stdout),
    Syslog(Box<syslog::Syslog>),
    Http(Box<http::Http>),
    Otlp(Box<otlp::Otlp>),
    #[cfg(feature = "kafka")]
    Kafka(kafka::Kafka),
}

/// Why a batch was not taken. For the operator: it holds nothing that a receiver wrote but a status.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) words: String,
    /// For how long the receiver wants to be left alone.
    pub(super) after: Duration,
    pub(super) too_much: TooMuch,
}

/// Whether less at once would have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// It would not.
    No,
    /// It may be.
    Perhaps,
    /// The receiver says so: nothing else is wrong.
    Yes,
}

impl Trouble {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), after: Duration::ZERO, too_much: TooMuch::No }
    }

    /// Whoever finds a batch too large may just as well stop reading, or be too slow for it.
    pub(super) fn perhaps_too_much(words: impl Into<String>) -> Self {
        Self { too_much: TooMuch::Perhaps, ..Self::new(words) }
    }

    /// Nobody said in time that it was taken.
    pub(super) fn late() -> Self {
        Self::perhaps_too_much("it was not taken in time")
    }
}

impl Way {
    /// # Errors
    /// A file of CAs or a certificate cannot be used; there is no thread; this build does not have it.
    pub(super) fn open(way: &SinkWay, fetch: &Fetch, clock: &Clock, announced: CancellationToken) -> io::Result<Self> {
        Ok(match way {
            SinkWay::Stdout(format) => Self::Stdout(stdout::Stdout::open(*format, announced)?),
            SinkWay::Syslog(sink) => {
                let tls = tls(fetch, sink.ca.as_deref())?;
                Self::Syslog(Box::new(syslog::Syslog::new(sink.clone(), &tls)))
            }
            SinkWay::Http(sink) => {
                let fetch = fetch.clone().with_tls(tls(fetch, sink.ca.as_deref())?);
                Self::Http(Box::new(http::Http::new(sink.clone(), fetch, clock.clone())))
            }
            SinkWay::Otlp(sink) => {
                let fetch = fetch.clone().with_tls(tls(fetch, sink.ca.as_deref())?);
                Self::Otlp(Box::new(otlp::Otlp::new(sink.clone(), fetch, clock.clone())))
            }
            #[cfg(feature = "kafka")]
            SinkWay::Kafka(sink) => Self::Kafka(kafka::Kafka::open(sink.clone())?),
            #[cfg(not(feature = "kafka"))]
            SinkWay::Kafka(_) => return Err(io::Error::new(io::ErrorKind::Unsupported, "audit.sinks: no kafka in this build")),
        })
    }

    /// Hands a batch over; how many of its records the receiver refused for good.
    pub(super) async fn send(&self, stretch: &Stretch) -> Result<u64, Trouble> {
        match self {
            Self::Stdout(way) => way.send(stretch).await.map(|()| 0),
            Self::Syslog(way) => way.send(stretch).await.map(|()| 0),
            Self::Http(way) => way.send(stretch).await.map(|()| 0),
            Self::Otlp(way) => way.send(stretch).await,
            #[cfg(feature = "kafka")]
            Self::Kafka(way) => way.send(stretch).await.map(|()| 0),
        }
    }

    /// Ends what works for it.
    pub(super) async fn close(self) {
        #[cfg(feature = "kafka")]
        if let Self::Kafka(way) = self {
            way.close().await;
        }
    }

    /// Whether what was begun cannot be taken back: sent again, it would be there twice.
    pub(super) fn keeps_on(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }
}

/// What to trust: the system's CAs, and those of the sink.
fn tls(fetch: &Fetch, ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    match ca {
        None => Ok(fetch.tls().clone()),
        Some(ca) => client_config(Some(ca)).map_err(|error| io::Error::other(format!("audit.sinks: {error}"))),
    }
}
