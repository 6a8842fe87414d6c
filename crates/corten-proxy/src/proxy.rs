//! The component: takes what informers tell, and keeps the backend at what follows from it.
//!
//! One task owns tracker, ruleset and backend. It waits for the inbox, takes all that waits, makes the difference, and
//! lets the backend carry it out on a blocking thread. What arrives meanwhile is the next batch, so a burst costs as few
//! syncs as the kernel is slow. A failed sync is followed by full ones until one succeeds, each after a wait in which what
//! arrives is only taken in.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use corten_base::{Backoff, Clock, ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet, blocking};
use ipnet::IpNet;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{
    backend::{
        Backend, BackendError,
        nftables::{NftablesBackend, NftablesConfig},
        userspace::{UserspaceBackend, UserspaceConfig},
    },
    change_tracker::ChangeTracker,
    inbox::{Batch, Inbox},
    metrics::Snapshot,
    names::{IpFamily, ObjectName},
    ruleset::{Change, HealthCheck, Ruleset, build},
};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// For how long changes may wait for a sync that succeeds before the proxy is not healthy. Upstream: twice the sync period.
const LATE_AFTER: Duration = Duration::from_secs(60);

/// `--proxy-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    /// nftables where the kernel has it, userspace otherwise.
    #[default]
    Auto,
    /// `nftables`.
    Nftables,
    /// `userspace`.
    Userspace,
}

impl fmt::Display for ProxyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Nftables => "nftables",
            Self::Userspace => "userspace",
        })
    }
}

/// Settings; the names in parentheses are upstream's flags.
#[derive(Clone, Debug)]
pub struct Config {
    /// How (`--proxy-mode`).
    pub mode: ProxyMode,
    /// Name of this node (`--hostname-override`): endpoints with it are local.
    pub node_name: String,
    /// Start of the names of everything in the kernel.
    pub prefix: String,
    /// Families to serve.
    pub families: Vec<IpFamily>,
    /// Addresses of pods (`--cluster-cidr`).
    pub cluster_cidrs: Vec<IpNet>,
    /// Addresses of services; what is left of them on `lo` by a crash is removed (userspace only).
    pub service_cidrs: Vec<IpNet>,
    /// Masquerade all clients of cluster addresses (`--masquerade-all`).
    pub masquerade_all: bool,
    /// Bit of the packet mark that asks for masquerading (`--iptables-masquerade-bit`), 0 to 31.
    pub masquerade_bit: u8,
    /// Local addresses that serve node ports (`--nodeport-addresses`); empty for all.
    pub node_port_addresses: Vec<IpNet>,
    /// Node ports on 127.0.0.1 (`--iptables-localhost-nodeports`).
    pub localhost_node_ports: bool,
    /// Shortest time between two syncs (`--iptables-min-sync-period`); upstream has 1 s, zero means as fast as they come.
    pub min_sync_period: Duration,
    /// How often to look whether somebody else took the rules away (`--iptables-sync-period`): one question to the
    /// kernel. The kernel tells nobody who is not asking.
    pub sync_period: Duration,
    /// Where the proxy's health is told (`--healthz-bind-address`).
    pub healthz: Option<SocketAddr>,
    /// Where its figures are told (`--metrics-bind-address`).
    pub metrics: Option<SocketAddr>,
}

impl Config {
    /// The defaults for a node.
    #[must_use]
    pub fn new(node_name: impl Into<String>) -> Self {
        Self {
            mode: ProxyMode::Auto,
            node_name: node_name.into(),
            prefix: "corten".to_owned(),
            families: IpFamily::ALL.to_vec(),
            cluster_cidrs: Vec::new(),
            service_cidrs: Vec::new(),
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
            min_sync_period: Duration::ZERO,
            sync_period: Duration::from_secs(30),
            healthz: Some((Ipv4Addr::UNSPECIFIED, 10_256).into()),
            metrics: Some((Ipv4Addr::LOCALHOST, 10_249).into()),
        }
    }

    fn nftables(&self) -> NftablesConfig {
        NftablesConfig {
            prefix: self.prefix.clone(),
            families: self.families.clone(),
            cluster_cidrs: self.cluster_cidrs.clone(),
            masquerade_all: self.masquerade_all,
            masquerade_mark: 1 << (self.masquerade_bit & 31),
            node_port_addresses: self.node_port_addresses.clone(),
            localhost_node_ports: self.localhost_node_ports,
        }
    }

    fn userspace(&self) -> UserspaceConfig {
        UserspaceConfig {
            families: self.families.clone(),
            cluster_cidrs: self.cluster_cidrs.clone(),
            service_cidrs: self.service_cidrs.clone(),
        }
    }
}

/// Takes out of the kernel what a proxy of this configuration has left there, in whichever mode it was. Blocks.
///
/// `route_localnet` goes off with the rules that guarded it (CVE-2020-8558). Upstream: `--cleanup`, which leaves it on.
pub fn clean_up(config: &Config, clock: SharedClock) -> Result<(), BackendError> {
    if NftablesBackend::is_supported()? {
        NftablesBackend::open(config.nftables())?.retire()?;
    }
    UserspaceBackend::open(config.userspace(), clock)?.clean_up()
}

