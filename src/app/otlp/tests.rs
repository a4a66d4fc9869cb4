//! How often a batch is sent over HTTP, and for how long it is waited.

#![expect(clippy::disallowed_methods, reason = "tests wait for what they spawn")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// One who answers everything with `answer`, and closes. How often it was asked.
async fn receiver(answer: Vec<u8>) -> (Sender, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    drop(tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 4096];
            while stream.read(&mut head).await.unwrap() == head.len() {}
            // It may have been understood before its end.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    }));
    let otlp = Otlp {
        endpoint,
        protocol: OtlpProtocol::Http,
        headers: Vec::new(),
        ca: None,
        allow_private_addresses: false,
        metrics_every: Duration::from_secs(60),
    };
    (Sender::new(&otlp).unwrap(), asked)
}

#[tokio::test]
async fn only_what_may_pass_is_sent_again() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 20).into_bytes();
    let attempts = usize::try_from(TELEMETRY_ATTEMPTS_MAX).unwrap();
    for (answer, times) in [
        ([&long[..], &vec![b'x'; 1 << 20]].concat(), 1),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx".to_vec(), 1),
        (b"HTTP/1.1 307 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec(), 1),
        (b"HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n".to_vec(), 1),
        (b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n".to_vec(), attempts),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec(), attempts),
    ] {
        let said = String::from_utf8_lossy(&answer).chars().take(60).collect::<String>();
        let (sender, asked) = receiver(answer).await;
        sender.traces(&ExportTraceServiceRequest::default()).await.unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), times, "{said}");
    }
}

#[tokio::test]
async fn a_receiver_has_all_of_its_time() {
    let (Sender::Http(http), _) = receiver(Vec::new()).await else { panic!("by HTTP") };
    let time_max = Duration::from_millis(TELEMETRY_SEND_MS_MAX);
    assert!(format!("{:?}", http.fetch).ends_with(&format!("time_max: {time_max:?} }}")));
}
