//! The guarded dial: the address connected to is the address that was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

use super::address::{AddressKind, kind_of};
use crate::vocab::Deadline;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Length of a host name (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Which addresses an operator consented to. The default allows the public internet only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DialPolicy {
    /// Private, shared, unique local, benchmarking and reserved addresses are fine.
    pub allow_private: bool,
    /// This machine is fine.
    pub allow_loopback: bool,
}

impl DialPolicy {
    /// Whether a connection to `ip` may be made.
    pub fn permits(self, ip: IpAddr) -> bool {
        match kind_of(ip) {
            AddressKind::Public => true,
            AddressKind::Private => self.allow_private,
            AddressKind::Loopback => self.allow_loopback,
            AddressKind::Never => false,
        }
    }
}

/// Why no connection came about. The text is for the operator's log: it must not reach the party that named the host.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name is not a host name, or has no address.
    #[error("the host name does not resolve")]
    Resolve,
    /// The name leads to at least one address that the policy refuses, so none was dialled.
    #[error("the host leads to an address that may not be dialled")]
    Refused,
    /// No address accepted the connection.
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// The deadline passed.
    #[error("no connection in time")]
    Timeout,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
}

/// Connects to `host` (a name, or an IP literal with or without brackets) within `deadline`.
///
/// Every address of the name is judged before the first is dialled, and one refused address refuses the name: an answer that
/// mixes public and private addresses is how a rebinding name looks. Only judged addresses are dialled; nothing resolves twice.
///
/// # Errors
/// [`DialError`], any kind but [`DialError::Tls`].
pub async fn dial(host: &str, port: u16, policy: DialPolicy, deadline: Deadline) -> Result<TcpStream, DialError> {
    let addresses = timeout_at(deadline.instant().into(), resolve(host, port)).await.map_err(|_| DialError::Timeout)??;
    dial_any(&addresses, policy, deadline).await
}

/// Judges all of `addresses`, then dials them in order. Each gets an equal share of the time left.
pub(super) async fn dial_any(addresses: &[SocketAddr], policy: DialPolicy, deadline: Deadline) -> Result<TcpStream, DialError> {
    if !addresses.iter().all(|a| policy.permits(a.ip())) {
        return Err(DialError::Refused);
    }
    let mut last = DialError::Resolve;
    for (tried, address) in addresses.iter().enumerate().take(ADDRESSES_MAX) {
        let left = u32::try_from(addresses.len().min(ADDRESSES_MAX) - tried).unwrap_or(1);
        let share: Duration = deadline.remaining() / left;
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|e| DialError::Connect(e.kind()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => DialError::Connect(error.kind()),
            Err(_) => DialError::Timeout,
        };
    }
    Err(last)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let host = unbracketed(host);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(plain) {
        return Err(DialError::Resolve);
    }
    #[cfg(test)]
    if let Some(ips) = names::answer(host) {
        return Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
    }
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(|_| DialError::Resolve)?.collect();
    if addresses.is_empty() { Err(DialError::Resolve) } else { Ok(addresses) }
}

/// `host` without the brackets of an IPv6 literal.
pub(super) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Names that tests teach, so that a name can resolve to anything, and to something else the next time it is asked.
#[cfg(test)]
pub(crate) mod names {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use parking_lot::Mutex;

    static TAUGHT: Mutex<Option<HashMap<String, Vec<Vec<IpAddr>>>>> = Mutex::new(None);

    /// `name` has the addresses of `answers`, one entry per question; the last entry stays.
    pub(crate) fn teach(name: &str, answers: &[&str]) {
        let mut answers: Vec<Vec<IpAddr>> =
            answers.iter().map(|ips| ips.split(' ').map(|ip| ip.parse().unwrap()).collect()).collect();
        answers.reverse();
        TAUGHT.lock().get_or_insert_default().insert(name.to_owned(), answers);
    }

    pub(super) fn answer(name: &str) -> Option<Vec<IpAddr>> {
        let mut taught = TAUGHT.lock();
        let answers = taught.as_mut()?.get_mut(name)?;
        if answers.len() > 1 { answers.pop() } else { answers.last().cloned() }
    }
}
