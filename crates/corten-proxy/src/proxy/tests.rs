use corten_base::{Clock as _, SimClock, SimRng, TaskSet};
use tokio::sync::mpsc;

use super::*;
use crate::{
    change_tracker::{ServiceFacts, ServicePort},
    inbox::Input,
    names::Protocol,
};

/// What the backend was told: `replace N` or `apply N`, with the number of ports.
struct Recorder {
    calls: mpsc::UnboundedSender<String>,
    failures: Arc<Mutex<usize>>,
    is_intact: Arc<Mutex<bool>>,
}

impl Recorder {
    fn record(&self, call: String) -> Result<(), BackendError> {
        let mut failures = self.failures.lock();
        if *failures > 0 {
            *failures -= 1;
            self.calls.send(format!("{call} failed")).unwrap();
            let source = std::io::ErrorKind::AddrInUse.into();
            return Err(BackendError::Listen { address: ([0, 0, 0, 0], 80).into(), source });
        }
        self.calls.send(call).unwrap();
        Ok(())
    }
}

impl Backend for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn replace(&mut self, ruleset: &Ruleset) -> Result<(), BackendError> {
        self.record(format!("replace {}", ruleset.ports().count()))
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), BackendError> {
        self.record(format!("apply {}", changes.len()))
    }

    fn is_intact(&mut self) -> Result<bool, BackendError> {
        // Before the test hears of it, and sets what the next look sees.
        let is_intact = std::mem::replace(&mut *self.is_intact.lock(), true);
        self.calls.send("look".into()).unwrap();
        Ok(is_intact)
    }

    fn clean_up(&mut self) -> Result<(), BackendError> {
        Ok(())
    }
}

struct Scene {
    inbox: Inbox,
    clock: Arc<SimClock>,
    calls: mpsc::UnboundedReceiver<String>,
    failures: Arc<Mutex<usize>>,
    is_intact: Arc<Mutex<bool>>,
    status: Status,
    tasks: TaskSet,
    trigger: corten_base::ShutdownTrigger,
}

impl Scene {
    fn start() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        let (failures, is_intact) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(true)));
        let backend = Recorder { calls: sender, failures: failures.clone(), is_intact: is_intact.clone() };
        let inbox = Inbox::new();
        let config = Config::new("n1");
        let proxy = Proxy::with_backend(&config, Box::new(backend), inbox.clone(), clock.clone(), SimRng::shared(1));
        let status = proxy.status();
        let (trigger, shutdown) = corten_base::Shutdown::new();
        let tasks = TaskSet::new("test");
        tasks.spawn("proxy", proxy.run(shutdown));
        Self { inbox, clock, calls, failures, is_intact, status, tasks, trigger }
    }

    async fn next(&mut self) -> String {
        self.calls.recv().await.unwrap()
    }

    /// Advances once the proxy sleeps.
    async fn advance(&self, duration: Duration) {
        while self.clock.next_deadline().is_none() {
            tokio::task::yield_now().await;
        }
        self.clock.advance(duration);
    }

    /// Advances once the proxy waits for its next try: the back-off is far below the time between two looks.
    async fn advance_to_retry(&self) {
        let retry = loop {
            match self.clock.next_deadline() {
                Some(at) if at < Duration::from_secs(5) => break at,
                _ => tokio::task::yield_now().await,
            }
        };
        self.clock.advance(retry.saturating_sub(self.clock.monotonic()));
    }

    async fn stop(self) {
        self.trigger.request();
        self.tasks.join().await.unwrap();
    }
}

fn service(name: &str, last: u8) -> Input {
    Input::Service(ServiceFacts {
        name: ObjectName::new("default", name),
        cluster_ips: vec![IpAddr::from([10, 96, 0, last])],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: None,
        internal_local: false,
        external_local: false,
        affinity: None,
        health_check_node_port: None,
        ports: vec![ServicePort { name: String::new(), protocol: Protocol::Tcp, port: 80, node_port: None }],
    })
}

#[tokio::test]
async fn nothing_is_written_before_everything_is_known() {
    let mut s = Scene::start();
    s.inbox.put(service("a", 1));
    tokio::task::yield_now().await;
    s.inbox.put(service("b", 2));
    s.inbox.put(Input::Synced);
    assert_eq!(s.next().await, "replace 2");
    s.inbox.put(service("c", 3));
    assert_eq!(s.next().await, "apply 1");
    s.inbox.put(Input::ServiceDeleted(ObjectName::new("default", "a")));
    assert_eq!(s.next().await, "apply 1");
    s.stop().await;
}

#[tokio::test]
async fn a_failed_sync_is_followed_by_a_full_one() {
    let mut s = Scene::start();
    s.inbox.put(Input::Synced);
    assert_eq!(s.next().await, "replace 0");
    *s.failures.lock() = 2;
    s.inbox.put(service("a", 1));
    assert_eq!(s.next().await, "apply 1 failed");
    let status = s.status.clone();
    while status.metrics().sync_failures_total == 0 {
        tokio::task::yield_now().await;
    }
    for expected in ["replace 1 failed", "replace 1"] {
        s.advance_to_retry().await;
        assert_eq!(s.next().await, expected);
    }
    s.inbox.put(service("b", 2));
    assert_eq!(s.next().await, "apply 1");
    let metrics = s.status.metrics();
    assert_eq!((metrics.sync_failures_total, metrics.services, metrics.service_changes_total), (2, 2, 2));
    s.stop().await;
}

/// Each change that arrived during the back-off was a full sync at once, and a warning: the back-off never held.
#[tokio::test]
async fn a_change_does_not_shorten_the_wait_after_a_failed_sync() {
    let mut s = Scene::start();
    s.inbox.put(Input::Synced);
    assert_eq!(s.next().await, "replace 0");
    *s.failures.lock() = 1;
    s.inbox.put(service("a", 1));
    assert_eq!(s.next().await, "apply 1 failed");
    let status = s.status.clone();
    for (name, number) in [("b", 2), ("c", 3)] {
        s.inbox.put(service(name, number));
        while status.metrics().services < usize::from(number) {
            tokio::task::yield_now().await;
        }
    }
    s.advance_to_retry().await;
    assert_eq!(s.next().await, "replace 3", "one sync has all of it");
    s.inbox.put(Input::ServiceDeleted(ObjectName::new("default", "a")));
    assert_eq!(s.next().await, "apply 1");
    assert_eq!(status.metrics().sync_failures_total, 1);
    s.stop().await;
}

#[tokio::test]
async fn rules_that_are_gone_are_written_anew() {
    let mut s = Scene::start();
    s.inbox.put(service("a", 1));
    s.inbox.put(Input::Synced);
    assert_eq!(s.next().await, "replace 1");
    s.advance(Duration::from_secs(30)).await;
    assert_eq!(s.next().await, "look");
    *s.is_intact.lock() = false;
    s.advance(Duration::from_secs(30)).await;
    assert_eq!(s.next().await, "look");
    assert_eq!(s.next().await, "replace 1");
    s.stop().await;
}
