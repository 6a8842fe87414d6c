use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Counts, Queue, UNSCHEDULABLE_MAX};
use crate::{
    cache::PodInfo,
    framework::{
        ClusterEvent, Config, EventObjects, Profile,
        cluster_event::{Action, EventResource},
        profile::Rejectors,
    },
    testutil::{node, pod, pod_of_cpu},
};

struct Fixture {
    profile: Profile,
    queue: Queue,
    now: Duration,
}

impl Fixture {
    fn new(pods: &[Arc<PodInfo>]) -> Self {
        let config = Config::default();
        let profile = Profile::build(&config.profiles[0]).unwrap();
        let queue = Queue::new(config.pod_initial_backoff, config.pod_max_backoff);
        let mut fixture = Self { profile, queue, now: Duration::from_secs(1_000) };
        pods.iter().for_each(|pod| fixture.set(pod));
        fixture
    }

    fn set(&mut self, pod: &Arc<PodInfo>) {
        self.queue.set(&self.profile, Arc::clone(pod), self.now);
    }

    fn pop(&mut self) -> Option<String> {
        self.queue.pop().map(|queued| queued.pod.name.to_string())
    }

    fn refuse(&mut self, pod: &PodInfo, rejector: &'static str) {
        self.queue.requeue_refused(&self.profile, pod, Rejectors::from([rejector]), self.now);
    }

    fn advance(&mut self, duration: Duration) {
        self.now += duration;
        self.queue.flush(|_| Some(&self.profile), self.now);
    }

    fn node_added(&mut self) {
        let event = ClusterEvent { resource: EventResource::Node, action: Action::ADD };
        let node = node("n1");
        let objects = EventObjects::Node { old: None, new: Some(&node) };
        self.queue.on_event(|_| Some(&self.profile), event, objects, self.now);
    }

    fn counts(&self) -> [usize; 4] {
        let Counts { active, backoff, unschedulable, gated } = self.queue.counts();
        [active, backoff, unschedulable, gated]
    }
}

#[test]
fn higher_priority_goes_first_and_then_who_came_first() {
    let important = pod("c", json!({"priority": 10}));
    let mut fixture = Fixture::new(&[pod("b", json!({})), pod("a", json!({})), important]);
    assert_eq!([fixture.pop(), fixture.pop(), fixture.pop()].map(Option::unwrap), ["c", "b", "a"]);
    assert_eq!(fixture.pop(), None);
}

#[test]
fn a_refused_pod_waits_for_an_event_and_its_back_off() {
    let pod = pod_of_cpu("a", "1");
    let mut fixture = Fixture::new(&[Arc::clone(&pod)]);
    fixture.pop().unwrap();
    fixture.refuse(&pod, "NodeResourcesFit");
    assert_eq!(fixture.counts(), [0, 0, 1, 0]);
    fixture.node_added();
    assert_eq!(fixture.counts(), [0, 1, 0, 0]);
    fixture.advance(Duration::from_millis(999));
    assert_eq!(fixture.counts(), [0, 1, 0, 0]);
    fixture.advance(Duration::from_millis(1));
    assert_eq!(fixture.pop().unwrap(), "a");
    // The second back-off is 2 s, and is over when the event comes later.
    fixture.refuse(&pod, "NodeResourcesFit");
    fixture.advance(Duration::from_secs(2));
    fixture.node_added();
    assert_eq!(fixture.counts(), [1, 0, 0, 0]);
}

#[test]
fn events_wake_only_pods_that_they_can_help() {
    let (small, big) = (pod_of_cpu("small", "1"), pod_of_cpu("big", "64"));
    let mut fixture = Fixture::new(&[Arc::clone(&small), Arc::clone(&big)]);
    fixture.pop().unwrap();
    fixture.pop().unwrap();
    fixture.refuse(&small, "NodeResourcesFit");
    fixture.refuse(&big, "NodeResourcesFit");
    fixture.node_added();
    assert_eq!(fixture.counts(), [0, 1, 1, 0]);
}

#[test]
fn back_off_doubles_up_to_ten_seconds() {
    let pod = pod_of_cpu("a", "1");
    let mut fixture = Fixture::new(&[Arc::clone(&pod)]);
    for want in [1, 2, 4, 8, 10, 10] {
        fixture.pop().unwrap();
        fixture.queue.requeue_broken(&fixture.profile, &pod, fixture.now);
        assert_eq!(fixture.queue.next_deadline().unwrap() - fixture.now, Duration::from_secs(want));
        fixture.advance(Duration::from_secs(want));
    }
}

#[test]
fn a_refused_pod_is_tried_again_after_five_minutes() {
    let pod = pod_of_cpu("a", "1");
    let mut fixture = Fixture::new(&[Arc::clone(&pod)]);
    fixture.pop().unwrap();
    fixture.refuse(&pod, "NodeName");
    assert_eq!(fixture.queue.next_deadline(), Some(fixture.now + UNSCHEDULABLE_MAX));
    fixture.advance(UNSCHEDULABLE_MAX);
    assert_eq!(fixture.pop().unwrap(), "a");
}

#[test]
fn a_gated_pod_enters_when_the_last_gate_goes() {
    let gated = pod("a", json!({"schedulingGates": [{"name": "g"}]}));
    let mut fixture = Fixture::new(&[gated]);
    assert_eq!(fixture.counts(), [0, 0, 0, 1]);
    fixture.set(&pod("a", json!({})));
    assert_eq!(fixture.counts(), [1, 0, 0, 0]);
}

#[test]
fn a_change_of_the_pod_itself_wakes_it_if_it_can_help() {
    let waiting = pod("a", json!({}));
    let mut fixture = Fixture::new(&[Arc::clone(&waiting)]);
    fixture.pop().unwrap();
    fixture.refuse(&waiting, "TaintToleration");
    fixture.set(&waiting);
    assert_eq!(fixture.counts(), [0, 0, 1, 0]);
    fixture.set(&pod("a", json!({"tolerations": [{"operator": "Exists"}]})));
    assert_eq!(fixture.counts(), [0, 1, 0, 0]);
}

#[test]
fn a_pod_that_is_gone_is_forgotten_wherever_it_waits() {
    let pods = ["a", "b", "c"].map(|name| pod_of_cpu(name, "1"));
    let mut fixture = Fixture::new(&pods);
    fixture.pop().unwrap();
    fixture.refuse(&pods[0], "NodeName");
    fixture.pop().unwrap();
    fixture.queue.requeue_broken(&fixture.profile, &pods[1], fixture.now);
    pods.iter().for_each(|pod| fixture.queue.remove(&pod.namespace, &pod.name));
    assert_eq!(fixture.counts(), [0; 4]);
    // It was in flight when it went: putting it back does nothing.
    fixture.refuse(&pods[2], "NodeName");
    assert_eq!(fixture.counts(), [0; 4]);
}
