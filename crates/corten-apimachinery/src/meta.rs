//! Reads and writes the metadata of an object tree: the few fields that every kind has.
//!
//! Upstream: k8s.io/apimachinery/pkg/apis/meta/v1 ObjectMeta (v1.35).

use jiff::Timestamp;

use crate::{
    codec::canonical_time,
    value::{Map, Str, Value},
};

/// Access to `apiVersion`, `kind` and `metadata` of an object. Absent texts read as empty.
pub trait ObjectMeta {
    /// `apiVersion`.
    fn api_version(&self) -> &str;
    /// `kind`.
    fn kind(&self) -> &str;
    /// `metadata.name`.
    fn name(&self) -> &str;
    /// `metadata.generateName`.
    fn generate_name(&self) -> &str;
    /// `metadata.namespace`.
    fn namespace(&self) -> &str;
    /// `metadata.uid`.
    fn uid(&self) -> &str;
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str;
    /// `metadata.generation`, 0 if absent.
    fn generation(&self) -> i64;
    /// `metadata.labels`, if there are any.
    fn labels(&self) -> Option<&Map>;
    /// One label.
    fn label(&self, key: &str) -> Option<&str>;
    /// `metadata.annotations`, if there are any.
    fn annotations(&self) -> Option<&Map>;
    /// One annotation.
    fn annotation(&self, key: &str) -> Option<&str>;
    /// `metadata.finalizers`.
    fn finalizers(&self) -> impl Iterator<Item = &str>;
    /// `metadata.ownerReferences`.
    fn owner_references(&self) -> &[Value];
    /// The owner reference with `controller: true`.
    fn controller_owner(&self) -> Option<&Value>;
    /// `metadata.creationTimestamp` as written.
    fn creation_timestamp(&self) -> Option<&str>;
    /// `metadata.deletionTimestamp` as written; present once deletion has begun.
    fn deletion_timestamp(&self) -> Option<&str>;
    /// `metadata.deletionGracePeriodSeconds`.
    fn deletion_grace_period_seconds(&self) -> Option<i64>;
    /// Sets a field of `metadata`.
    fn set_meta(&mut self, field: &str, value: impl Into<Value>);
    /// Removes a field of `metadata`.
    fn unset_meta(&mut self, field: &str);
}

impl ObjectMeta for Value {
    fn api_version(&self) -> &str {
        self.str_at(&["apiVersion"]).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.str_at(&["kind"]).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.str_at(&["metadata", "name"]).unwrap_or_default()
    }

    fn generate_name(&self) -> &str {
        self.str_at(&["metadata", "generateName"]).unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.str_at(&["metadata", "namespace"]).unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.str_at(&["metadata", "uid"]).unwrap_or_default()
    }

    fn resource_version(&self) -> &str {
        self.str_at(&["metadata", "resourceVersion"]).unwrap_or_default()
    }

    fn generation(&self) -> i64 {
        self.i64_at(&["metadata", "generation"]).unwrap_or_default()
    }

    fn labels(&self) -> Option<&Map> {
        self.at(&["metadata", "labels"])?.as_object()
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key)?.as_str()
    }

    fn annotations(&self) -> Option<&Map> {
        self.at(&["metadata", "annotations"])?.as_object()
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations()?.get(key)?.as_str()
    }

    fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.items_at(&["metadata", "finalizers"]).iter().filter_map(Value::as_str)
    }

    fn owner_references(&self) -> &[Value] {
        self.items_at(&["metadata", "ownerReferences"])
    }

    fn controller_owner(&self) -> Option<&Value> {
        self.owner_references().iter().find(|owner| owner.bool_at(&["controller"]) == Some(true))
    }

    fn creation_timestamp(&self) -> Option<&str> {
        self.str_at(&["metadata", "creationTimestamp"])
    }

    fn deletion_timestamp(&self) -> Option<&str> {
        self.str_at(&["metadata", "deletionTimestamp"])
    }

    fn deletion_grace_period_seconds(&self) -> Option<i64> {
        self.i64_at(&["metadata", "deletionGracePeriodSeconds"])
    }

    fn set_meta(&mut self, field: &str, value: impl Into<Value>) {
        self.set(&["metadata", field], value);
    }

    fn unset_meta(&mut self, field: &str) {
        self.unset(&["metadata", field]);
    }
}

/// Writes a time as `metav1.Time` does: UTC, whole seconds, cut and not rounded.
#[must_use]
pub fn format_time(time: Timestamp) -> Str {
    let seconds = Timestamp::from_second(time.as_second()).expect("the seconds of a timestamp are in range");
    crate::value::format_str!("{seconds}")
}

/// Writes a time as `metav1.MicroTime` does: UTC with six digits.
#[must_use]
pub fn format_micro_time(time: Timestamp) -> Str {
    crate::value::format_str!("{time:.6}")
}

/// Reads a time in RFC 3339. The last day of the year 9999, by which some say "never", is the last moment that there is.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    match text.parse() {
        Ok(time) => Some(time),
        Err(_) if text.starts_with("9999-12-3") => canonical_time(text).is_ok().then_some(Timestamp::MAX),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_upstream_writes_them() {
        let time: Timestamp = "2026-11-21T07:14:13.987654321Z".parse().unwrap();
        assert_eq!(format_time(time), "2026-11-21T07:14:13Z");
        assert_eq!(format_micro_time(time), "2026-11-21T07:14:13.987654Z");
        assert_eq!(parse_time("2026-11-21T09:14:13+02:00"), parse_time("2026-11-21T07:14:13Z"));
        assert_eq!(parse_time("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        assert_eq!((parse_time("9999-12-32T23:59:59Z"), parse_time("9999-12-3")), (None, None));
    }

    #[test]
    fn metadata_is_read_and_written_in_place() {
        let mut pod = Value::object();
        assert_eq!(pod.name(), "");
        pod.set_meta("name", "web");
        pod.set(&["metadata", "labels", "app"], "web");
        assert_eq!((pod.name(), pod.label("app"), pod.label("tier")), ("web", Some("web"), None));
        pod.unset_meta("labels");
        assert_eq!(pod.labels(), None);
    }
}
