//! What a controller is, as data: everything about it that others derive from (flags, roles, metrics, docs).

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
    /// The feature gate without which it does not run.
    pub feature_gate: Option<&'static str>,
    /// How many keys it reconciles at the same time, by default.
    pub workers: usize,
    /// What its identity may do.
    pub rbac: &'static [Rule],
    /// Makes it. Informers asked for here are started and synced before `run`.
    pub build: fn(Context<C>) -> Box<dyn Controller>,
}

/// One rule of a controller's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The API groups, separated by commas; empty for the core group.
    pub groups: &'static str,
    /// The resources, separated by commas.
    pub resources: &'static str,
    /// The verbs, separated by commas.
    pub verbs: &'static str,
}

/// A rule: `rule("batch", "jobs", "get,list,watch,delete")`.
#[must_use]
pub const fn rule(groups: &'static str, resources: &'static str, verbs: &'static str) -> Rule {
    Rule { groups, resources, verbs }
}

/// Writing events, in both API groups.
pub const EVENTS: Rule = rule(",events.k8s.io", "events", "create,patch,update");

impl Rule {
    /// The API groups; the core group is the empty text.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        self.groups.split(',')
    }

    /// The resources.
    pub fn resources(&self) -> impl Iterator<Item = &'static str> {
        self.resources.split(',')
    }

    /// The verbs.
    pub fn verbs(&self) -> impl Iterator<Item = &'static str> {
        self.verbs.split(',')
    }
}

/// A controller that was built.
#[async_trait]
pub trait Controller: Send {
    /// Works until shutdown is requested, and returns when its tasks have ended.
    async fn run(self: Box<Self>, shutdown: Shutdown);
}

/// Gives clients with the identity of a controller.
pub trait ClientFactory: fmt::Debug + Send + Sync + 'static {
    /// A client that acts as `system:serviceaccount:kube-system:<name>`.
    fn client(&self, name: &str) -> Client;
}

/// What a controller is built from.
#[derive(Debug)]
pub struct Context<C: 'static = ()> {
    /// The descriptor's name.
    pub name: &'static str,
    /// How many keys to reconcile at the same time.
    pub workers: usize,
    /// Clients by identity.
    pub clients: Arc<dyn ClientFactory>,
    /// Informers that all controllers of the process share.
    pub informers: InformerFactory,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
    /// Events, reported under the controller's name.
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
        self.clients.client(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_lists() {
        let jobs = rule("batch", "jobs,jobs/status", "get,update");
        assert_eq!(jobs.resources().collect::<Vec<_>>(), ["jobs", "jobs/status"]);
        assert_eq!(jobs.verbs().collect::<Vec<_>>(), ["get", "update"]);
        assert_eq!(EVENTS.groups().collect::<Vec<_>>(), ["", "events.k8s.io"]);
    }
}
