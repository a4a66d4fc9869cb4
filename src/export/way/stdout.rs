//! Lines on standard output. A reader that stops holds up a thread of its own, and nothing else.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use crate::audit::Stretch;
use crate::config::SinkFormat;
use crate::export::shape;

pub(in crate::export) struct Stdout {
    format: SinkFormat,
    announced: CancellationToken,
    writer: SyncSender<Job>,
}

struct Job {
    lines: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

impl Stdout {
    /// Nothing is written until `announced`: the first line there belongs to the gateway.
    pub(super) fn open(format: SinkFormat, announced: CancellationToken) -> io::Result<Self> {
        let (writer, jobs) = sync_channel(1);
        std::thread::Builder::new().name("audit-stdout".to_owned()).spawn(move || write(&jobs))?;
        Ok(Self { format, announced, writer })
    }

    pub(super) async fn send(&self, stretch: &Stretch) -> Result<(), Trouble> {
        self.announced.cancelled().await;
        let mut lines = Vec::new();
        shape::lines(&mut lines, self.format, stretch);
        let (written, done) = oneshot::channel();
        self.writer.try_send(Job { lines, written }).map_err(|error| match error {
            TrySendError::Full(_) => Trouble::new("standard output takes nothing"),
            TrySendError::Disconnected(_) => Trouble::new("nothing writes to standard output any more"),
        })?;
        let done = done.await.map_err(|_| Trouble::new("writing was cut off"))?;
        done.map_err(|error| Trouble::new(format!("standard output: {error}")))
    }
}

fn write(jobs: &Receiver<Job>) {
    for Job { lines, written } in jobs {
        // Nobody waits for it any more: it is handed over again.
        if written.is_closed() {
            continue;
        }
        let mut out = io::stdout().lock();
        // Who waited may have given up meanwhile.
        let _ = written.send(out.write_all(&lines).and_then(|()| out.flush()));
    }
}
