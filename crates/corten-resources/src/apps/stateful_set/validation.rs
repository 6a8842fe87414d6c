//! Rules of stateful sets.

use std::collections::BTreeMap;

use corten_api::{
    apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec},
    core::v1::{PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume},
};
use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    resource::Context,
    validation::{is_dns1123_label, validate_annotations, validate_label_map},
    value::semantically_equal,
};

use crate::{
    core::{
        persistent_volume_claim::validate_spec,
        pod_spec::{
            template,
            validation::{label_selector, pod_annotations},
            workload::{
                TEMPLATE, amount, is_empty, is_well_formed, takes, validate_at_most_all, validate_collisions,
                validate_counts, validate_endless, validate_int_or_percent, validate_selected,
            },
        },
    },
    report::{Report, with_view},
    view::{each, int_or_string, list, or_default, text},
};

/// What of a set is looked at closely.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of it.
    New,
    /// What can still be changed.
    Changed,
    /// What can still be changed, but not how pods are made, because that was wrong before.
    ChangedOfBroken,
}

/// The fields of the spec that an update may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) fn create(cx: &Context<'_>, set: &Value) -> ErrorList {
    check(cx, set, None, Scope::New)
}

pub(super) fn update(cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
    // A set that was made before its template was checked can still be scaled.
    let was_broken = check(cx, old, Some(old), Scope::Changed).iter().next().is_some();
    let mut errors = check(cx, set, Some(old), if was_broken { Scope::ChangedOfBroken } else { Scope::Changed });
    let fixed = |set: &Value| {
        let mut spec = set.get("spec").cloned().unwrap_or_default();
        for field in MUTABLE {
            spec.unset(&[field]);
        }
        spec
    };
    if !semantically_equal(Some(&fixed(set)), Some(&fixed(old))) {
        errors.forbidden(
            &Path::new("spec"),
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
    errors
}

fn check(cx: &Context<'_>, set: &Value, old: Option<&Value>, scope: Scope) -> ErrorList {
    with_view(set, |view: &StatefulSet, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        let policy_at = path.child("podManagementPolicy");
        match text(&spec.pod_management_policy) {
            "" => errors.required(&policy_at, ""),
            "OrderedReady" | "Parallel" => {}
            policy => errors.invalid(&policy_at, policy, "must be 'OrderedReady' or 'Parallel'"),
        }
        update_strategy(set, &spec, &path.child("updateStrategy"), errors);
        if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
            let path = path.child("persistentVolumeClaimRetentionPolicy");
            for (field, value) in [("whenDeleted", &policy.when_deleted), ("whenScaled", &policy.when_scaled)] {
                errors.one_of(&path.child(field), text(value), &["Retain", "Delete"]);
            }
        }
        if scope == Scope::New {
            for (at, claim) in each(&spec.volume_claim_templates, &path.child("volumeClaimTemplates")) {
                validate_spec(&or_default(&claim.spec), &at.child("spec"), errors);
            }
        }
        errors.non_negative(&path.child("replicas"), spec.replicas.unwrap_or_default().into());
        errors.non_negative(&path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default().into());
        if let Some(ordinals) = &spec.ordinals {
            errors.non_negative(&path.child("ordinals.start"), ordinals.start.unwrap_or_default().into());
        }
        let service = text(&spec.service_name);
        if scope == Scope::New && !service.is_empty() {
            errors.invalids(&path.child("serviceName"), service, is_dns1123_label(service));
        }
        selector(set, &spec, errors);
        pods(cx, (set, old), &spec, scope, errors);
    })
}

