//! `health`: a probe for images that have no other client. One request, a few bytes of answer.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::out::Out;

/// Time for connecting, for writing and for each read.
const STEP: Duration = Duration::from_secs(3);
/// Bytes of the answer that are read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

pub(super) fn run(address: SocketAddr, ready: bool, out: &mut Out) -> Result<Exit, Failure> {
    let path = if ready { "/readyz" } else { "/healthz" };
    match ask(address, path) {
        Ok(true) => {
            out.line("ok");
            Ok(Exit::Yes)
        }
        Ok(false) => {
            out.line("not ok");
            Ok(Exit::No)
        }
        Err(error) => Err(Failure { exit: Exit::No, lines: vec![format!("{address}: {error}")] }),
    }
}

fn ask(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_200_is_health() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(true)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(false)),
            ("HTTP/1.1 2000 Odd\r\n\r\n", Some(false)),
            ("SSH-2.0-x\r\n", Some(false)),
            ("", Some(false)),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4];
                stream.read_exact(&mut request).unwrap();
                assert_eq!(&request, b"GET ");
                // Read on to the end of the head: closing with unread bytes would reset the connection.
                let mut rest = Vec::new();
                while !rest.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    rest.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(ask(address, "/healthz").ok(), expected, "{answer}");
            server.join().unwrap();
        }
    }
}
