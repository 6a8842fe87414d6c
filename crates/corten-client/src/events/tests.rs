//! What becomes of events, by the rules of the correlator.

use std::time::Duration;

use corten_base::SimClock;

use super::{
    correlator::{Correlator, Decision},
    *,
};

fn pod(name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: name.into(),
        ..ObjectRef::default()
    }
}

/// A recorder whose events go through a correlator.
struct Fixture {
    clock: Arc<SimClock>,
    recorder: Recorder,
    queue: EventQueue,
    correlator: Correlator,
}

fn fixture() -> Fixture {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (recorder, queue) = Recorder::new("kubelet", "node-1", clock.clone());
    Fixture { clock, recorder, queue, correlator: Correlator::default() }
}

impl Fixture {
    fn report(&mut self, object: &str, message: &str) -> Decision {
        self.recorder.warning(&pod(object), "BackOff", message);
        self.correlator.correlate(self.queue.try_next().unwrap())
    }

    fn report_later(&mut self, seconds: u64, object: &str, message: &str) -> Decision {
        self.clock.advance(Duration::from_secs(seconds));
        self.report(object, message)
    }
}

#[test]
fn an_event_is_written_as_upstream_writes_it() {
    let Decision::Create(event) = fixture().report("web", "restarting") else { panic!("it is the first") };
    let value = event.to_value();
    assert_eq!(value.str_at(&["metadata", "name"]), Some("web.18867251edfa0000"));
    assert_eq!(value.str_at(&["metadata", "namespace"]), Some("ns"));
    assert_eq!(value.str_at(&["source", "host"]), Some("node-1"));
    assert_eq!(value.str_at(&["reportingComponent"]), Some("kubelet"));
    assert_eq!(value.str_at(&["firstTimestamp"]), Some("2026-01-01T00:00:00Z"));
    assert_eq!(value.at(&["involvedObject", "uid"]), None);
}

#[test]
fn equal_events_become_a_count() {
    let mut t = fixture();
    let Decision::Create(first) = t.report("web", "restarting") else { panic!("it is the first") };
    let Decision::Patch(second, patch) = t.report_later(5, "web", "restarting") else { panic!("it is the same") };
    assert_eq!((&second.name, second.first, second.count), (&first.name, first.first, 2));
    assert_eq!(patch.i64_at(&["count"]), Some(2));
    assert_eq!(patch.str_at(&["lastTimestamp"]), Some("2026-01-01T00:00:05Z"));
    assert!(matches!(t.report("db", "restarting"), Decision::Create(_)));
}

#[test]
fn many_similar_events_become_one() {
    let mut t = fixture();
    for number in 0..9 {
        assert!(matches!(t.report_later(1, "web", &format!("attempt {number}")), Decision::Create(_)));
    }
    let Decision::Create(combined) = t.report_later(1, "web", "attempt 9") else { panic!("it is the first combined") };
    assert_eq!(combined.message, "(combined from similar events): attempt 9");
    let Decision::Patch(next, _) = t.report_later(1, "web", "attempt 10") else { panic!("it joins the combined one") };
    assert_eq!((next.name, next.count), (combined.name, 2));
    // After a quiet time they are told apart again.
    let Decision::Create(fresh) = t.report_later(601, "web", "attempt 11") else { panic!("it is a new group") };
    assert_eq!(fresh.message, "attempt 11");
}

#[test]
fn a_flood_about_one_object_is_dropped_and_trickles_later() {
    let mut t = fixture();
    let written = (0..100).filter(|_| t.report("web", "restarting") != Decision::Skip).count();
    assert_eq!(written, 25);
    assert!(matches!(t.report("db", "restarting"), Decision::Create(_)));
    let Decision::Patch(event, _) = t.report_later(300, "web", "restarting") else { panic!("a token came back") };
    assert_eq!(event.count, 101);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut t = fixture();
    for _ in 0..=QUEUE_CAPACITY {
        t.recorder.normal(&pod("web"), "Pulled", "again");
    }
    assert_eq!(t.recorder.dropped(), 1);
    assert_eq!(std::iter::from_fn(|| t.queue.try_next()).count(), QUEUE_CAPACITY);
}

#[test]
fn events_about_cluster_scoped_objects_go_to_the_default_namespace() {
    let mut t = fixture();
    t.recorder.for_component("node-controller").normal(
        &ObjectRef { namespace: Str::default(), ..pod("node-1") },
        "NodeReady",
        "ready",
    );
    let event = t.queue.try_next().unwrap();
    assert_eq!((&*event.namespace(), &*event.component), ("default", "node-controller"));
}
