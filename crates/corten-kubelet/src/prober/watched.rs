//! What is probed, and what is due when, without the asking.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use corten_api::core::v1::Probe;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    counter::{Counter, Schedule},
    metrics::Series,
};
use crate::interfaces::{ProbeKind, ProbeTarget, SharedPod, probe_of};

/// How many probes of one pod run at the same time: a node full of pods must not exhaust sockets or the runtime. How long
/// they take is the pod's matter, years if it likes, so none of them waits for another pod's.
pub(super) const IN_FLIGHT_MAX: usize = 32;

/// What is probed on the node, and what is due when.
#[derive(Default)]
pub(super) struct State {
    pub(super) pods: HashMap<String, PodProbes>,
    /// Where a container is, for `result`.
    pub(super) by_id: HashMap<String, (String, String)>,
    due: BinaryHeap<Reverse<(Duration, u64, Key)>>,
    tokens: u64,
}

/// What is probed of one pod.
pub(super) struct PodProbes {
    pub(super) containers: HashMap<String, Watched>,
    pub(super) permits: Arc<Semaphore>,
}

impl Default for PodProbes {
    fn default() -> Self {
        Self { containers: HashMap::new(), permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) }
    }
}

/// One probe of one container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) pod_uid: String,
    pub(super) container: String,
    pub(super) kind: ProbeKind,
}

/// One container that runs.
pub(super) struct Watched {
    pub(super) pod: SharedPod,
    pub(super) pod_ip: Option<IpAddr>,
    pub(super) target: ProbeTarget,
    /// When it was started, on the monotonic clock; zero if before this prober.
    pub(super) started: Duration,
    pub(super) entries: HashMap<ProbeKind, Entry>,
}

/// One probe of the container that runs.
pub(super) struct Entry {
    pub(super) schedule: Schedule,
    pub(super) counter: Counter,
    pub(super) result: Option<bool>,
    /// Only the heap's item and the attempt with this token are of this entry; 0 while nothing is due.
    pub(super) token: u64,
    /// Ends the attempt that runs when the entry goes.
    pub(super) cancel: CancellationToken,
    _guard: DropGuard,
}

impl Entry {
    pub(super) fn new(probe: &Probe) -> Self {
        let cancel = CancellationToken::new();
        Self {
            schedule: Schedule::of(probe),
            counter: Counter::default(),
            result: None,
            token: 0,
            _guard: cancel.clone().drop_guard(),
            cancel,
        }
    }

    /// Ends what runs of it; nothing is due any more.
    pub(super) fn park(&mut self) {
        self.token = 0;
        self.cancel.cancel();
    }
}

impl Watched {
    /// Whether a probe of this kind may run now.
    pub(super) fn is_open(&self, kind: ProbeKind) -> bool {
        let has_started = self.entries.get(&ProbeKind::Startup).is_none_or(|entry| entry.result == Some(true));
        (kind == ProbeKind::Startup) != has_started || !self.entries.contains_key(&ProbeKind::Startup)
    }
}

/// What an attempt takes with it.
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) token: u64,
    pub(super) pod: SharedPod,
    pub(super) pod_ip: Option<IpAddr>,
    pub(super) target: ProbeTarget,
    pub(super) probe: Probe,
    pub(super) timeout: Duration,
    pub(super) permits: Arc<Semaphore>,
    pub(super) cancel: CancellationToken,
}

impl Job {
    pub(super) fn series(&self) -> Series {
        let metadata = &self.pod.metadata;
        Series {
            pod_uid: self.key.pod_uid.clone(),
            container: self.key.container.clone(),
            kind: self.key.kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            pod: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl State {
    /// Makes the entry due at `at`; what was due before is not any more.
    pub(super) fn schedule(&mut self, key: Key, at: Duration) {
        self.tokens += 1;
        let token = self.tokens;
        if let Some(entry) = self.entry(&key) {
            entry.token = token;
            self.due.push(Reverse((at, token, key)));
        }
    }

    pub(super) fn entry(&mut self, key: &Key) -> Option<&mut Entry> {
        self.pods.get_mut(&key.pod_uid)?.containers.get_mut(&key.container)?.entries.get_mut(&key.kind)
    }

    pub(super) fn is_stale(&mut self, token: u64, key: &Key) -> bool {
        self.entry(key).is_none_or(|entry| entry.token != token)
    }

    /// When the next probe is due.
    pub(super) fn next_due(&mut self) -> Option<Duration> {
        while let Some(Reverse((at, token, key))) = self.due.peek().cloned() {
            if !self.is_stale(token, &key) {
                return Some(at);
            }
            self.due.pop();
        }
        None
    }

    /// The next probe that is due at `now`.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Job> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, token, key)) = self.due.pop()?;
        let pod = self.pods.get(&key.pod_uid)?;
        let watched = pod.containers.get(&key.container)?;
        let entry = watched.entries.get(&key.kind)?;
        Some(Job {
            token,
            pod: Arc::clone(&watched.pod),
            pod_ip: watched.pod_ip,
            target: watched.target.clone(),
            probe: probe_of(&watched.target.container.spec, key.kind)?.clone(),
            timeout: entry.schedule.timeout,
            permits: Arc::clone(&pod.permits),
            cancel: entry.cancel.clone(),
            key,
        })
    }

    pub(super) fn remove_container(&mut self, pod_uid: &str, container: &str) {
        let Some(pod) = self.pods.get_mut(pod_uid) else { return };
        if let Some(watched) = pod.containers.remove(container) {
            self.by_id.remove(&watched.target.container_id);
        }
        if pod.containers.is_empty() {
            self.pods.remove(pod_uid);
        }
    }

    /// Forgets the containers of a pod that are not among those that run now.
    pub(super) fn keep_running(&mut self, pod_uid: &str, running: &[ProbeTarget]) {
        let Some(pod) = self.pods.get(pod_uid) else { return };
        let runs = |name: &str, id: &str| {
            running.iter().any(|target| target.container.spec.name == name && target.container_id == id)
        };
        let gone = pod.containers.iter().filter(|(name, watched)| !runs(name, &watched.target.container_id));
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.remove_container(pod_uid, &name);
        }
    }

    /// Makes the other probes of a container due, now that it has started.
    pub(super) fn open(&mut self, key: &Key, now: Duration) {
        let Some(watched) = self.pods.get(&key.pod_uid).and_then(|pod| pod.containers.get(&key.container)) else {
            return;
        };
        let waiting: Vec<(ProbeKind, Duration)> = watched
            .entries
            .iter()
            .filter(|(kind, entry)| **kind != ProbeKind::Startup && entry.token == 0)
            .map(|(kind, entry)| (*kind, now.max(watched.started + entry.schedule.initial_delay)))
            .collect();
        for (kind, at) in waiting {
            self.schedule(Key { kind, ..key.clone() }, at);
        }
    }
}
