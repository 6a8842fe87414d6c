use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::status::{Reason, Status as ApiStatus};
use corten_base::{Shutdown, SimClock, SimRng};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use serde_json::json;

use super::{
    Cluster, Input, Scheduler, SchedulingEvent,
    decisions::{Core, Outcome, Write},
};
use crate::{
    cache::{ClaimFacts, PodInfo, VolumeFacts},
    framework::{Config, plugin::Binding},
    testutil::{node, pod, pod_of_cpu},
};

/// Writes down what it is asked to write.
#[derive(Default)]
struct Recording {
    lines: Mutex<Vec<String>>,
    failures_left: Mutex<usize>,
    /// The first binding is answered when this comes.
    answer: Mutex<Option<oneshot::Receiver<()>>>,
    written: Notify,
}

impl Recording {
    /// The first binding fails when the test says so.
    fn that_waits_to_fail() -> (Self, oneshot::Sender<()>) {
        let (sender, answer) = oneshot::channel();
        let waits = Self { failures_left: Mutex::new(1), answer: Mutex::new(Some(answer)), ..Self::default() };
        (waits, sender)
    }

    fn write(&self, line: String) {
        self.lines.lock().push(line);
        self.written.notify_one();
    }

    async fn lines(&self, count: usize) -> Vec<String> {
        loop {
            let lines = self.lines.lock().clone();
            if lines.len() >= count {
                return lines;
            }
            self.written.notified().await;
        }
    }
}

#[async_trait]
impl Cluster for Recording {
    async fn bind(&self, binding: &Binding) -> Result<(), ApiStatus> {
        let fails = {
            let mut left = self.failures_left.lock();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            fails
        };
        self.write(format!("bind {} {}", binding.name, binding.node));
        let answer = self.answer.lock().take();
        if let Some(answer) = answer {
            answer.await.unwrap();
        }
        if fails { Err(ApiStatus::new(Reason::InternalError, "broken")) } else { Ok(()) }
    }

    async fn set_unscheduled(
        &self,
        pod: &PodInfo,
        reason: &str,
        _message: &str,
        nominated: Option<&str>,
    ) -> Result<(), ApiStatus> {
        let nominated = nominated.map(|node| format!(" nominated {node:?}")).unwrap_or_default();
        self.write(format!("condition {} {reason}{nominated}", pod.name));
        Ok(())
    }

    async fn clear_nomination(&self, pod: &PodInfo) -> Result<(), ApiStatus> {
        self.write(format!("clear {}", pod.name));
        Ok(())
    }

    async fn preempt(&self, victim: &PodInfo, preemptor: &PodInfo) -> Result<(), ApiStatus> {
        self.write(format!("preempt {} for {}", victim.name, preemptor.name));
        Ok(())
    }

    async fn record(&self, _pod: &PodInfo, event: SchedulingEvent<'_>) -> Result<(), ApiStatus> {
        self.write(format!("{} {}: {}", event.kind, event.reason, event.message));
        Ok(())
    }
}

struct Fixture {
    cluster: Arc<Recording>,
    clock: Arc<SimClock>,
    inputs: mpsc::Sender<Input>,
    running: tokio::task::JoinHandle<()>,
    trigger: corten_base::ShutdownTrigger,
}

impl Fixture {
    async fn new(inputs: Vec<Input>, failures: usize) -> Self {
        Self::of(Recording { failures_left: Mutex::new(failures), ..Recording::default() }, inputs).await
    }

    async fn of(cluster: Recording, inputs: Vec<Input>) -> Self {
        let cluster = Arc::new(cluster);
        let clock = SimClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (scheduler, sender) =
            Scheduler::build(&Config::default(), Arc::clone(&cluster) as _, Arc::clone(&clock) as _, SimRng::shared(1))
                .unwrap();
        for input in inputs {
            sender.send(input).await.unwrap();
        }
        sender.send(Input::Synced).await.unwrap();
        let (trigger, shutdown) = Shutdown::new();
        #[expect(clippy::disallowed_methods, reason = "the test awaits it in `end`")]
        let running = tokio::spawn(scheduler.run(shutdown));
        Self { cluster, clock, inputs: sender, running, trigger }
    }

