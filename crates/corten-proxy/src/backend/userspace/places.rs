//! Places for connections and flows, all services together, of which no client takes all.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use corten_base::{Shutdown, ShutdownTrigger};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections. Who finds none waits; a client that has its share gets no more.
#[derive(Debug)]
pub(super) struct ConnectionPlaces {
    free: Arc<Semaphore>,
    share: usize,
    clients: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<ConnectionPlaces>,
    client: IpAddr,
    /// `None` until there is a place for it among all.
    permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionPlaces {
    /// `total` places, of which one address has at most `share`.
    pub(super) fn new(total: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(total)), share, clients: Mutex::default() })
    }

    /// Waits for a place; `None` if the client has its share. Cancelling gives up the wait.
    pub(super) async fn take(self: &Arc<Self>, client: IpAddr) -> Option<ConnectionPlace> {
        {
            let mut clients = self.clients.lock();
            let held = clients.entry(client).or_default();
            if *held >= self.share {
                return None;
            }
            *held += 1;
        }
        let mut place = ConnectionPlace { places: Arc::clone(self), client, permit: None };
        place.permit = Some(Arc::clone(&self.free).acquire_owned().await.expect("is never closed"));
        Some(place)
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut clients = self.places.clients.lock();
        if let Some(held) = clients.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Places for flows of datagrams. There always is one: where a client has its share its own flow that is idle for longest gives
/// way, and where all are taken that of the client that has most.
#[derive(Debug)]
pub(super) struct FlowPlaces {
    total: usize,
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// By client, then by the number that each place gets.
    clients: BTreeMap<IpAddr, BTreeMap<u64, Arc<FlowUse>>>,
    last: u64,
}

/// When a flow was used, and what ends it.
#[derive(Debug)]
struct FlowUse {
    /// Milliseconds of the monotonic clock.
    last_used: AtomicU64,
    stop: ShutdownTrigger,
}

/// One flow's place, given back on drop.
#[derive(Debug)]
pub(super) struct FlowPlace {
    places: Arc<FlowPlaces>,
    client: IpAddr,
    number: u64,
    usage: Arc<FlowUse>,
}

impl FlowPlaces {
    /// `total` places, of which one address has at most `share`.
    pub(super) fn new(total: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { total, share, taken: Mutex::default() })
    }

    /// A place, used `now`; what it gives asks its flow to end, as `stopped` does.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr, now: Duration, stopped: &Shutdown) -> (FlowPlace, Shutdown) {
        let (stop, stopped) = stopped.child();
        let usage = Arc::new(FlowUse { last_used: AtomicU64::new(now.as_millis() as u64), stop });
        let mut taken = self.taken.lock();
        let held = taken.clients.get(&client).map_or(0, BTreeMap::len);
        if held >= self.share {
            taken.end_idlest(client);
        } else if taken.count >= self.total {
            let most = taken.clients.iter().max_by_key(|(_, flows)| flows.len()).map(|(client, _)| *client);
            most.into_iter().for_each(|client| taken.end_idlest(client));
        }
        taken.last += 1;
        taken.count += 1;
        let number = taken.last;
        taken.clients.entry(client).or_default().insert(number, Arc::clone(&usage));
        (FlowPlace { places: Arc::clone(self), client, number, usage }, stopped)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.taken.lock().count
    }
}

impl Taken {
    fn end_idlest(&mut self, client: IpAddr) {
        let flows = self.clients.get(&client).into_iter().flatten();
        let idlest = flows.min_by_key(|(_, usage)| usage.last_used.load(Ordering::Relaxed)).map(|(number, _)| *number);
        if let Some(gone) = idlest.and_then(|number| self.give_back(client, number)) {
            gone.stop.request();
        }
    }

    /// A place that was taken from its flow is not given back once more.
    fn give_back(&mut self, client: IpAddr, number: u64) -> Option<Arc<FlowUse>> {
        let flows = self.clients.get_mut(&client)?;
        let gone = flows.remove(&number)?;
        if flows.is_empty() {
            self.clients.remove(&client);
        }
        self.count -= 1;
        Some(gone)
    }
}

impl FlowPlace {
    /// A datagram passes.
    pub(super) fn used(&self, now: Duration) {
        self.usage.last_used.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    /// When the last datagram passed, either way.
    pub(super) fn last_used(&self) -> Duration {
        Duration::from_millis(self.usage.last_used.load(Ordering::Relaxed))
    }

    /// Asks the flow to end.
    pub(super) fn end(&self) {
        self.usage.stop.request();
    }
}

impl Drop for FlowPlace {
    fn drop(&mut self) {
        self.places.taken.lock().give_back(self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;

    const GREEDY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const MODEST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_client_takes_no_place_from_others_when_it_has_its_share_or_most() {
        let (_stop, stopped) = Shutdown::new();
        let second = Duration::from_secs;
        let places = FlowPlaces::new(4, 3);
        let mut greedy: Vec<_> = (1..=3).map(|n| places.take(GREEDY, second(n), &stopped)).collect();
        greedy[0].0.used(second(9));
        // The fourth of its own: its second flow is idle for longest now.
        greedy.push(places.take(GREEDY, second(10), &stopped));
        assert_eq!(greedy.iter().map(|(_, s)| s.is_requested()).collect::<Vec<_>>(), [false, true, false, false]);
        let modest: Vec<_> = (11..=12).map(|n| places.take(MODEST, second(n), &stopped)).collect();
        assert_eq!(greedy.iter().map(|(_, s)| s.is_requested()).collect::<Vec<_>>(), [false, true, true, false]);
        assert!(modest.iter().all(|(_, stopped)| !stopped.is_requested()));
        assert_eq!(places.count(), 4);
        drop((greedy, modest));
        assert_eq!(places.count(), 0);
        assert!(places.taken.lock().clients.is_empty());
    }

    #[tokio::test]
    async fn a_client_with_its_share_of_connections_gets_no_more_and_others_do() {
        let places = ConnectionPlaces::new(3, 2);
        let first = places.take(GREEDY).await.unwrap();
        let _second = places.take(GREEDY).await.unwrap();
        assert!(places.take(GREEDY).await.is_none());
        let _other = places.take(MODEST).await.unwrap();
        // Now all are taken: who waits and goes away leaves nothing behind.
        let mut waiting = Box::pin(places.take(MODEST));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(waiting);
        drop(first);
        assert!(places.take(MODEST).await.is_some());
        assert_eq!(*places.clients.lock(), BTreeMap::from([(GREEDY, 1), (MODEST, 1)]));
    }
}
