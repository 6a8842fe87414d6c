//! Makes one event of the same that happens again: events of `events.k8s.io` count in a series, not by messages.
//!
//! The first is written at once, the second makes it a series; further ones are only counted. What was counted is
//! written every half an hour and when the series has ended, which is when nothing came for six minutes.
//! Pure: the time comes in. Upstream: k8s.io/client-go/tools/events/event_broadcaster.go (v1.35), with its figures; unlike
//! there what is known is bounded, and a series that is pushed out loses its last count.

use std::time::Duration;

use corten_apimachinery::{meta::format_micro_time, value::Value};
use jiff::Timestamp;

use super::{Event, ObjectRef, correlator::Decision, lru::Lru};

/// How many events are remembered: as many as the correlator of the older events does.
const CACHE_CAPACITY: usize = 4_096;

/// A series ends when nothing came for this long. Upstream: `finishTime`.
pub(super) const FINISH: Duration = Duration::from_secs(6 * 60);

/// A series is written this often, so that it does not expire. Upstream: `refreshTime`.
const REFRESH: Duration = Duration::from_secs(30 * 60);

/// The events that may happen again.
#[derive(Debug)]
pub(super) struct Series {
    known: Lru<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    event: Event,
    written: Timestamp,
}

impl Default for Series {
    fn default() -> Self {
        Self { known: Lru::new(CACHE_CAPACITY) }
    }
}

impl Series {
    /// Decides about `event`, which happened at `event.last`.
    pub(super) fn correlate(&mut self, event: Event) -> Decision {
        let known = self.known.entry(&key(&event), || None);
        let Some(Known { event: first, written }) = known else {
            *known = Some(Known { written: event.last, event: event.clone() });
            return Decision::Create(event);
        };
        first.count += 1;
        first.last = event.last;
        if first.count > 2 {
            return Decision::Skip;
        }
        *written = event.last;
        patch(first)
    }

    /// What is to be written at `now`: ended series for the last time, and others that would expire.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut due = Vec::new();
        let is_past = |time: Timestamp, limit: Duration| now.duration_since(time).unsigned_abs() >= limit;
        self.known.retain(|known| {
            let Some(Known { event, written }) = known else { return false };
            let has_ended = is_past(event.last, FINISH);
            if event.count > 1 && (has_ended || is_past(*written, REFRESH)) {
                due.push(patch(event));
                *written = now;
            }
            !has_ended
        });
        due
    }

    /// Whether there is anything that can come to be due.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn patch(event: &Event) -> Decision {
    Decision::Patch(event.clone(), Value::object_of([("series", series_of(event))]))
}

/// The field `series` of an event that has happened more than once.
pub(super) fn series_of(event: &Event) -> Value {
    Value::object_of([
        ("count", event.count.into()),
        ("lastObservedTime", Value::String(format_micro_time(event.last))),
    ])
}

/// What makes events the same: all but their text. NUL is in none of the parts.
fn key(event: &Event) -> String {
    fn parts(object: &ObjectRef) -> [&str; 7] {
        let ObjectRef { api_version, kind, namespace, name, uid, resource_version, field_path } = object;
        [api_version, kind, namespace, name, uid, resource_version, field_path]
    }
    let mut all = vec![event.event_type.as_str(), &event.action, &event.reason, &event.component, &event.host];
    all.extend(parts(&event.object));
    all.extend(event.related.iter().flat_map(parts));
    all.join("\0")
}
