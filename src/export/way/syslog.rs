//! Syslog over TLS (RFC 5425) or TCP (RFC 6587), each message counted by its octets.
//!
//! Syslog has no acknowledgement. So each batch has a connection of its own: after the last message our side of it is closed, and the
//! batch was taken once the receiver, having read to that end, closed the other side. Over TLS that is its close_notify, which RFC 5425
//! section 4.4 asks for and nobody on the way can forge; over TCP the end of its stream. A receiver that went down in the middle
//! resets the connection instead, or says nothing.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Trouble;
use crate::audit::Stretch;
use crate::config::SyslogSink;
use crate::export::limits::{SINK_ANSWER_BYTES_MAX, SINK_SEND_MS_MAX};
use crate::export::shape::syslog::Sender;
use crate::net::{DialPolicy, Origin, connect};
use crate::vocab::Deadline;

pub(in crate::export) struct Syslog {
    sink: SyslogSink,
    tls: Arc<ClientConfig>,
    origin: Origin,
    sender: Sender,
}

impl Syslog {
    pub(super) fn new(sink: SyslogSink, tls: &ClientConfig) -> Self {
        let mut tls = tls.clone();
        // That is HTTP's.
        tls.alpn_protocols.clear();
        let origin = Origin { https: sink.tls, host: sink.host.clone(), port: sink.port };
        Self { sink, tls: Arc::new(tls), origin, sender: Sender::this() }
    }

    pub(super) async fn send(&self, stretch: &Stretch) -> Result<(), Trouble> {
        let mut messages = Vec::new();
        for line in stretch.lines() {
            self.sender.push_counted(&mut messages, self.sink.format, line);
        }
        let deadline = Deadline::after(Duration::from_millis(SINK_SEND_MS_MAX));
        // A loopback address written in the config is its own consent.
        let policy =
            DialPolicy { allow_private: self.sink.allow_private_addresses, allow_loopback: self.origin.names_loopback() };
        let stream = connect(&self.origin, policy, &self.tls, deadline).await;
        let stream = stream.map_err(|error| Trouble::new(error.to_string()))?;
        let (mut answers, mut stream) = tokio::io::split(stream);
        let failed = |what: &str, error: std::io::Error| Trouble::new(format!("{what}: {}", error.kind()));
        stream.write_all(&messages).await.map_err(|error| failed("it was not taken", error))?;
        stream.flush().await.map_err(|error| failed("it was not taken", error))?;
        stream.shutdown().await.map_err(|error| failed("it was not taken", error))?;
        let (mut read, mut scrap) = (0, [0; 1024]);
        loop {
            match answers.read(&mut scrap).await {
                Ok(0) => return Ok(()),
                Ok(count) if read + count <= SINK_ANSWER_BYTES_MAX => read += count,
                Ok(_) => return Err(Trouble::new("it talks, which no receiver of syslog does")),
                Err(error) => return Err(failed("it did not say that it has read to the end", error)),
            }
        }
    }
}
