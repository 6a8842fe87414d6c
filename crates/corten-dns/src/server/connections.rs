//! Places for connections: so many in all, and so many for one client, whose silence must not cost others their answers.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Open connections; further clients wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 256;
/// Those of one address. A resolver has one or two at a time, and a busy pod a few; it takes sixteen pods to fill all places.
pub(super) const CONNECTIONS_PER_CLIENT_MAX: usize = 16;

/// The places of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    all: Arc<Semaphore>,
    /// Clients that have connections, so at most as many as there are places.
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    metrics: Metrics,
}

/// The place of a connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    client: IpAddr,
    connections: Connections,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { all: Arc::new(Semaphore::new(CONNECTIONS_MAX)), clients: Arc::default(), metrics }
    }

    /// Waits until a place is free. Cancel-safe.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.all).acquire_owned().await.expect("this semaphore is never closed")
    }

    /// Gives `place` to a client; nothing if it has its share.
    pub(super) fn admit(&self, place: OwnedSemaphorePermit, client: SocketAddr) -> Option<Connection> {
        let client = client.ip().to_canonical();
        let mut clients = self.clients.lock();
        let count = clients.entry(client).or_default();
        if *count >= CONNECTIONS_PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        drop(clients);
        self.metrics.connections.inc();
        Some(Connection { client, connections: self.clone(), _place: place })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.metrics.connections.dec();
        if let Entry::Occupied(mut count) = self.connections.clients.lock().entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pod that kept all places was the only one that got answers too long for UDP.
    #[tokio::test]
    async fn one_client_leaves_places_to_others() {
        let connections = Connections::new(Metrics::default());
        let client = |last| SocketAddr::from(([10, 244, 0, last], 4_711));
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_PER_CLIENT_MAX {
            held.push(connections.admit(connections.free().await, client(1)).expect("it has places left"));
        }
        assert!(connections.admit(connections.free().await, client(1)).is_none());
        let other = connections.admit(connections.free().await, client(2)).expect("the other has its own share");
        held.pop();
        held.push(connections.admit(connections.free().await, client(1)).expect("one was given back"));
        drop((held, other));
        assert!(connections.clients.lock().is_empty());
        assert_eq!(connections.all.available_permits(), CONNECTIONS_MAX);
        assert_eq!(connections.metrics.connections.get(), 0);
    }
}
