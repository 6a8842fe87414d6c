//! What clients may change of a claim through each of its endpoints.

use corten_apimachinery::{
    Features, Value,
    field::{ErrorList, Path, quote},
    meta::ObjectMeta as _,
    quantity::Quantity,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{gates::Gated, quantity::Amount as _, rules::keep, status::Status};

const ATTRIBUTES: Gated = Gated::new(&["VolumeAttributesClass"], &["spec.volumeAttributesClassName"]);
const OF_STATUS: [Gated; 2] = [
    Gated::new(&["VolumeAttributesClass"], &["status.currentVolumeAttributesClassName"]),
    Gated::new(&["VolumeAttributesClass"], &["status.modifyVolumeStatus"]),
];

/// The claim itself.
#[derive(Debug)]
pub(super) struct Main;

/// A source of data said in one of both fields is said in the other too, as far as the older one can say it.
fn normalize_data_sources(claim: &mut Value) {
    let (old, new) = (["spec", "dataSource"], ["spec", "dataSourceRef"]);
    let is_set = |claim: &Value, path: &[&str]| claim.at(path).is_some_and(|source| !source.is_null());
    let has_namespace = claim.str_at(&["spec", "dataSourceRef", "namespace"]).is_some_and(|name| !name.is_empty());
    if is_set(claim, &old) && !is_set(claim, &new) {
        let source = claim.at(&old).cloned().unwrap_or_default();
        claim.set(&new, source);
    } else if is_set(claim, &new) && !is_set(claim, &old) && !has_namespace {
        let mut source = claim.at(&new).cloned().unwrap_or_default();
        source.unset(&["namespace"]);
        claim.set(&old, source);
    }
}

/// Sources of data that are not served are dropped without a word, unless the claim had one before: those in other
/// namespaces, and in the older field all but claims and snapshots.
///
/// Upstream: DropDisabledFields and EnforceDataSourceBackwardsCompatibility in pkg/api/persistentvolumeclaim/util.go.
fn drop_data_sources(features: &Features, claim: &mut Value, old: Option<&Value>) {
    let is_set = |claim: &Value, field: &str| claim.at(&["spec", field]).is_some_and(|source| !source.is_null());
    let had = |field: &str| old.is_some_and(|old| is_set(old, field));
    let has_namespace = claim.str_at(&["spec", "dataSourceRef", "namespace"]).is_some_and(|name| !name.is_empty());
    if has_namespace && !had("dataSourceRef") && !features.is_enabled("CrossNamespaceVolumeDataSource") {
        claim.unset(&["spec", "dataSourceRef"]);
    }
    if had("dataSource") || had("dataSourceRef") || is_set(claim, "dataSourceRef") {
        return;
    }
    let text = |field: &str| claim.str_at(&["spec", "dataSource", field]).unwrap_or_default();
    let known = [("PersistentVolumeClaim", ""), ("VolumeSnapshot", "snapshot.storage.k8s.io")];
    if !known.contains(&(text("kind"), text("apiGroup"))) {
        claim.unset(&["spec", "dataSource"]);
    }
}

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, claim: &mut Value) {
        claim.set(&["status"], Value::object_of([("phase", "Pending".into())]));
        ATTRIBUTES.drop_from(cx.features, claim, None);
        drop_data_sources(cx.features, claim, None);
        normalize_data_sources(claim);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, claim: &mut Value, old: &Value) {
        keep(claim, old, &["status"]);
        ATTRIBUTES.drop_from(cx.features, claim, Some(old));
        drop_data_sources(cx.features, claim, Some(old));
        normalize_data_sources(claim);
    }

    fn validate(&self, _cx: &Context<'_>, claim: &Value) -> ErrorList {
        validation::create(claim)
    }

    fn validate_update(&self, cx: &Context<'_>, claim: &Value, old: &Value) -> ErrorList {
        validation::update(cx, claim, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, claim: &Value) -> Vec<String> {
        warnings(claim)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, claim: &Value, _old: &Value) -> Vec<String> {
        warnings(claim)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Upstream: pkg/api/persistentvolumeclaim/util.go.
fn warnings(claim: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let annotation = "volume.beta.kubernetes.io/storage-class";
    if claim.annotation(annotation).is_some() {
        let at = Path::new("metadata").child("annotations").key(annotation);
        warnings.push(format!("{at}: deprecated since v1.8; use \"storageClassName\" attribute instead"));
    }
    if let Some(spec) = claim.get("spec") {
        warnings.extend(spec_warnings(spec, &Path::new("spec")));
    }
    warnings
}

/// Advice about the spec of a claim at `path`.
pub(crate) fn spec_warnings(spec: &Value, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for list in ["requests", "limits"] {
        let amount = spec.str_at(&["resources", list, "storage"]);
        if let Some(text) = amount.filter(|text| Quantity::parse(text).is_some_and(|amount| !amount.is_whole_at(0))) {
            let at = path.child("resources").child(list).key("storage");
            warnings.push(format!("{at}: fractional byte value {} is invalid, must be an integer", quote(text)));
        }
    }
    warnings
}

/// `status`.
pub(super) static STATUS: Status =
    Status::new(|_cx, claim, _old| validation::status(claim)).preparing(|cx, claim, old| {
        OF_STATUS.iter().for_each(|gated| gated.drop_from(cx.features, claim, Some(old)));
    });

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{drop_data_sources, warnings};
    use crate::testing::{features, value};

    #[test]
    fn sources_of_data_that_are_not_served_are_dropped() {
        let snapshot = json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "s"});
        let other = json!({"kind": "Other", "apiGroup": "example.com", "name": "o"});
        let far = json!({"kind": "PersistentVolumeClaim", "name": "c", "namespace": "far"});
        for (given, had, want) in [
            (json!({"dataSource": snapshot}), None, json!({"dataSource": snapshot})),
            (json!({"dataSource": other}), None, json!({})),
            (json!({"dataSource": other}), Some(json!({"dataSource": other})), json!({"dataSource": other})),
            (json!({"dataSourceRef": other}), None, json!({"dataSourceRef": other})),
            (json!({"dataSourceRef": far}), None, json!({})),
        ] {
            let mut claim = value(json!({"spec": given}));
            let old = had.map(|spec| value(json!({"spec": spec})));
            drop_data_sources(&features(""), &mut claim, old.as_ref());
            assert_eq!(claim, value(json!({"spec": want})), "{given}");
        }
    }

    #[test]
    fn old_ways_are_announced() {
        let claim = json!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}},
            "spec": {"resources": {"requests": {"storage": "100m"}}},
        });
        assert_eq!(
            warnings(&value(claim)),
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \
                 \"storageClassName\" attribute instead",
                "spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer",
            ]
        );
    }
}