    /// Tells something that changes nothing, and returns when the scheduler has taken it in and waits for more.
    async fn settle(&self) {
        self.inputs.send(Input::Namespace("n".into(), None)).await.unwrap();
        while self.inputs.capacity() < self.inputs.max_capacity() {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.trigger.request();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_pod_is_bound_and_the_event_says_where() {
    let inputs = vec![Input::NodeApplied(Box::new(node("n1"))), Input::PodApplied(pod_of_cpu("a", "1"))];
    let fixture = Fixture::new(inputs, 0).await;
    let want = ["bind a n1", "Normal Scheduled: Successfully assigned default/a to n1"];
    assert_eq!(fixture.cluster.lines(2).await, want);
    fixture.end().await;
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_is_told_why_and_bound_once_there_is_a_node() {
    let fixture = Fixture::new(vec![Input::PodApplied(pod_of_cpu("a", "1"))], 0).await;
    let want = ["Warning FailedScheduling: no nodes available to schedule pods", "condition a Unschedulable"];
    assert_eq!(fixture.cluster.lines(2).await, want);
    fixture.clock.advance(Duration::from_secs(2));
    fixture.inputs.send(Input::NodeApplied(Box::new(node("n1")))).await.unwrap();
    assert_eq!(fixture.cluster.lines(3).await[2], "bind a n1");
    fixture.end().await;
}

#[tokio::test]
async fn a_binding_that_fails_frees_the_node_and_is_tried_again() {
    let inputs = vec![Input::NodeApplied(Box::new(node("n1"))), Input::PodApplied(pod_of_cpu("a", "4"))];
    let fixture = Fixture::new(inputs, 1).await;
    assert_eq!(fixture.cluster.lines(1).await, ["bind a n1"]);
    while fixture.clock.next_deadline().is_none() {
        tokio::task::yield_now().await;
    }
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.cluster.lines(2).await[1], "bind a n1");
    fixture.end().await;
}

#[tokio::test]
async fn a_pod_that_goes_makes_room_for_one_that_waits() {
    let there = Arc::new(pod_of_cpu("b", "3").on_node("n1"));
    let inputs = vec![
        Input::NodeApplied(Box::new(node("n1"))),
        Input::PodApplied(Arc::clone(&there)),
        Input::PodApplied(pod_of_cpu("a", "2")),
    ];
    let fixture = Fixture::new(inputs, 0).await;
    assert!(fixture.cluster.lines(2).await[0].contains("1 Insufficient cpu."));
    fixture.clock.advance(Duration::from_secs(2));
    fixture.inputs.send(Input::PodDeleted(there.namespace.clone(), there.name.clone())).await.unwrap();
    assert_eq!(fixture.cluster.lines(3).await[2], "bind a n1");
    fixture.end().await;
}

fn with_priority(name: &str, cpu: &str, priority: i32) -> Arc<PodInfo> {
    pod(name, json!({"priority": priority, "containers": [{"resources": {"requests": {"cpu": cpu}}}]}))
}

fn bound(pod: &Arc<PodInfo>, node: &str) -> Input {
    Input::PodApplied(Arc::new(pod.on_node(node)))
}

#[tokio::test]
async fn a_pod_of_low_priority_goes_for_one_of_high_priority() {
    let (low, high) = (with_priority("low", "3", 0), with_priority("high", "2", 100));
    let inputs =
        vec![Input::NodeApplied(Box::new(node("n1"))), bound(&low, "n1"), Input::PodApplied(Arc::clone(&high))];
    let fixture = Fixture::new(inputs, 0).await;
    let want = [
        "Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.",
        "condition high Unschedulable nominated \"n1\"",
        "preempt low for high",
        "Normal Preempted: Preempted by pod uid-high on node n1",
    ];
    assert_eq!(fixture.cluster.lines(4).await, want);
    // What was written comes back; until the victim is gone, its room is kept for the pod.
    fixture.inputs.send(Input::PodApplied(Arc::new(high.nominated_to("n1")))).await.unwrap();
    fixture.inputs.send(Input::PodDeleted(low.namespace.clone(), low.name.clone())).await.unwrap();
    fixture.inputs.send(Input::PodApplied(with_priority("late", "3", 0))).await.unwrap();
    let lines = fixture.cluster.lines(6).await;
    assert!(lines[4].contains("FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu."), "{}", lines[4]);
    assert!(
        lines[4].contains(
            "no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found"
        ),
        "{}",
        lines[4]
    );
    assert_eq!(lines[5], "condition late Unschedulable");
    fixture.clock.advance(Duration::from_secs(2));
    assert_eq!(fixture.cluster.lines(7).await[6], "bind high n1");
    fixture.end().await;
}

#[tokio::test]
async fn a_pod_that_may_not_preempt_waits() {
    let low = with_priority("low", "3", 0);
    let spec = json!({"priority": 100, "preemptionPolicy": "Never",
        "containers": [{"resources": {"requests": {"cpu": "2"}}}]});
    let inputs =
        vec![Input::NodeApplied(Box::new(node("n1"))), bound(&low, "n1"), Input::PodApplied(pod("high", spec))];
    let fixture = Fixture::new(inputs, 0).await;
    let want = [
        "Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to \
         preemptionPolicy=Never.",
        "condition high Unschedulable",
    ];
    assert_eq!(fixture.cluster.lines(2).await, want);
    fixture.end().await;
}

#[tokio::test]
async fn a_pod_waits_for_its_claim() {
    let claiming = pod("a", json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}));
    let inputs = vec![Input::NodeApplied(Box::new(node("n1"))), Input::PodApplied(claiming)];
    let fixture = Fixture::new(inputs, 0).await;
    let want = "Warning FailedScheduling: 0/1 nodes are available: persistentvolumeclaim \"data\" not found. \
                no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(fixture.cluster.lines(2).await[0], want);
    let claim = ClaimFacts { volume_name: "disk".into(), ..ClaimFacts::default() };
    fixture.inputs.send(Input::Volume("disk".into(), Some(VolumeFacts::default()))).await.unwrap();
    fixture.inputs.send(Input::Claim("default".into(), "other".into(), Some(claim.clone()))).await.unwrap();
    fixture.inputs.send(Input::Claim("default".into(), "data".into(), Some(claim))).await.unwrap();
    fixture.clock.advance(Duration::from_secs(2));
    assert_eq!(fixture.cluster.lines(3).await[2], "bind a n1");
    fixture.end().await;
}

/// The decisions alone, told of these objects, with room for pods of four cores on `n1`.
fn core(pods: &[Arc<PodInfo>]) -> Core {
    let (cluster, clock) = (Arc::new(Recording::default()), SimClock::new(jiff::Timestamp::UNIX_EPOCH));
    let (scheduler, _) = Scheduler::build(&Config::default(), cluster, clock, SimRng::shared(1)).unwrap();
    let mut core = scheduler.core;
    core.on_input(Input::NodeApplied(Box::new(node("n1"))), Duration::ZERO);
    pods.iter().for_each(|pod| core.on_input(Input::PodApplied(Arc::clone(pod)), Duration::ZERO));
    core
}

fn fail_to_bind(core: &mut Core, pod: &Arc<PodInfo>, now: Duration) {
    let failed = Err(ApiStatus::new(Reason::InternalError, "broken"));
    let outcome = Outcome { pod: Arc::clone(pod), bound: Some(("n1".into(), failed)), has_failed_to_preempt: false };
    core.on_outcome(outcome, now);
}

// A change that came while the pod was being bound was dropped, and after a failure the old pod was tried again.
#[test]
fn a_pod_that_changes_while_it_is_bound_is_tried_again_as_it_is_then() {
    let old = pod_of_cpu("a", "1");
    let mut core = core(&[Arc::clone(&old)]);
    assert_eq!(core.run_cycles(64, Duration::ZERO).len(), 1);
    let changed = PodInfo { resource_version: "2".into(), nominated_node_name: "n1".into(), ..(*old).clone() };
    core.on_input(Input::PodApplied(Arc::new(changed)), Duration::ZERO);
    assert!(!core.queue.has_active(), "it is not tried a second time meanwhile");

    fail_to_bind(&mut core, &old, Duration::ZERO);
    assert_eq!(core.snapshot.nominated_on("n1").len(), 1);
    core.flush(Duration::from_secs(1));
    let writes = core.run_cycles(64, Duration::from_secs(1));
    let [Write::Bind { pod, .. }] = &writes[..] else { panic!("it is bound again: {writes:?}") };
    assert_eq!(pod.resource_version, "2");
}

// A pod that a finalizer holds was bound against again and again.
#[test]
fn a_pod_that_is_deleted_while_it_is_bound_is_not_tried_again() {
    let pod = pod_of_cpu("a", "1");
    let mut core = core(&[Arc::clone(&pod)]);
    assert_eq!(core.run_cycles(64, Duration::ZERO).len(), 1);
    let deleting = PodInfo { is_deleting: true, ..(*pod).clone() };
    core.on_input(Input::PodApplied(Arc::new(deleting)), Duration::ZERO);
    fail_to_bind(&mut core, &pod, Duration::ZERO);
    assert_eq!((core.queue.next_deadline(), core.queue.has_active()), (None, false));
    assert_eq!(core.snapshot.nodes().next().unwrap().pods.len(), 0, "its room is free again");
}

#[test]
fn a_change_told_late_does_not_bring_a_bound_pod_back() {
    let pod = pod_of_cpu("a", "1");
    let mut core = core(&[Arc::clone(&pod)]);
    assert_eq!(core.run_cycles(64, Duration::ZERO).len(), 1);
    let bound = Some(("n1".into(), Ok(())));
    core.on_outcome(Outcome { pod: Arc::clone(&pod), bound, has_failed_to_preempt: false }, Duration::ZERO);
    core.on_input(Input::PodApplied(pod), Duration::ZERO);
    assert!(!core.queue.has_active());
}

// The back-off was counted from before the wait for the answer: after a minute it was over at once, and a server in
// trouble was asked again without any.
#[tokio::test]
async fn a_binding_that_takes_long_to_fail_is_tried_again_after_a_back_off() {
    let inputs = vec![Input::NodeApplied(Box::new(node("n1"))), Input::PodApplied(pod_of_cpu("a", "1"))];
    let (cluster, answer) = Recording::that_waits_to_fail();
    let fixture = Fixture::of(cluster, inputs).await;
    assert_eq!(fixture.cluster.lines(1).await, ["bind a n1"]);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(60));
    answer.send(()).unwrap();
    while fixture.clock.next_deadline().is_none() && fixture.cluster.lines.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.clock.next_deadline(), Some(Duration::from_secs(61)));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.cluster.lines(2).await[1], "bind a n1");
    fixture.end().await;
}
