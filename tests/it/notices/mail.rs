//! A mail server on loopback: plain, or with STARTTLS that a man in the middle meddles with.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{ask, gate, vote};
use crate::gate::soon;

/// How the server differs from a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Good,
    /// Takes nobody at first.
    RefusesFirst,
    /// Offers STARTTLS, agrees, and says more before TLS begins.
    Injects,
    /// Never ends its greeting.
    Babbles,
}

#[derive(Default)]
pub(super) struct Seen {
    commands: Mutex<Vec<String>>,
    pub(super) messages: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

pub(super) async fn server(manner: Manner) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let serving = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let first = std::mem::replace(&mut *serving.connections.lock(), 1) == 0;
            tokio::spawn(serve(stream, serving.clone(), manner, first));
        }
    });
    (addr, seen)
}

async fn serve(stream: TcpStream, seen: Arc<Seen>, manner: Manner, first: bool) -> Option<()> {
    let mut stream = BufReader::new(stream);
    if manner == Manner::Babbles {
        while stream.write_all(b"220-hello\r\n").await.is_ok() {}
        return None;
    }
    stream.write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        seen.commands.lock().push(line.clone());
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" if manner == Manner::Injects => "250-mail.test\r\n250 STARTTLS\r\n",
            "EHLO" => "250-mail.test\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN\r\n",
            "STARTTLS" => "220 go on\r\n250 injected\r\n",
            "AUTH" => "235 welcome\r\n",
            "MAIL" if manner == Manner::RefusesFirst && first => "451 later\r\n",
            "MAIL" => "250 ok\r\n",
            "RCPT" if line.contains("nobody@") => "550 who\r\n",
            "RCPT" => "250 ok\r\n",
            "DATA" => "354 go\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "500 what\r\n",
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
        if verb == "STARTTLS" {
            let mut bytes = [0; 64];
            let _ = stream.read(&mut bytes).await;
            return None;
        }
        if verb == "DATA" {
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut message).await.ok()? == 0 {
                    return None;
                }
            }
            seen.messages.lock().push(message);
            stream.write_all(b"250 taken\r\n").await.ok()?;
        }
    }
}

fn channel(addr: SocketAddr, more: &str) -> String {
    let host = format!("host: {}, port: {}", addr.ip(), addr.port());
    format!("{{ smtp: {{ {host}, from: gw@example.com, to: [sre@example.com, nobody@example.com], {more} }} }}")
}

const LOGIN: &str = "tls: none, username: gw, password: mail-password-canary";

fn header(message: &str, name: &str) -> String {
    let head = message.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} in {message}")).to_owned()
}

fn text(message: &str) -> String {
    let body = message.split_once("\r\n\r\n").unwrap().1.trim_end_matches(".\r\n");
    assert!(body.lines().all(|line| line.len() <= 76), "{body}");
    String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_says_it_all_and_belongs_to_those_before_it() {
    let (addr, seen) = server(Manner::RefusesFirst).await;
    let gate = gate(&channel(addr, LOGIN)).await;
    let request = ask(&gate, "up__write", r#"{"path":"/srv/x\r\n.\r\nMAIL FROM:<evil@example.com>","b":"\u202e"}"#).await;
    soon("the mail", || seen.messages.lock().len() == 1).await;
    vote(&gate, &request, false, "never").await;
    soon("the end", || seen.messages.lock().len() == 2).await;
    let messages = seen.messages.lock().clone();
    let (asked, ended) = (&messages[0], &messages[1]);
    assert_eq!(header(asked, "To"), "sre@example.com, nobody@example.com");
    assert_eq!(header(asked, "Subject"), "Approval needed: up__write (write) for alice");
    assert!(header(asked, "Message-ID").starts_with("<ntc_") && header(asked, "Message-ID").ends_with("@[127.0.0.1]>"));
    assert_eq!(header(ended, "In-Reply-To"), header(asked, "Message-ID"));
    assert_eq!(header(asked, "Auto-Submitted"), "auto-generated");
    let said = text(asked);
    let link = format!("http://{}/console/approvals/{}", gate.admin.addr, request.id);
    for wanted in [
        link.as_str(),
        "alice",
        "rule gated",
        "group:sre",
        &request.digest.to_string(),
        "\\u000d\\u000a.\\u000d\\u000aMAIL",
        "\\u202e",
    ] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
    assert!(text(ended).contains("Sven (sven) no: never"));
    let commands = seen.commands.lock().clone();
    let auth = STANDARD.encode("\0gw\0mail-password-canary");
    assert!(commands.contains(&format!("AUTH PLAIN {auth}")));
    assert!(commands.iter().all(|line| !line.contains("evil@")), "{commands:?}");
    let log = format!("{:?}", gate.running().notices().unwrap().log(10));
    assert!(log.contains("Delivered") && !log.contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_meddle_or_babble_get_nothing() {
    for (manner, more, problem) in [
        (Manner::Injects, "tls: starttls, username: gw, password: mail-password-canary", "the mail server spoke before TLS"),
        (Manner::Good, "tls: starttls, username: gw, password: mail-password-canary", "the mail server offers no STARTTLS"),
        (Manner::Babbles, LOGIN, "the mail server does not stop talking"),
    ] {
        let (addr, seen) = server(manner).await;
        let gate = gate(&channel(addr, more)).await;
        ask(&gate, "up__write", "{}").await;
        let log = || gate.running().notices().unwrap().log(10);
        soon(problem, || log().iter().any(|one| one.attempts > 0)).await;
        assert_eq!(log()[0].problem.as_deref(), Some(problem));
        let commands = seen.commands.lock().clone();
        let leaked = commands.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL"));
        assert!(!leaked && seen.messages.lock().is_empty(), "{commands:?}");
    }
}
