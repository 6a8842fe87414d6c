//! When the change happened that made endpoints change: the annotation by which the delay of the network is measured.
//!
//! Upstream: k8s.io/endpointslice/util/trigger_time_tracker.go (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::value::Str;
use corten_controller::Key;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::ServicePod;

/// The annotation.
pub(crate) const ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

#[derive(Debug, Default)]
struct Seen {
    service: Option<Timestamp>,
    pods: BTreeMap<Str, Timestamp>,
}

/// What each service's last reconcile saw. Capacity: one entry per service; `forget` it with the service.
#[derive(Debug, Default)]
pub(crate) struct TriggerTimes(Mutex<BTreeMap<Key, Seen>>);

impl TriggerTimes {
    /// The time of the earliest change since the last call for this service; at the first call, when the service was
    /// made. `None` if nothing with a time has changed.
    pub(crate) fn next(&self, service: &Key, created: Option<Timestamp>, pods: &[ServicePod]) -> Option<Timestamp> {
        let mut all = self.0.lock();
        let is_new = !all.contains_key(service);
        let seen = all.entry(service.clone()).or_default();
        let times = pods.iter().filter_map(|pod| Some((pod.object.name.clone(), pod.value.ready_since?)));
        let times: BTreeMap<Str, Timestamp> = times.collect();
        let changed = times.iter().filter(|(name, time)| seen.pods.get(*name).is_none_or(|last| *time > last));
        let changed = changed.map(|(_, time)| *time).chain(created.filter(|time| Some(*time) > seen.service)).min();
        *seen = Seen { service: created, pods: times };
        if is_new { created } else { changed }
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: &Key) {
        self.0.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_informer::{Projection, testutil::object};

    use super::*;
    use crate::pods::PodState;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(name: &str, ready_since: i64) -> ServicePod {
        let value = PodState { ready_since: Some(at(ready_since)), ..PodState::default() };
        Arc::new(Projection { object: object(&format!("ns/{name}"), 1).build(), value })
    }

    #[test]
    fn the_earliest_change_since_the_last_look_counts() {
        let (times, key) = (TriggerTimes::default(), Key::new("ns", "web"));
        let next = |pods: &[ServicePod]| times.next(&key, Some(at(100)), pods);
        assert_eq!(next(&[pod("a", 50)]), Some(at(100)));
        assert_eq!(next(&[pod("a", 50)]), None);
        assert_eq!(next(&[pod("a", 120), pod("b", 110)]), Some(at(110)));
        assert_eq!(next(&[pod("b", 110)]), None);
        times.forget(&key);
        assert_eq!(times.next(&key, Some(at(100)), &[]), Some(at(100)));
    }
}
