//! Syslog over TLS (RFC 5425) or TCP (RFC 6587), each message counted by its octets.
//!
//! Syslog has no acknowledgement. So each batch has a connection of its own: after the last message our side of it is closed, and the
//! batch was taken once the receiver, having read to that end, closed the other side. Over TLS that is its close_notify, which RFC 5425
//! section 4.4 asks for and nobody on the way can forge, and the end of the stream; over TCP the end of its stream. Whoever closes
//! before our side is closed has not read to its end, and neither has a receiver that went down in the middle: it resets the connection,
//! or says nothing. To see those who close because nobody is there behind them, our side stays open for as long as connecting took.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::Trouble;
use crate::audit::Stretch;
use crate::config::SyslogSink;
use crate::export::limits::{SINK_ANSWER_BYTES_MAX, SINK_CLOSE_MS_MAX, SINK_CLOSE_MS_MIN, SINK_SEND_MS_MAX};
use crate::export::shape::syslog::Sender;
use crate::net::{Origin, Stream, connect};
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
        let policy = self.origin.policy(self.sink.allow_private_addresses);
        let begun = Instant::now();
        let stream = connect(&self.origin, policy, &self.tls, deadline).await;
        let stream = stream.map_err(|error| Trouble::new(error.to_string()))?;
        let (least, most) = (Duration::from_millis(SINK_CLOSE_MS_MIN), Duration::from_millis(SINK_CLOSE_MS_MAX));
        hand_over(stream, &messages, begun.elapsed().clamp(least, most)).await
    }
}

/// Writes `messages`, and waits until the receiver has closed after us. What it says on being connected has come after `patience`.
async fn hand_over(stream: Stream, messages: &[u8], patience: Duration) -> Result<(), Trouble> {
    let (mut answers, mut stream) = tokio::io::split(stream);
    let writing = async {
        stream.write_all(messages).await?;
        stream.flush().await?;
        sleep(patience).await;
        stream.shutdown().await
    };
    tokio::select! {
        biased;
        ended = to_the_end(&mut answers) => return ended.and_then(|()| Err(too_early())),
        written = writing => written.map_err(|error| failed("it was not taken", &error))?,
    }
    to_the_end(&mut answers).await?;
    let tcp = match answers.unsplit(stream) {
        Stream::Plain(tcp) => tcp,
        Stream::Tls(tls) => {
            let (mut tcp, _) = tls.into_inner();
            to_the_end(&mut tcp).await?;
            tcp
        }
    };
    // Both sides are closed, so that there is a peer only while our end is not acknowledged: it may have closed before that came, and
    // answers it with a reset.
    if tcp.peer_addr().is_ok() {
        sleep(patience).await;
    }
    match tcp.take_error() {
        Ok(None) => Ok(()),
        _ => Err(too_early()),
    }
}

/// Reads what it says, of which nothing is wanted.
async fn to_the_end(answers: &mut (impl AsyncRead + Unpin)) -> Result<(), Trouble> {
    let (mut read, mut scrap) = (0, [0; 1024]);
    loop {
        match answers.read(&mut scrap).await {
            Ok(0) => return Ok(()),
            Ok(count) if read + count <= SINK_ANSWER_BYTES_MAX => read += count,
            Ok(_) => return Err(Trouble::new("it talks, which no receiver of syslog does")),
            Err(error) => return Err(failed("it did not say that it has read to the end", &error)),
        }
    }
}

fn failed(what: &str, error: &std::io::Error) -> Trouble {
    Trouble::perhaps_too_much(format!("{what}: {}", error.kind()))
}

fn too_early() -> Trouble {
    Trouble::perhaps_too_much("it closed before it had read to the end")
}
