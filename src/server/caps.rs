//! How many connections may be open, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts of open connections. Bounded by the connections themselves.
pub(super) struct Caps {
    total_max: usize,
    per_ip_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// The right to one connection; dropped = returned.
pub(super) struct ConnectionLease {
    caps: Arc<Caps>,
    key: IpAddr,
}

impl Caps {
    pub(super) fn new(total_max: usize, per_ip_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_ip_max, open: Mutex::default() })
    }

    /// A lease for one more connection from `ip`, unless a cap is reached.
    pub(super) fn take(this: &Arc<Self>, ip: IpAddr) -> Option<ConnectionLease> {
        let key = key(ip);
        let mut open = this.open.lock();
        if open.total >= this.total_max || open.by_ip.get(&key).copied().unwrap_or(0) >= this.per_ip_max {
            return None;
        }
        open.total = open.total.saturating_add(1);
        let from_here = open.by_ip.entry(key).or_default();
        *from_here = from_here.saturating_add(1);
        drop(open);
        Some(ConnectionLease { caps: this.clone(), key })
    }
}

impl Drop for ConnectionLease {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.by_ip.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_ip.remove(&self.key);
            }
        }
    }
}

/// One network subscriber: an IPv4 address, or the /64 that an IPv6 host usually has to itself.
fn key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_bounded_and_return() {
        let caps = Caps::new(3, 2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = Caps::take(&caps, ip("2001:db8::1")).unwrap();
        let two = Caps::take(&caps, ip("2001:db8::2")).unwrap();
        assert!(Caps::take(&caps, ip("2001:db8::3")).is_none(), "the same /64");
        let three = Caps::take(&caps, ip("2001:db8:0:1::1")).unwrap();
        assert!(Caps::take(&caps, ip("192.0.2.1")).is_none(), "the total");
        drop(one);
        let four = Caps::take(&caps, ip("192.0.2.1")).unwrap();
        drop((two, three));
        let five = Caps::take(&caps, ip("::ffff:192.0.2.1")).unwrap();
        assert!(Caps::take(&caps, ip("192.0.2.1")).is_none(), "mapped addresses are the same address");
        drop((four, five));
        assert!(caps.open.lock().by_ip.is_empty());
    }
}
