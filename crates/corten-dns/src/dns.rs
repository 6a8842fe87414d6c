//! The component: what it is configured with, what it is fed with, and its run.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use corten_base::{SharedClock, SharedRng, Shutdown, TaskPanic, TaskSet};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{error, info};

use crate::{
    forward::{
        Forwarder,
        resolvers::{self, FileWatch},
    },
    message::Name,
    metrics::Metrics,
    server::{Responder, Server},
    wire::Feed,
    zone::{EndpointSliceFacts, ObjectKey, ServiceFacts, Zone},
};

/// Changes on their way into the zone; a sender waits when it is full.
const INPUTS: usize = 1_024;
/// Changes applied under one lock: some ten microseconds, in which no query is answered.
const BATCH: usize = 64;

/// How the DNS server runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// `--cluster-domain`: the zone.
    pub cluster_domain: String,
    /// Where it listens, UDP and TCP: the address of the pods' bridge, and nothing else.
    pub listen: Vec<SocketAddr>,
    /// Who knows the rest of the world.
    pub upstreams: Upstreams,
    /// The most replies that are kept.
    pub cache_entries: usize,
    /// The socket on which another process feeds the zone, if one does.
    pub feed_socket: Option<PathBuf>,
}

/// Where resolvers come from.
#[derive(Debug, Clone)]
pub enum Upstreams {
    /// These.
    Fixed(Vec<SocketAddr>),
    /// Those of this file, followed while it changes.
    ResolvConf(PathBuf),
}

/// A change of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    /// A full state follows, up to `Synced`; until then the last known one is served.
    Replay,
    /// A namespace exists.
    Namespace(Box<str>),
    /// A namespace is gone.
    NamespaceDeleted(Box<str>),
    /// A service was made or changed.
    Service(ServiceFacts),
    /// A service is gone.
    ServiceDeleted(ObjectKey),
    /// A slice was made or changed.
    EndpointSlice(EndpointSliceFacts),
    /// A slice is gone.
    EndpointSliceDeleted(ObjectKey),
    /// Everything that exists was named since `Replay`, or since the start.
    Synced,
}

/// Why DNS cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The configured domain is not a name.
    #[error("cluster domain {0:?} is not a DNS name")]
    Domain(String),
    /// An address cannot be listened on.
    #[error("listen for DNS on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The resolvers' file cannot be watched.
    #[error("watch {}", path.display())]
    Watch {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The feed's socket cannot be made.
    #[error("make feed socket {}", path.display())]
    Feed {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A task that it cannot go on without ended in a panic.
    #[error(transparent)]
    Panic(#[from] TaskPanic),
}

/// A DNS server whose sockets are bound.
#[derive(Debug)]
pub struct Dns {
    zone: Arc<RwLock<Zone>>,
    forwarder: Arc<Forwarder>,
    server: Server,
    watch: Option<FileWatch>,
    feed: Option<Feed>,
    sender: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    clock: SharedClock,
    metrics: Metrics,
}

impl Dns {
    /// Binds the sockets and reads the resolvers; queries wait in the sockets until `run`.
    pub async fn build(config: Config, clock: SharedClock, rng: SharedRng, metrics: Metrics) -> Result<Self, DnsError> {
        let domain = Name::from_text(&config.cluster_domain).filter(|name| *name != Name::root());
        let domain = domain.ok_or(DnsError::Domain(config.cluster_domain))?;
        let server =
            Server::bind(&config.listen).await.map_err(|(address, source)| DnsError::Listen { address, source })?;
        let own = server.addresses();
        let forwarder = Arc::new(Forwarder::new(own, config.cache_entries, Arc::clone(&clock), rng, metrics.clone()));
        let watch = match config.upstreams {
            Upstreams::Fixed(addresses) => {
                forwarder.set_resolvers(&addresses);
                None
            }
            Upstreams::ResolvConf(path) => {
                let watch = FileWatch::new(&path).map_err(|source| DnsError::Watch { path: path.clone(), source })?;
                resolvers::load(&path, &forwarder);
                Some(watch)
            }
        };
        let feed = config.feed_socket.map(|path| Feed::bind(&path).map_err(|source| DnsError::Feed { path, source }));
        let (sender, inputs) = mpsc::channel(INPUTS);
        let zone = Arc::new(RwLock::new(Zone::new(domain)));
        Ok(Self { zone, forwarder, server, watch, feed: feed.transpose()?, sender, inputs, clock, metrics })
    }

    /// The addresses it listens on.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server.addresses()
    }

    /// Where changes of the cluster go. Every one matters: the sender waits while the channel is full.
    #[must_use]
    pub fn inputs(&self) -> mpsc::Sender<Input> {
        self.sender.clone()
    }

    /// Serves until shutdown, and returns when the queries at hand are answered.
    ///
    /// Errors: a task of the server panicked. Its sockets, or its zone, have nobody any more, so that the process is to end at
    /// once and be started anew; other tasks go on until then. A panic in one connection or in one question that waits for a
    /// resolver ends only that.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), DnsError> {
        let (tasks, queries) = (TaskSet::new("dns"), TaskSet::new("dns-queries"));
        let addresses = self.addresses();
        let responder = Arc::new(Responder::new(Arc::clone(&self.zone), Arc::clone(&self.forwarder)));
        self.server.spawn(responder, (&tasks, &queries), &self.clock, &self.metrics, &shutdown);
        if let Some(watch) = self.watch {
            tasks.spawn("resolvers", resolvers::follow(watch, Arc::clone(&self.forwarder), shutdown.clone()));
        }
        if let Some(feed) = self.feed {
            tasks.spawn("feed", feed.run(self.sender.clone(), Arc::clone(&self.clock), shutdown.clone()));
        }
        tasks.spawn("zone", apply(self.zone, self.inputs, self.clock, shutdown));
        info!(?addresses, "Serving DNS");
        // This end would keep the zone's task waiting for changes that no one can send.
        drop(self.sender);
        tokio::select! {
            biased;
            panic = tasks.panicked() => return Err(panic.into()),
            ended = tasks.join() => ended?,
        }
        if let Err(panic) = queries.join().await {
            error!(err = %panic, "A query panicked");
        }
        Ok(())
    }
}

/// Applies changes in their order, several at a time.
async fn apply(zone: Arc<RwLock<Zone>>, mut inputs: mpsc::Receiver<Input>, clock: SharedClock, shutdown: Shutdown) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            received = inputs.recv_many(&mut batch, BATCH) => received,
        };
        if received == 0 {
            // All senders are gone: the last known zone stays.
            return;
        }
        let serial = clock.now().as_second() as u32;
        let mut zone = zone.write();
        batch.drain(..).for_each(|input| apply_one(&mut zone, input));
        zone.settle(serial);
    }
}

/// Applies one change; `Zone::settle` ends the batch.
pub fn apply_one(zone: &mut Zone, input: Input) {
    match input {
        Input::Replay => zone.begin_replay(),
        Input::Namespace(name) => zone.upsert_namespace(&name),
        Input::NamespaceDeleted(name) => zone.delete_namespace(&name),
        Input::Service(facts) => zone.upsert_service(facts),
        Input::ServiceDeleted(key) => zone.delete_service(&key),
        Input::EndpointSlice(facts) => zone.upsert_endpoint_slice(facts),
        Input::EndpointSliceDeleted(key) => zone.delete_endpoint_slice(&key),
        Input::Synced => {
            zone.synced();
            info!(services = zone.services(), "Synced zone");
        }
    }
}

#[cfg(test)]
mod tests;