/// What can be asked of a running proxy. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    shared: Arc<Mutex<StatusState>>,
    health_checks: watch::Sender<Vec<(ObjectName, HealthCheck)>>,
}

/// How the proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether no change waits for longer than a minute.
    pub is_healthy: bool,
    /// When a sync last succeeded.
    pub last_updated: Option<Timestamp>,
    /// The moment of the question.
    pub now: Timestamp,
}

#[derive(Debug, Default)]
struct StatusState {
    metrics: Snapshot,
    /// When the first change was taken in that no sync has carried out, on the monotonic clock.
    pending_since: Option<Duration>,
    last_updated: Option<Timestamp>,
}

impl Status {
    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        self.shared.lock().metrics.clone()
    }

    /// The services whose `healthCheckNodePort` is to be answered.
    #[must_use]
    pub fn watch_health_checks(&self) -> watch::Receiver<Vec<(ObjectName, HealthCheck)>> {
        self.health_checks.subscribe()
    }

    pub(crate) fn set_health_checks(&self, checks: Vec<(ObjectName, HealthCheck)>) {
        self.health_checks.send_replace(checks);
    }

    /// How the proxy is now.
    #[must_use]
    pub fn health(&self, clock: &dyn Clock) -> Health {
        let state = self.shared.lock();
        let waits = state.pending_since.map_or(Duration::ZERO, |since| clock.monotonic().saturating_sub(since));
        Health { is_healthy: waits < LATE_AFTER, last_updated: state.last_updated, now: clock.now() }
    }
}

/// The component. See the module.
pub struct Proxy {
    node_name: String,
    min_sync_period: Duration,
    sync_period: Duration,
    clock: SharedClock,
    rng: SharedRng,
    inbox: Inbox,
    status: Status,
    backend: Box<dyn Backend>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("node_name", &self.node_name).field("backend", &self.backend.name()).finish()
    }
}

impl Proxy {
    /// Opens the backend in the network namespace of the calling thread. Must be called inside a tokio runtime.
    pub fn build(config: &Config, inbox: Inbox, clock: SharedClock, rng: SharedRng) -> Result<Self, BackendError> {
        let uses_nftables = match config.mode {
            ProxyMode::Nftables => true,
            ProxyMode::Userspace => false,
            ProxyMode::Auto => NftablesBackend::is_supported()?,
        };
        // What the other way has left would still lead somewhere.
        let backend: Box<dyn Backend> = if uses_nftables {
            UserspaceBackend::open(config.userspace(), clock.clone())?.clean_up()?;
            Box::new(NftablesBackend::open(config.nftables())?)
        } else {
            if NftablesBackend::is_supported()? {
                NftablesBackend::open(config.nftables())?.clean_up()?;
            }
            Box::new(UserspaceBackend::open(config.userspace(), clock.clone())?)
        };
        Ok(Self::with_backend(config, backend, inbox, clock, rng))
    }

    /// With a backend of the caller's.
    #[must_use]
    pub fn with_backend(
        config: &Config,
        backend: Box<dyn Backend>,
        inbox: Inbox,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        Self {
            node_name: config.node_name.clone(),
            min_sync_period: config.min_sync_period,
            sync_period: config.sync_period,
            clock,
            rng,
            inbox,
            status: Status::default(),
            backend,
        }
    }

    /// What can be asked while `run` runs.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Runs until shutdown. Rules stay in place, as upstream's do, so that a restart interrupts nothing.
    pub async fn run(self, shutdown: Shutdown) {
        let Self { node_name, min_sync_period, sync_period, clock, rng, inbox, status, backend } = self;
        info!(mode = backend.name(), node = %node_name, "Started service proxy");
        let mut backoff = Backoff::doubling(RETRY_FIRST, RETRY_MAX).with_jitter(0.2);
        let mut sync = Sync {
            node_name,
            tracker: ChangeTracker::new(),
            ruleset: Ruleset::default(),
            pending: Vec::new(),
            backend: Some(backend),
            needs_full: true,
            is_synced: false,
            clock: clock.clone(),
            status,
            tasks: TaskSet::new("proxy-rules"),
        };
        // Monotonic times: when a failed sync is tried again, and when the next look at the kernel is due.
        let mut retry_at = None;
        let mut check_at = clock.monotonic() + sync_period;
        loop {
            let wake = clock.sleep_until(retry_at.unwrap_or(check_at));
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                batch = inbox.take() => sync.take_in(batch),
                () = wake => match retry_at.take() {
                    Some(_) => {}
                    None => {
                        sync.check().await;
                        check_at = clock.monotonic() + sync_period;
                    }
                }
            }
            // Whoever changes services does not shorten the wait: each try is a sync of everything.
            if retry_at.is_some() || !sync.is_due() {
                continue;
            }
            match sync.run().await {
                Ok(()) => backoff.reset(),
                Err(e) => {
                    let delay = backoff.next(&*rng);
                    retry_at = Some(clock.monotonic() + delay);
                    warn!(err = %ErrorChain(&e), retry_in_ms = delay.as_millis(), "Could not sync service rules");
                }
            }
            if !min_sync_period.is_zero() {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => break,
                    () = clock.sleep(min_sync_period) => {}
                }
            }
        }
    }
}

