//! A receiver of webhooks: it notes what comes, checks signatures as the documentation says, and answers as told.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use portcullis::vocab::Clock;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) const SECRET: &str = "a-secret-that-signs-canary";

/// What it does with a request.
#[derive(Clone, Debug)]
pub(super) enum Manner {
    /// 200, with a body of nothing.
    Takes,
    /// These bytes, and the end of the connection.
    Says(String),
    /// A 200 whose body never ends.
    Endless,
    /// Nothing, for as long as somebody waits.
    Silent,
}

/// What came, once its signature held.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) delivery: String,
    pub(super) event: String,
    pub(super) signed: bool,
    pub(super) text: String,
}

impl Came {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

pub(super) struct Receiver {
    pub(super) addr: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    manner: Mutex<Manner>,
    came: Mutex<Vec<Came>>,
    wrong: Mutex<Vec<String>>,
    clock: Clock,
}

impl Receiver {
    pub(super) async fn start(manner: Manner) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), manner)
    }

    pub(super) fn on(listener: TcpListener, manner: Manner) -> Self {
        let addr = listener.local_addr().unwrap();
        let seen = Seen { manner: Mutex::new(manner), came: Mutex::default(), wrong: Mutex::default(), clock: Clock::system() };
        let seen = Arc::new(seen);
        let serving = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        Self { addr, seen }
    }

    /// The URL, whose path is a secret as those of chats are.
    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks/path-canary", self.addr)
    }

    pub(super) fn behave(&self, manner: Manner) {
        *self.seen.manner.lock() = manner;
    }

    /// Everything that came so far.
    pub(super) fn came(&self) -> Vec<Came> {
        let wrong = self.seen.wrong.lock().clone();
        assert!(wrong.is_empty(), "{wrong:?}");
        self.seen.came.lock().clone()
    }

    /// Events that came about the request `id`, with the id of each delivery.
    pub(super) fn of(&self, id: &str) -> Vec<Came> {
        self.came().into_iter().filter(|came| came.text.contains(id)).collect()
    }
}

impl Seen {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let Some((head, body)) = read(&mut stream, &mut bytes).await else { return };
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        match header("portcullis-signature").map(|signature| verified(&signature, &body, self.clock.unix_s())) {
            Some(Ok(())) | None => self.came.lock().push(Came {
                delivery: header("portcullis-delivery").unwrap_or_default(),
                event: header("portcullis-event").unwrap_or_default(),
                signed: header("portcullis-signature").is_some(),
                text: body,
            }),
            Some(Err(why)) => self.wrong.lock().push(why),
        }
        let manner = self.manner.lock().clone();
        let said = match manner {
            Manner::Takes => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Manner::Says(text) => text,
            Manner::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                while stream.write_all(b"400\r\n").await.is_ok() && stream.write_all(&[b'x'; 0x400]).await.is_ok() {
                    if stream.write_all(b"\r\n").await.is_err() {
                        break;
                    }
                }
                return;
            }
            Manner::Silent => {
                let _ = stream.read(&mut [0; 1]).await;
                return;
            }
        };
        let _ = stream.write_all(said.as_bytes()).await;
    }
}

/// What the documentation tells receivers to do.
fn verified(signature: &str, body: &str, now_s: u64) -> Result<(), String> {
    let mut parts = signature.split(',').filter_map(|part| part.split_once('='));
    let (Some(("t", time)), Some(("v1", tag))) = (parts.next(), parts.next()) else { return Err(signature.to_owned()) };
    let at: u64 = time.parse().map_err(|_| "no time".to_owned())?;
    if at.abs_diff(now_s) > 300 {
        return Err(format!("old: {signature}"));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag: Vec<u8> = (0..tag.len() / 2).map(|at| u8::from_str_radix(&tag[2 * at..2 * at + 2], 16).unwrap_or(0)).collect();
    hmac::verify(&key, format!("{time}.{body}").as_bytes(), &tag).map_err(|_| "the signature does not hold".to_owned())
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let length: usize = length.unwrap_or(0);
            while bytes.len() < end + 4 + length {
                if stream.read_buf(bytes).await.ok()? == 0 {
                    return None;
                }
            }
            return Some((head, String::from_utf8(bytes[end + 4..].to_vec()).unwrap()));
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
