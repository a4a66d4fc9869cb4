//! Messages as lines (MCP, stdio transport): one each, no line break within.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Reads lines of bounded length.
pub(super) struct Lines<I> {
    input: I,
    buffer: BytesMut,
}

impl<I: AsyncRead + Unpin> Lines<I> {
    pub(super) fn new(input: I) -> Self {
        Self { input, buffer: BytesMut::new() }
    }

    /// The next line that is not empty; `None` at the end of input, where a line without its end does not count. Safe to drop
    /// and call again.
    ///
    /// # Errors
    /// A broken pipe, or a line over the limit.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.buffer.get(looked..).unwrap_or_default()) {
                let line = self.buffer.split_to(looked + end + 1).freeze();
                let line = line.slice_ref(line.trim_ascii());
                looked = 0;
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            looked = self.buffer.len();
            if looked > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is over 16 MiB"));
            }
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Writes what comes out of `queue`, each as a line, until all senders are gone or nobody reads.
pub(super) async fn write_lines<O: AsyncWrite + Unpin>(mut output: O, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(message) = queue.recv().await {
        let mut line = Vec::with_capacity(message.len() + 1);
        // Between tokens a line break is as good as a space; within a string there is none.
        line.extend(message.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

/// Length of a message.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
