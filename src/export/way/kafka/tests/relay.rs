//! In front of the mock cluster: passes requests on one by one, and is the only broker that answers tell of.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Mock;

#[derive(Clone, Default)]
pub(super) struct Front {
    pub(super) tls: Option<TlsAcceptor>,
    /// What a client has to show before anything else: user and password, as SASL PLAIN has it (RFC 4616).
    pub(super) password: Option<&'static str>,
    /// Says that the broker is at an address far away.
    pub(super) elsewhere: bool,
}

/// Its address, and how many requests with records it was sent.
pub(super) async fn start(mock: &Mock, front: Front) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, produced) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let behind = mock.bootstrap_servers();
    let port = |port: u16| i32::from(port).to_be_bytes();
    let said = [&b"127.0.0.1"[..], &port(behind.rsplit(':').next().unwrap().parse().unwrap())].concat();
    let host = if front.elsewhere { b"10.9.9.99" } else { b"127.0.0.1" };
    let says = [&host[..], &port(address.port())].concat();
    let count = produced.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (front, behind, said, says, count) = (front.clone(), behind.clone(), said.clone(), says.clone(), count.clone());
            tokio::spawn(async move {
                let behind = TcpStream::connect(behind).await?;
                match &front.tls {
                    Some(tls) => pass(tls.accept(tcp).await?, behind, front.password, (&said, &says), &count).await,
                    None => pass(tcp, behind, front.password, (&said, &says), &count).await,
                }
            });
        }
    });
    (address.to_string(), produced)
}

async fn pass(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut broker: TcpStream,
    mut password: Option<&str>,
    (said, says): (&[u8], &[u8]),
    produced: &AtomicUsize,
) -> io::Result<()> {
    const PRODUCE: &[u8] = &[0, 0];
    const VERSIONS: &[u8] = &[0, 18];
    const HANDSHAKE: &[u8] = &[0, 17];
    loop {
        let request = frame(&mut client).await?;
        let kind = request.get(..2).unwrap();
        if let Some(expected) = password.filter(|_| kind != VERSIONS) {
            if kind == HANDSHAKE {
                let answer = [request.get(4..8).unwrap(), b"\0\0\0\0\0\x01\0\x05PLAIN"].concat();
                send(&mut client, &answer).await?;
            } else if request == expected.as_bytes() {
                password = None;
                send(&mut client, b"").await?;
            } else {
                return Ok(());
            }
            continue;
        }
        if kind == PRODUCE {
            produced.fetch_add(1, Ordering::Relaxed);
        }
        send(&mut broker, &request).await?;
        let mut answer = frame(&mut broker).await?;
        if password.is_some() && answer.get(4..6).unwrap() == b"\0\0" {
            // The mock has no SASL: one more kind of request, in its first version, is what answers to the first version of this one add.
            *answer.get_mut(9).unwrap() += 1;
            answer.extend_from_slice(&[HANDSHAKE, &[0; 4]].concat());
        }
        while let Some(at) = (said != says).then(|| memchr::memmem::find(&answer, said)).flatten() {
            answer.splice(at..at + said.len(), says.iter().copied());
        }
        send(&mut client, &answer).await?;
    }
}

async fn frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    to.write_all(&[&length[..], frame].concat()).await?;
    to.flush().await
}
