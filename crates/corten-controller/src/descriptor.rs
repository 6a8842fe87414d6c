//! What a controller is, as data: what others derive from it (flags, clients, names in logs).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_base::{SharedClock, SharedRng, Shutdown};
use corten_client::{Client, events::Recorder};
use corten_informer::InformerFactory;

/// One controller. `C` is the typed configuration that all controllers of a catalog share.
#[derive(Debug)]
pub struct ControllerDescriptor<C: 'static = ()> {
    /// Upstream's name, as `--controllers` knows it: `ttl-after-finished-controller`.
    pub name: &'static str,
    /// Older names that `--controllers` still understands.
    pub aliases: &'static [&'static str],
    /// The service account in `kube-system` that it acts as: `ttl-after-finished-controller`. Its role,
    /// `system:controller:<identity>`, is part of the bootstrap policy.
    pub identity: &'static str,
    /// The feature gate without which it does not run.
    pub feature_gate: Option<&'static str>,
    /// How many keys it reconciles at the same time, by default.
    pub workers: usize,
    /// Makes it. Informers asked for here are started and synced before `run`.
    pub build: fn(Context<C>) -> Box<dyn Controller>,
}

/// A controller that was built.
#[async_trait]
pub trait Controller: Send {
    /// Works until shutdown is requested, and returns when its tasks have ended.
    async fn run(self: Box<Self>, shutdown: Shutdown);
}

/// Gives clients with the identity of a controller.
pub trait ClientFactory: fmt::Debug + Send + Sync + 'static {
    /// A client that acts as `system:serviceaccount:kube-system:<identity>`.
    fn client(&self, identity: &str) -> Client;
}

/// What a controller is built from.
#[derive(Debug)]
pub struct Context<C: 'static = ()> {
    /// The descriptor's name.
    pub name: &'static str,
    /// The descriptor's identity.
    pub identity: &'static str,
    /// How many keys to reconcile at the same time.
    pub workers: usize,
    /// Clients by identity.
    pub clients: Arc<dyn ClientFactory>,
    /// The client of the controller manager itself, for controllers that upstream gives no identity of their own.
    pub manager: Client,
    /// Informers that all controllers of the process share.
    pub informers: InformerFactory,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
    /// Events, reported under the identity; `for_component` where upstream has another name.
    pub recorder: Recorder,
    /// Ends when the process is to end; for what a controller starts while it is built.
    pub shutdown: Shutdown,
    /// The configuration of the catalog's controllers.
    pub config: Arc<C>,
}

impl<C> Context<C> {
    /// A client under this controller's identity.
    #[must_use]
    pub fn client(&self) -> Client {
        self.clients.client(self.identity)
    }
}
