//! Feeds the DNS process with services, endpoint slices and namespaces, over its socket.
//!
//! A new DNS process, or a broken connection, gets everything again.

use std::{path::PathBuf, time::Duration};

use corten_apimachinery::stored::Stored;
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown};
use corten_dns::{
    Input,
    wire::{Feeder, WireError},
    zone::{EndpointSliceFacts, ObjectKey, ServiceFacts},
};
use corten_informer::{Changes, InformerFactory, Key};
use tokio::sync::watch;
use tracing::{debug, warn};

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Namespace,
    Service,
    Slice,
}

const SOURCES: [(Source, &str, &str); 3] = [
    (Source::Namespace, "", "namespaces"),
    (Source::Service, "", "services"),
    (Source::Slice, "discovery.k8s.io", "endpointslices"),
];

/// Follows informers on behalf of a DNS process.
#[derive(Debug)]
pub(crate) struct DnsFeed {
    changes: Changes<Source>,
    socket: PathBuf,
    clock: SharedClock,
    rng: SharedRng,
}

impl DnsFeed {
    /// Asks `factory` for the informers it needs; whoever owns the factory starts them.
    pub(crate) fn new(factory: &InformerFactory, socket: PathBuf, clock: SharedClock, rng: SharedRng) -> Self {
        Self { changes: Changes::follow(factory, &SOURCES), socket, clock, rng }
    }

    /// Feeds until shutdown. `process` counts the processes that have listened on the socket; `told` gets its count when
    /// one knows everything.
    pub(crate) async fn run(self, mut process: watch::Receiver<u64>, told: watch::Sender<u64>, shutdown: Shutdown) {
        let work = async {
            self.changes.synced().await;
            let mut backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
            loop {
                // The first one may not listen yet.
                if process.wait_for(|count| *count > 0).await.is_err() {
                    return;
                }
                let count = *process.borrow_and_update();
                let began = self.clock.monotonic();
                let ended = tokio::select! {
                    biased;
                    changed = process.changed() => match changed {
                        Ok(()) => { backoff.reset(); continue }
                        Err(_) => return,
                    },
                    ended = self.feed(count, &told) => ended,
                };
                if let Err(error) = ended {
                    debug!(err = %ErrorChain(&error), "Lost the feed of DNS");
                }
                // One that held for a while is made again at once.
                if self.clock.monotonic().saturating_sub(began) > Duration::from_secs(60) {
                    backoff.reset();
                }
                self.clock.sleep(backoff.next(&*self.rng)).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = work => {}
        }
    }

    /// Sends everything, then changes, until the connection breaks.
    async fn feed(&self, count: u64, told: &watch::Sender<u64>) -> Result<(), WireError> {
        let mut feeder = Feeder::connect(&self.socket).await?;
        for (source, key, object) in self.changes.restart() {
            self.send(&mut feeder, source, &key, object.as_deref()).await?;
        }
        feeder.send(&Input::Synced).await?;
        feeder.flush().await?;
        told.send_replace(count);
        loop {
            self.changes.wait().await;
            for (source, key, object) in self.changes.take() {
                self.send(&mut feeder, source, &key, object.as_deref()).await?;
            }
            feeder.flush().await?;
        }
    }

    async fn send(
        &self,
        feeder: &mut Feeder,
        source: Source,
        key: &Key,
        object: Option<&Stored>,
    ) -> Result<(), WireError> {
        let name = || ObjectKey::new(&key.namespace, &key.name);
        let input = match (source, object) {
            (Source::Namespace, Some(_)) => Input::Namespace(key.name.as_str().into()),
            (Source::Namespace, None) => Input::NamespaceDeleted(key.name.as_str().into()),
            (Source::Service, None) => Input::ServiceDeleted(name()),
            (Source::Slice, None) => Input::EndpointSliceDeleted(name()),
            (Source::Service, Some(object)) => match ServiceFacts::from_json(&object.json) {
                Ok(facts) => Input::Service(facts),
                Err(error) => {
                    warn!(service = %key, err = %ErrorChain(&error), "Could not read a service for DNS");
                    return Ok(());
                }
            },
            (Source::Slice, Some(object)) => match EndpointSliceFacts::from_json(&object.json) {
                // A slice of no service has no name.
                Ok(None) => Input::EndpointSliceDeleted(name()),
                Ok(Some(facts)) => Input::EndpointSlice(facts),
                Err(error) => {
                    warn!(slice = %key, err = %ErrorChain(&error), "Could not read an endpoint slice for DNS");
                    return Ok(());
                }
            },
        };
        feeder.send(&input).await
    }
}
