//! Events: what a component tells people about an object, without ever waiting for it.
//!
//! Flow: `Recorder` (bounded queue, drops when full) -> `EventWriter` -> `correlator` (similar events become counts) ->
//! create or patch of core/v1 Events. Events that say which action they are about take `series` instead, to
//! events.k8s.io/v1.
//! Upstream: k8s.io/client-go/tools/record and k8s.io/client-go/tools/events (v1.35).

pub mod correlator;
mod lru;
mod series;
mod writer;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use corten_apimachinery::{
    meta::{format_micro_time, format_time},
    stored::Stored,
    value::{Str, Value, format_str},
};
use corten_base::SharedClock;
use jiff::Timestamp;
use tokio::sync::mpsc;

pub use writer::EventWriter;

/// How many reports wait for the writer. Upstream's figure; further ones are dropped and counted, since nothing that
/// matters may wait for an event.
const QUEUE_CAPACITY: usize = 1_000;

/// The object that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// `apiVersion`.
    pub api_version: Str,
    /// `kind`.
    pub kind: Str,
    /// The namespace; empty for cluster-scoped objects, whose events go to `default`.
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The UID.
    pub uid: Str,
    /// The version that the event is about; empty if it does not matter.
    pub resource_version: Str,
    /// The part of the object: `spec.containers{web}`; empty for all of it.
    pub field_path: Str,
}

impl ObjectRef {
    /// A reference to `object`, of this kind.
    pub fn of(api_version: impl Into<Str>, kind: impl Into<Str>, object: &Stored) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            resource_version: format_str!("{}", object.revision),
            field_path: Str::default(),
        }
    }

    fn to_value(&self) -> Value {
        let fields = [
            ("apiVersion", &self.api_version),
            ("fieldPath", &self.field_path),
            ("kind", &self.kind),
            ("name", &self.name),
            ("namespace", &self.namespace),
            ("resourceVersion", &self.resource_version),
            ("uid", &self.uid),
        ];
        let present = fields.into_iter().filter(|(_, text)| !text.is_empty());
        Value::object_of(present.map(|(key, text)| (key, Value::String(text.clone()))))
    }
}

/// Whether something went as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It did.
    Normal,
    /// It did not.
    Warning,
}

impl EventType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One event, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event object's own name.
    pub name: Str,
    /// What it is about.
    pub object: ObjectRef,
    /// A second object that it is about.
    pub related: Option<ObjectRef>,
    /// Whether it is good news.
    pub event_type: EventType,
    /// What was tried: `Binding`. Empty for events of the older shape, which know none.
    pub action: Str,
    /// A word for machines: `FailedScheduling`.
    pub reason: Str,
    /// A sentence for people.
    pub message: String,
    /// Who reports it.
    pub component: Str,
    /// On which host; empty for none.
    pub host: Str,
    /// When it happened first.
    pub first: Timestamp,
    /// When it happened last.
    pub last: Timestamp,
    /// How often.
    pub count: u32,
}

impl Event {
    /// The namespace of the event object.
    #[must_use]
    pub fn namespace(&self) -> Str {
        if self.object.namespace.is_empty() { Str::const_new("default") } else { self.object.namespace.clone() }
    }

    /// The name of an event about `object` at `now`.
    fn name_of(object: &ObjectRef, now: Timestamp) -> Str {
        format_str!("{}.{:x}", object.name, now.as_nanosecond())
    }

