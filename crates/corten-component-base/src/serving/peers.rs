//! What the connections of one server hold before anybody knows whose they are: their number, and the bytes of heads.
//!
//! All that is known of a client that was not authenticated is its address. So each address has a share, which leaves room
//! for the others; the machine itself may always connect.
//! Upstream: none. There the process that runs out of memory is not the node's kubelet and store.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

/// How many connections one address may have: far above what all users behind one load balancer need.
const CONNECTIONS_OF_PEER_MAX: usize = 4_096;

/// What heads may hold in all.
const HEAD_BYTES_MAX: usize = 256 << 20;

/// What those of one address may hold: dozens of the largest at the same instant.
const HEAD_BYTES_OF_PEER_MAX: usize = HEAD_BYTES_MAX / 4;

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Connections of one address; those of the machine itself are not counted.
    pub(super) connections_of_peer: usize,
    /// Bytes of heads in all; the machine itself has its share beside them.
    pub(super) bytes: usize,
    /// Bytes of heads of one address.
    pub(super) bytes_of_peer: usize,
}

impl Bounds {
    /// The bounds of a server with places for `connections`: no address takes more than half of them.
    pub(super) fn of(connections: usize) -> Self {
        Self {
            connections_of_peer: CONNECTIONS_OF_PEER_MAX.min(connections.div_ceil(2)),
            bytes: HEAD_BYTES_MAX,
            bytes_of_peer: HEAD_BYTES_OF_PEER_MAX,
        }
    }
}

/// All who are connected; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Peers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    /// Of others than the machine itself.
    bytes: usize,
    by_peer: HashMap<IpAddr, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    connections: usize,
    bytes: usize,
}

/// One connection among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct Peer {
    shared: Arc<Shared>,
    address: IpAddr,
}

/// What the head of one connection holds, until it is dropped.
#[derive(Debug)]
pub(super) struct HeadBytes {
    peer: Arc<Peer>,
    bytes: usize,
}

impl Peers {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared { bounds, sums: Mutex::default() }))
    }

    /// Counts a connection from `address`; `None` if there are too many.
    pub(super) fn connect(&self, address: IpAddr) -> Option<Arc<Peer>> {
        // The same client, whatever socket it came to.
        let address = address.to_canonical();
        let mut sums = self.0.sums.lock();
        let sum = sums.by_peer.entry(address).or_default();
        if sum.connections >= self.0.bounds.connections_of_peer && !address.is_loopback() {
            return None;
        }
        sum.connections += 1;
        Some(Arc::new(Peer { shared: Arc::clone(&self.0), address }))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut sums = self.shared.sums.lock();
        let Some(sum) = sums.by_peer.get_mut(&self.address) else { return };
        sum.connections -= 1;
        if sum.connections == 0 {
            sums.by_peer.remove(&self.address);
        }
    }
}

impl HeadBytes {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        Self { peer, bytes: 0 }
    }

    /// Counts `bytes` instead of what was counted before. Returns false, and counts what it did, if that is too much.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let Peer { shared, address } = &*self.peer;
        let is_own = address.is_loopback();
        let mut sums = shared.sums.lock();
        let all = if is_own { sums.bytes } else { sums.bytes - self.bytes + bytes };
        let Some(sum) = sums.by_peer.get_mut(address) else { return false };
        let of_peer = sum.bytes - self.bytes + bytes;
        if bytes > self.bytes && (of_peer > shared.bounds.bytes_of_peer || !is_own && all > shared.bounds.bytes) {
            return false;
        }
        sum.bytes = of_peer;
        sums.bytes = all;
        self.bytes = bytes;
        true
    }
}

impl Drop for HeadBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// 8,000 connections of one pod, each with a head of a megabyte that did not end, held 8 GB.
    #[test]
    fn one_address_leaves_room_for_the_others() {
        let peers = Peers::new(Bounds::of(65_536));
        let connect = |text: &str| peers.connect(address(text));
        let mut flood: Vec<HeadBytes> =
            std::iter::from_fn(|| connect("10.244.0.7")).take(8_000).map(HeadBytes::new).collect();
        assert_eq!(flood.len(), CONNECTIONS_OF_PEER_MAX);
        assert!(connect("::ffff:10.244.0.7").is_none(), "the same address in other clothes");
        assert_eq!(flood.iter_mut().filter_map(|head| head.set(1 << 20).then_some(())).count(), 64);
        let mut others: Vec<HeadBytes> =
            ["10.244.0.8", "127.0.0.1"].map(|text| HeadBytes::new(connect(text).unwrap())).into();
        assert!(others.iter_mut().all(|head| head.set(1 << 20)));
        // What is given back is there for the next.
        drop(flood.split_off(63));
        assert!(HeadBytes::new(connect("10.244.0.7").unwrap()).set(1 << 20));
    }

    #[test]
    fn the_machine_itself_has_its_share_when_many_addresses_took_all() {
        let peers = Peers::new(Bounds { connections_of_peer: 2, bytes: 100, bytes_of_peer: 50 });
        let head = |text: &str| HeadBytes::new(peers.connect(address(text)).unwrap());
        let mut all = [head("10.0.0.1"), head("10.0.0.2"), head("10.0.0.3"), head("::1"), head("::1"), head("::1")];
        let got = all.each_mut().map(|head| head.set(50));
        assert_eq!(got, [true, true, false, true, false, false]);
        assert!(all[0].set(20) && all[2].set(30) && !all[2].set(31));
        drop(all);
        let sums = peers.0.sums.lock();
        assert!(sums.bytes == 0 && sums.by_peer.is_empty(), "{sums:?}");
    }
}
