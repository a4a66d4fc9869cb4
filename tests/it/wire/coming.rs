//! Answers that are read as they come, whether they are documents or streams.

use serde_json::Value;

use super::{Conn, Resp};

/// An answer whose body is read as it comes.
pub(crate) struct Coming {
    pub(crate) head: Resp,
    body: Vec<u8>,
    over: bool,
}

impl Conn {
    /// The head of an answer, whose body [`Self::message_of`] reads.
    pub(crate) async fn begin(&mut self) -> Option<Coming> {
        let head = self.just_head().await?;
        Some(Coming { head, body: Vec::new(), over: false })
    }

    /// The next message of a body, as soon as it is there: the JSON document, or the data of an event of a stream. Nothing at the
    /// end of the body.
    pub(crate) async fn message_of(&mut self, coming: &mut Coming) -> Option<Value> {
        loop {
            if let Some(message) = coming.next() {
                return Some(message);
            }
            if coming.over {
                return None;
            }
            let chunked = coming.head.header("transfer-encoding").is_some();
            let length = match chunked {
                false => coming.head.header("content-length").map_or(0, |v| v.parse().unwrap()),
                true => {
                    let end = self.until(b"\r\n").await?;
                    let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                    usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap()
                }
            };
            // A chunk has an end of its own.
            let whole = if chunked { length + 2 } else { length };
            while self.buffer.len() < whole && self.more().await {}
            coming.body.extend(self.buffer.drain(..whole.min(self.buffer.len())).take(length));
            coming.over = !chunked || length == 0;
        }
    }
}

impl Coming {
    /// What of the body is a whole message.
    fn next(&mut self) -> Option<Value> {
        if !self.head.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let whole = self.over && !self.body.is_empty();
            return whole.then(|| serde_json::from_slice(&std::mem::take(&mut self.body)).unwrap());
        }
        loop {
            let end = memchr::memmem::find(&self.body, b"\n\n")?;
            let event: Vec<u8> = self.body.drain(..end + 2).collect();
            let event = String::from_utf8(event).unwrap();
            let data = event.lines().find_map(|line| line.strip_prefix("data:")).map(str::trim);
            // An event may only name where to resume from.
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}
