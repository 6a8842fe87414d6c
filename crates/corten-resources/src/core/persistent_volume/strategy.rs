//! What clients may change of a persistent volume through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::{ObjectMeta as _, format_time},
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::warnings::node_selector_term,
    gates::Gated,
    rules::keep,
    status::Status,
    tree::{each_at, present},
};

/// The volume itself.
#[derive(Debug)]
pub(super) struct Main;

const ATTRIBUTES: Gated = Gated::new(&["VolumeAttributesClass"], &["spec.volumeAttributesClassName"]);

/// Sources that are going away or gone: (field, the name that is shown, what there is to say).
const OLD_SOURCES: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, volume: &mut Value) {
        ATTRIBUTES.drop_from(cx.features, volume, None);
        let now = format_time(cx.now);
        volume
            .set(&["status"], Value::object_of([("phase", "Pending".into()), ("lastPhaseTransitionTime", now.into())]));
    }

    fn prepare_for_update(&self, cx: &Context<'_>, volume: &mut Value, old: &Value) {
        keep(volume, old, &["status"]);
        ATTRIBUTES.drop_from(cx.features, volume, Some(old));
    }

    fn validate(&self, cx: &Context<'_>, volume: &Value) -> ErrorList {
        validation::create(cx, volume)
    }

    fn validate_update(&self, cx: &Context<'_>, volume: &Value, old: &Value) -> ErrorList {
        validation::update(cx, volume, old)
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
    let spec = Path::new("spec");
    if let Some(required) = volume.at(&["spec", "nodeAffinity", "required"]) {
        let path = spec.child("nodeAffinity").child("required");
        for (at, term) in each_at(required, "nodeSelectorTerms", &path) {
            node_selector_term(term, false, &at, &mut warnings);
        }
    }
    for (field, shown, advice) in OLD_SOURCES {
        if present(volume, &["spec", field]).is_some() {
            warnings.push(format!("{}: {advice}", spec.child(shown)));
        }
    }
    warnings
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, _volume, _old| ErrorList::new()).preparing(stamp_phase);

/// A volume's phase has the time since when it has it, unless the client says one.
fn stamp_phase(cx: &Context<'_>, volume: &mut Value, old: &Value) {
    let (phase, time) = (["status", "phase"], ["status", "lastPhaseTransitionTime"]);
    if volume.at(&phase) == old.at(&phase) {
        if volume.at(&time).is_none_or(Value::is_null) {
            keep(volume, old, &time);
        }
    } else if volume.at(&time).is_none_or(Value::is_null) || volume.at(&time) == old.at(&time) {
        volume.set(&time, format_time(cx.now));
    }
}
