//! What becomes of events, by the rules of the correlator.

use std::time::Duration;

use corten_base::{Clock as _, SimClock};

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

#[test]
fn what_comes_of_an_action_is_counted_in_a_series() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (recorder, mut queue) = Recorder::new("default-scheduler", "host", clock.clone());
    let mut series = series::Series::default();
    let mut report = |seconds: u64, note: &str| {
        clock.advance(Duration::from_secs(seconds));
        let occasion = Occasion { action: "Scheduling", related: Some(&pod("other")) };
        recorder.outcome(&pod("web"), EventType::Warning, "FailedScheduling", occasion, note);
        queue.try_next().unwrap()
    };
    let Decision::Create(first) = series.correlate(report(0, "0/1 nodes")) else { panic!("it is the first") };
    let value = first.to_value();
    assert_eq!(value.str_at(&["apiVersion"]), Some("events.k8s.io/v1"));
    assert_eq!(value.str_at(&["metadata", "namespace"]), Some("ns"));
    assert_eq!(value.str_at(&["regarding", "name"]), Some("web"));
    assert_eq!(value.str_at(&["related", "name"]), Some("other"));
    assert_eq!(value.str_at(&["action"]), Some("Scheduling"));
    assert_eq!(value.str_at(&["note"]), Some("0/1 nodes"));
    assert_eq!(value.str_at(&["eventTime"]), Some("2026-01-01T00:00:00.000000Z"));
    assert_eq!(value.str_at(&["reportingController"]), Some("default-scheduler"));
    assert_eq!(value.str_at(&["reportingInstance"]), Some("default-scheduler-host"));
    for absent in ["series", "count", "source", "deprecatedCount", "firstTimestamp"] {
        assert_eq!(value.get(absent), None, "{absent}");
    }
    // The text does not matter.
    let Decision::Patch(second, patch) = series.correlate(report(60, "0/2 nodes")) else { panic!("it is the second") };
    assert_eq!((&second.name, second.message.as_str()), (&first.name, "0/1 nodes"));
    assert_eq!(patch.i64_at(&["series", "count"]), Some(2));
    assert_eq!(patch.str_at(&["series", "lastObservedTime"]), Some("2026-01-01T00:01:00.000000Z"));
    assert_eq!(series.correlate(report(60, "again")), Decision::Skip);
    assert_eq!(series.due(clock.now()), []);
    // It ends when nothing comes any more, and says how often it was.
    clock.advance(series::FINISH);
    let due = series.due(clock.now());
    let [Decision::Patch(_, patch)] = due.as_slice() else { panic!("the last count: {due:?}") };
    assert_eq!(patch.i64_at(&["series", "count"]), Some(3));
    assert!(series.is_empty());
    assert!(matches!(series.correlate(report(0, "anew")), Decision::Create(_)));
}

#[test]
fn a_series_that_goes_on_is_written_before_it_expires() {
    let mut t = fixture();
    let mut series = series::Series::default();
    let mut written = Vec::new();
    for minute in 0..=40 {
        t.clock.advance(Duration::from_secs(60));
        t.recorder.outcome(&pod("web"), EventType::Normal, "R", Occasion { action: "A", related: None }, "n");
        series.correlate(t.queue.try_next().unwrap());
        written.extend(series.due(t.clock.now()).into_iter().map(|_| minute));
    }
    assert_eq!(written, [31]);
}
