//! Commands and replies. Everything a mail server says is bounded; of what it says only codes are repeated.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::notice::channel::Trouble;
use crate::notice::limits::{SMTP_LINE_BYTES_MAX, SMTP_REPLY_LINES_MAX};

/// A conversation with a mail server. Whoever holds it bounds its time.
pub(super) struct Dialog<S> {
    stream: S,
    /// Read, and not looked at.
    rest: Vec<u8>,
    over: bool,
}

/// What the server offers (RFC 5321 section 4.1.1.1), as far as we use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) starttls: bool,
    pub(super) auth_plain: bool,
    pub(super) auth_login: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, rest: Vec::new(), over: false }
    }

    /// Says who we are; what the server offers.
    pub(super) async fn hello(&mut self, domain: &str) -> Result<Extensions, Trouble> {
        self.write(&format!("EHLO {domain}\r\n")).await?;
        let lines = self.reply("EHLO", &[250]).await?;
        let mut offered = Extensions::default();
        for line in lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("STARTTLS") => offered.starttls = true,
                Some("AUTH") => words.for_each(|word| match word.as_str() {
                    "PLAIN" => offered.auth_plain = true,
                    "LOGIN" => offered.auth_login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        Ok(offered)
    }

    /// Sends the line `text`, called `name` where things go wrong, and wants one of `codes`.
    pub(super) async fn command(&mut self, name: &str, text: &str, codes: &[u16]) -> Result<(), Trouble> {
        self.write(&format!("{text}\r\n")).await?;
        self.expect(name, codes).await
    }

    /// Wants one of `codes`.
    pub(super) async fn expect(&mut self, name: &str, codes: &[u16]) -> Result<(), Trouble> {
        self.reply(name, codes).await.map(|_| ())
    }

    /// Sends a message whose lines end with CR LF (RFC 5321 section 4.5.2).
    pub(super) async fn data(&mut self, message: &str) -> Result<(), Trouble> {
        let mut text = String::with_capacity(message.len() + 8);
        for line in message.split_inclusive("\r\n") {
            if line.starts_with('.') {
                text.push('.');
            }
            text.push_str(line);
        }
        text.push_str(".\r\n");
        self.write(&text).await
    }

    /// Whether the conversation broke off: nothing more can be said.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The stream, if nothing was said on it that was not asked for.
    pub(super) fn into_quiet_stream(self) -> Option<S> {
        self.rest.is_empty().then_some(self.stream)
    }

    async fn write(&mut self, text: &str) -> Result<(), Trouble> {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        self.over |= sent.is_err();
        sent.map_err(|error| Trouble::new(format!("the mail server went away: {}", error.kind())))
    }

    /// The texts of a reply (RFC 5321 section 4.2.1) with one of `codes`.
    async fn reply(&mut self, name: &str, codes: &[u16]) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        for _ in 0..SMTP_REPLY_LINES_MAX {
            let line = self.line().await.inspect_err(|_| self.over = true)?;
            let malformed = || Trouble::new("the mail server does not speak SMTP");
            let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            match line.as_bytes().get(3) {
                Some(b'-') => {}
                None | Some(b' ') if codes.contains(&code) => return Ok(lines),
                None | Some(b' ') => return Err(Trouble::new(format!("the mail server answered {code} to {name}"))),
                Some(_) => return Err(malformed()),
            }
        }
        self.over = true;
        Err(Trouble::new("the mail server does not stop talking"))
    }

    async fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(at) = self.rest.windows(2).position(|pair| pair == b"\r\n") {
                let after = self.rest.split_off(at + 2);
                let line = std::mem::replace(&mut self.rest, after);
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            if self.rest.len() > SMTP_LINE_BYTES_MAX {
                return Err(Trouble::new("the mail server sends lines without end"));
            }
            let read = self.stream.read_buf(&mut self.rest).await;
            match read {
                Ok(0) => return Err(Trouble::new("the mail server went away")),
                Ok(_) => {}
                Err(error) => return Err(Trouble::new(format!("the mail server went away: {}", error.kind()))),
            }
        }
    }
}
