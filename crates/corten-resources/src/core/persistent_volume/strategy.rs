//! What clients may change of a persistent volume through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::{ObjectMeta as _, format_time},
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::keep;

/// The volume itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, volume: &mut Value) {
        let now = format_time(cx.now);
        volume
            .set(&["status"], Value::object_of([("phase", "Pending".into()), ("lastPhaseTransitionTime", now.into())]));
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, volume: &mut Value, old: &Value) {
        keep(volume, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, volume: &Value) -> ErrorList {
        validation::create(volume)
    }

    fn validate_update(&self, _cx: &Context<'_>, volume: &Value, old: &Value) -> ErrorList {
        validation::update(volume, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, volume: &Value) -> Vec<String> {
        warnings(volume)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, volume: &Value, _old: &Value) -> Vec<String> {
        warnings(volume)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Upstream: pkg/api/persistentvolume/util.go.
fn warnings(volume: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (annotation, since, field) in [
        ("volume.beta.kubernetes.io/storage-class", "v1.8", "storageClassName"),
        ("volume.beta.kubernetes.io/mount-options", "v1.31", "mountOptions"),
    ] {
        if volume.annotation(annotation).is_some() {
            let at = Path::new("metadata").child("annotations").key(annotation);
            warnings.push(format!("{at}: deprecated since {since}; use \"{field}\" attribute instead"));
        }
    }
    if volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) == Some("Recycle") {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    warnings
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, cx: &Context<'_>, volume: &mut Value, old: &Value) {
        keep(volume, old, &["spec"]);
        let (phase, time) = (["status", "phase"], ["status", "lastPhaseTransitionTime"]);
        if volume.at(&phase) == old.at(&phase) {
            if volume.at(&time).is_none_or(Value::is_null) {
                keep(volume, old, &time);
            }
        } else if volume.at(&time).is_none_or(Value::is_null) || volume.at(&time) == old.at(&time) {
            volume.set(&time, format_time(cx.now));
        }
    }

    fn validate(&self, _cx: &Context<'_>, _volume: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _volume: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