    /// The object on the wire: an event of `events.k8s.io/v1` if it has an action, else one of `v1`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut event = if self.action.is_empty() { self.to_core() } else { self.to_new() };
        event.set(&["metadata", "name"], self.name.clone());
        event.set(&["metadata", "namespace"], self.namespace());
        event
    }

    fn to_new(&self) -> Value {
        let instance =
            if self.host.is_empty() { self.component.clone() } else { format_str!("{}-{}", self.component, self.host) };
        let mut event = Value::object_of([
            ("apiVersion", Value::from("events.k8s.io/v1")),
            ("kind", "Event".into()),
            ("regarding", self.object.to_value()),
            ("action", Value::String(self.action.clone())),
            ("reason", Value::String(self.reason.clone())),
            ("note", self.message.as_str().into()),
            ("eventTime", Value::String(format_micro_time(self.first))),
            ("type", self.event_type.as_str().into()),
            ("reportingController", Value::String(self.component.clone())),
            ("reportingInstance", Value::String(instance)),
        ]);
        if let Some(related) = &self.related {
            event.set(&["related"], related.to_value());
        }
        if self.count > 1 {
            event.set(&["series"], series::series_of(self));
        }
        event
    }

    fn to_core(&self) -> Value {
        let mut event = Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("kind", "Event".into()),
            ("involvedObject", self.object.to_value()),
            ("reason", Value::String(self.reason.clone())),
            ("message", self.message.as_str().into()),
            ("firstTimestamp", Value::String(format_time(self.first))),
            ("lastTimestamp", Value::String(format_time(self.last))),
            ("count", self.count.into()),
            ("type", self.event_type.as_str().into()),
            ("reportingComponent", Value::String(self.component.clone())),
            ("reportingInstance", Value::String(self.host.clone())),
        ]);
        event.set(&["source", "component"], self.component.clone());
        if !self.host.is_empty() {
            event.set(&["source", "host"], self.host.clone());
        }
        event
    }
}

/// What an event of `events.k8s.io` says besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Occasion<'a> {
    /// What was tried: `Binding`.
    pub action: &'a str,
    /// A second object that it is about.
    pub related: Option<&'a ObjectRef>,
}

/// Reports events for one component. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Recorder {
    component: Str,
    host: Str,
    clock: SharedClock,
    queue: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// A recorder for `component` on `host` (empty for none), and the queue for an `EventWriter`.
    #[must_use]
    pub fn new(component: impl Into<Str>, host: impl Into<Str>, clock: SharedClock) -> (Self, EventQueue) {
        let (queue, events) = mpsc::channel(QUEUE_CAPACITY);
        let recorder = Self { component: component.into(), host: host.into(), clock, queue, dropped: Arc::default() };
        (recorder, EventQueue(events))
    }

    /// The same queue under another component's name.
    #[must_use]
    pub fn for_component(&self, component: impl Into<Str>) -> Self {
        Self { component: component.into(), ..self.clone() }
    }

    /// Reports that something happened to `object`. Dropped when too many reports wait.
    pub fn event(&self, object: &ObjectRef, event_type: EventType, reason: &str, message: impl Into<String>) {
        self.send(object, event_type, reason, Occasion::default(), message.into());
    }

    /// Reports what came of an action on `object`, as an event of `events.k8s.io`. Dropped when too many reports wait.
    pub fn outcome(
        &self,
        object: &ObjectRef,
        event_type: EventType,
        reason: &str,
        occasion: Occasion<'_>,
        note: impl Into<String>,
    ) {
        debug_assert!(!occasion.action.is_empty(), "an event of events.k8s.io has an action");
        self.send(object, event_type, reason, occasion, note.into());
    }

    fn send(&self, object: &ObjectRef, event_type: EventType, reason: &str, occasion: Occasion<'_>, message: String) {
        let now = self.clock.now();
        let event = Event {
            name: Event::name_of(object, now),
            object: object.clone(),
            related: occasion.related.cloned(),
            event_type,
            action: occasion.action.into(),
            reason: reason.into(),
            message,
            component: self.component.clone(),
            host: self.host.clone(),
            first: now,
            last: now,
            count: 1,
        };
        if self.queue.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reports good news.
    pub fn normal(&self, object: &ObjectRef, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Normal, reason, message);
    }

    /// Reports bad news.
    pub fn warning(&self, object: &ObjectRef, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Warning, reason, message);
    }

    /// How many reports were dropped because the queue was full or its writer gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({})", self.component)
    }
}

/// The reports that wait, for an `EventWriter` or a test.
#[derive(Debug)]
pub struct EventQueue(mpsc::Receiver<Event>);

impl EventQueue {
    /// The next report; `None` once all recorders are gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next report if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests;
