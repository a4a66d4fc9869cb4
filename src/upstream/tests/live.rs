//! A server whose streams stay open and can be written to later.

use super::*;
use tokio::sync::mpsc;

/// What a server does with a request.
pub(super) enum Said {
    /// These bytes, and the next request.
    Once(Option<Vec<u8>>),
    /// The head of a stream and its first events; it stays open under this name.
    Open(&'static str, Vec<String>),
    /// What is written to this name, byte for byte: the head too.
    Raw(&'static str),
    /// Nothing, for as long as the connection lasts.
    Nothing,
}

/// A server with streams.
pub(super) struct Live {
    pub(super) url: Url,
    pub(super) seen: Arc<Mutex<Vec<Asked>>>,
    streams: Streams,
}

type Streams = Arc<Mutex<Vec<(&'static str, mpsc::UnboundedSender<Option<String>>)>>>;

impl Live {
    /// Writes `text` (whole lines of a stream, blank line included) to every open stream called `name`. Returns how many there were.
    pub(super) fn write(&self, name: &str, text: &str) -> usize {
        self.each(name, |stream| stream.send(Some(text.to_owned())).is_ok())
    }

    /// Ends every open stream called `name`.
    pub(super) fn end(&self, name: &str) -> usize {
        let ended = self.each(name, |stream| stream.send(None).is_ok());
        self.streams.lock().retain(|(of, _)| *of != name);
        ended
    }

    pub(super) fn open(&self, name: &str) -> usize {
        self.each(name, |stream| !stream.is_closed())
    }

    fn each(&self, name: &str, did: impl Fn(&mpsc::UnboundedSender<Option<String>>) -> bool) -> usize {
        self.streams.lock().iter().filter(|(of, stream)| *of == name && did(stream)).count()
    }

    /// Requests of `method`; `GET` and `DELETE` count as methods.
    pub(super) fn asked(&self, method: &str) -> Vec<Asked> {
        let of = |asked: &Asked| if asked.head.starts_with("POST") { asked.method().to_owned() } else { verb(asked) };
        self.seen.lock().iter().filter(|asked| of(asked) == method).cloned().collect()
    }
}

pub(super) fn verb(asked: &Asked) -> String {
    asked.head.split(' ').next().unwrap().to_owned()
}

pub(super) fn message(text: &str) -> String {
    format!("data: {text}\n\n")
}

/// A server that does as `does` says with each request; the second argument counts the requests before.
pub(super) async fn live(does: impl Fn(&Asked, &Live) -> Said + Send + Sync + 'static) -> Arc<Live> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let server = Arc::new(Live { url, seen: Arc::default(), streams: Arc::default() });
    let (own, does) = (Arc::clone(&server), Arc::new(does));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, does) = (Arc::clone(&own), Arc::clone(&does));
            tokio::spawn(async move { serve(stream, &server, &*does).await });
        }
    });
    server
}

async fn serve(mut stream: TcpStream, server: &Live, does: &(dyn Fn(&Asked, &Live) -> Said + Send + Sync)) {
    let mut buffer = BytesMut::new();
    while let Some(asked) = read_request(&mut stream, &mut buffer, 0).await {
        let said = does(&asked, server);
        server.seen.lock().push(asked);
        match said {
            Said::Once(None) => return,
            Said::Once(Some(bytes)) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Said::Nothing => {
                let _ = stream.read(&mut [0; 1]).await;
                return;
            }
            Said::Open(name, first) => {
                let mut begin = STREAM.to_owned();
                begin.extend(first.iter().map(|text| chunk(text)));
                if stream.write_all(begin.as_bytes()).await.is_ok() {
                    keep_open(stream, server, name, chunk).await;
                }
                return;
            }
            Said::Raw(name) => return keep_open(stream, server, name, str::to_owned).await,
        }
    }
}

/// The head of a stream.
pub(super) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk of its body.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn keep_open(mut stream: TcpStream, server: &Live, name: &'static str, framed: fn(&str) -> String) {
    let (writer, mut lines) = mpsc::unbounded_channel();
    server.streams.lock().push((name, writer));
    let mut nothing = [0; 1];
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = stream.read(&mut nothing) => return,
        };
        let bytes = match &line {
            Some(Some(text)) => framed(text),
            _ => "0\r\n\r\n".to_owned(),
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || !matches!(line, Some(Some(_))) {
            return;
        }
    }
}