/// The state that one task owns.
struct Sync {
    node_name: String,
    tracker: ChangeTracker,
    ruleset: Ruleset,
    /// Changes of the ruleset that the backend has not seen.
    pending: Vec<Change>,
    /// Away only while a blocking thread works with it.
    backend: Option<Box<dyn Backend>>,
    needs_full: bool,
    is_synced: bool,
    clock: SharedClock,
    status: Status,
    /// The work of the backend, of which each is waited for.
    tasks: TaskSet,
}

impl Sync {
    fn take_in(&mut self, batch: Batch) {
        let mut status = self.status.shared.lock();
        status.metrics.service_changes_total += batch.services.len() as u64;
        status.metrics.endpoint_changes_total += batch.slices.len() as u64;
        drop(status);
        self.is_synced |= batch.synced;
        for (name, facts) in batch.services {
            match facts {
                Some(facts) => self.tracker.set_service(facts),
                None => self.tracker.delete_service(&name),
            }
        }
        for (name, facts) in batch.slices {
            match facts {
                Some(facts) => self.tracker.set_slice(facts),
                None => self.tracker.delete_slice(&name),
            }
        }
        let mut health_changed = false;
        for (name, view) in self.tracker.take() {
            let rules = view.and_then(|view| build(&view, &self.node_name));
            health_changed |= self.ruleset.health_check(&name) != rules.as_ref().and_then(|r| r.health_check);
            let changes = self.ruleset.set_service(&name, rules);
            // A full sync reads the ruleset itself.
            if !self.needs_full {
                self.pending.extend(changes);
            }
        }
        let mut status = self.status.shared.lock();
        status.metrics.services = self.ruleset.len();
        drop(status);
        if health_changed {
            self.status.set_health_checks(self.ruleset.health_checks().into_iter().collect());
        }
    }

    fn is_due(&self) -> bool {
        self.is_synced && (self.needs_full || !self.pending.is_empty())
    }

    /// Brings the backend to the ruleset. On error the next call does all of it.
    async fn run(&mut self) -> Result<(), BackendError> {
        let started = self.clock.monotonic();
        self.status.shared.lock().pending_since.get_or_insert(started);
        let is_full = self.needs_full;
        let changes = std::mem::take(&mut self.pending);
        let ports = if is_full { self.ruleset.ports().count() } else { changes.len() };
        let ruleset = is_full.then(|| self.ruleset.clone());
        let result = self
            .with_backend(move |backend| match ruleset {
                Some(ruleset) => backend.replace(&ruleset),
                None => backend.apply(&changes),
            })
            .await;
        let duration = self.clock.monotonic().saturating_sub(started);
        self.needs_full = result.is_err();
        let now = self.clock.now();
        let mut status = self.status.shared.lock();
        if result.is_ok() {
            status.pending_since = None;
            status.last_updated = Some(now);
        }
        let metrics = &mut status.metrics;
        metrics.sync_proxy_rules.observe(duration);
        if is_full {
            metrics.sync_full_proxy_rules.observe(duration);
        } else {
            metrics.sync_partial_proxy_rules.observe(duration);
        }
        metrics.last_sync_ports = ports;
        if result.is_ok() {
            metrics.last_sync_unix_seconds = Some(now.as_second());
        } else {
            metrics.sync_failures_total += 1;
        }
        debug!(ports, is_full, duration_ms = duration.as_millis(), "Synced service rules");
        result
    }

    /// Sees whether the rules are still there.
    async fn check(&mut self) {
        if !self.is_synced || self.needs_full {
            return;
        }
        match self.with_backend(|backend| backend.is_intact()).await {
            Ok(true) => {}
            Ok(false) => {
                warn!("Found service rules changed by somebody else");
                self.needs_full = true;
            }
            Err(e) => {
                warn!(err = %ErrorChain(&e), "Could not check service rules");
                self.needs_full = true;
            }
        }
    }

    async fn with_backend<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn Backend) -> T + Send + 'static,
    ) -> T {
        let mut backend = self.backend.take().expect("given back by every call");
        let done = blocking::run(&self.tasks, "rules", move || {
            let result = work(&mut *backend);
            (backend, result)
        });
        match done.await {
            Ok((backend, result)) => {
                self.backend = Some(backend);
                result
            }
            // The hook has told of it already.
            Err(panic) => std::panic::resume_unwind(Box::new(panic.to_string())),
        }
    }
}

/// Whether one of the networks holds the address.
pub(crate) fn contains(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

#[cfg(test)]
mod tests;