fn update_strategy(set: &Value, spec: &StatefulSetSpec, path: &Path, errors: &mut ErrorList) {
    let strategy = or_default(&spec.update_strategy);
    let update_at = path.child("rollingUpdate");
    let whole = set.at(&["spec", "updateStrategy"]);
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("", _) => errors.required(path, ""),
        ("OnDelete", Some(_)) => {
            let name = "io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy";
            let update = whole.and_then(|whole| whole.get("rollingUpdate"));
            errors.invalid_struct(&update_at, name, update, "only allowed for updateStrategy 'RollingUpdate'");
        }
        ("RollingUpdate", Some(update)) => rolling_update(update, &update_at, errors),
        ("OnDelete" | "RollingUpdate", None) => {}
        _ => {
            let name = "io.k8s.api.apps.v1.StatefulSetUpdateStrategy";
            errors.invalid_struct(path, name, whole, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

fn rolling_update(update: &RollingUpdateStatefulSetStrategy, path: &Path, errors: &mut ErrorList) {
    errors.non_negative(&path.child("partition"), update.partition.unwrap_or_default().into());
    if let Some(unavailable) = &update.max_unavailable {
        let at = path.child("maxUnavailable");
        validate_int_or_percent(unavailable, &at, errors);
        if amount(unavailable) == 0 {
            errors.invalid(&at, int_or_string(unavailable), "cannot be 0");
        }
        validate_at_most_all(unavailable, &at, errors);
    }
}

fn selector(set: &Value, spec: &StatefulSetSpec, errors: &mut ErrorList) {
    let path = Path::new("spec").child("selector");
    let Some(shown) = set.at(&["spec", "selector"]).filter(|selector| !selector.is_null()) else {
        errors.required(&path, "");
        return;
    };
    label_selector(Some(&spec.selector), &path, errors);
    if is_empty(&spec.selector) {
        errors.invalid(&path, shown.clone(), "empty selector is invalid for statefulset");
    }
    if !is_well_formed(&spec.selector) {
        errors.invalid(&path, shown.clone(), "");
    }
}

fn pods(
    cx: &Context<'_>,
    (set, old): (&Value, Option<&Value>),
    spec: &StatefulSetSpec,
    scope: Scope,
    errors: &mut ErrorList,
) {
    if is_well_formed(&spec.selector) {
        let takes = |labels: &_| takes(set, &spec.selector, labels);
        validate_selected(&spec.template, takes, set, errors);
        let path = Path::new("spec").child("template");
        if scope == Scope::ChangedOfBroken {
            metadata(&spec.template, &path, errors);
        } else {
            let stored = old.and_then(|old| old.at(&TEMPLATE));
            template::validate(cx, &with_claims(spec), stored, &path, errors);
        }
    }
    validate_endless(&spec.template, "StatefulSet", errors);
}

/// The metadata that pods will get.
fn metadata(template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    let metadata = or_default(&template.metadata);
    let map = |map: &Option<BTreeMap<String, String>>| -> Map {
        map.iter().flatten().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
    };
    let (labels, annotations) = (map(&metadata.labels), map(&metadata.annotations));
    errors.extend(validate_label_map(&labels, &path.child("labels")));
    errors.extend(validate_annotations(&annotations, &path.child("annotations")));
    pod_annotations(&annotations, &or_default(&template.spec), &path.child("annotations"), errors);
}

/// The template as the controller fills it in: each claim is a volume, in place of one of the same name.
fn with_claims(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    let claims = list(&spec.volume_claim_templates);
    if claims.is_empty() {
        return template;
    }
    let mut claimed: BTreeMap<&str, Volume> = BTreeMap::new();
    for claim in claims {
        let name = text(&claim.metadata.name);
        let source = PersistentVolumeClaimVolumeSource { claim_name: name.to_owned(), read_only: None };
        let volume = Volume { name: name.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() };
        claimed.insert(name, volume);
    }
    let pod = template.spec.get_or_insert_default();
    let mut volumes = pod.volumes.take().unwrap_or_default();
    // Those of the client keep their places, by which errors name them.
    for volume in &mut volumes {
        if let Some(claim) = claimed.remove(volume.name.as_str()) {
            *volume = claim;
        }
    }
    volumes.extend(claimed.into_values());
    pod.volumes = Some(volumes);
    template
}

pub(super) fn status(set: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_counts(
        set.get("status"),
        &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ],
        &[
            ("readyReplicas", "replicas", "status.replicas"),
            ("currentReplicas", "replicas", "status.replicas"),
            ("updatedReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "readyReplicas", "status.readyReplicas"),
        ],
    );
    validate_collisions(set, old, &mut errors);
    errors
}
