//! Rules of persistent volumes.

mod source;

use corten_api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta as _,
    quantity::Quantity,
    resource::Context,
    value::semantically_equal,
};

use crate::{
    core::{
        persistent_volume_claim::{VOLUME_MODES, validate_access_modes},
        pod_spec::validation::{NOT_POSITIVE, node_selector, volume_sources as sources},
    },
    defaulting::each,
    internal_form,
    quantity::Amount,
    report::{Report, with_view},
    tree::present,
    view::{list, or_default, text},
};

/// What a spec has besides the source of the volume.
const NOT_SOURCES: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(super) fn create(cx: &Context<'_>, volume: &Value) -> ErrorList {
    check(cx, volume, false)
}

fn check(cx: &Context<'_>, volume: &Value, had_attributes_class: bool) -> ErrorList {
    with_view(volume, |view: &PersistentVolume, errors| {
        let spec = or_default(&view.spec);
        let path = Path::new("spec");
        let at = |field: &str| path.child(field);
        if list(&spec.access_modes).is_empty() {
            errors.required(&at("accessModes"), "");
        }
        validate_access_modes(list(&spec.access_modes), &at("accessModes"), errors);
        capacity(volume, &spec, &at("capacity"), errors);
        let policy = text(&spec.persistent_volume_reclaim_policy);
        let policy_at = at("persistentVolumeReclaimPolicy");
        if !policy.is_empty() {
            errors.one_of(&policy_at, policy, &["Delete", "Recycle", "Retain"]);
        }
        if let Some(affinity) = &spec.node_affinity {
            match &affinity.required {
                Some(required) => node_selector(required, &at("nodeAffinity").child("required"), errors),
                None => {
                    errors.required(&at("nodeAffinity").child("required"), "must specify required node constraints");
                }
            }
        }
        one_source(&spec, volume.name(), &path, errors);
        let is_root = |path: &str| path.split('/').all(|part| matches!(part, "" | "."));
        if spec.host_path.as_ref().is_some_and(|source| is_root(&source.path)) && policy == "Recycle" {
            errors.forbidden(&policy_at, "may not be 'recycle' for a hostPath mount of '/'");
        }
        if !text(&spec.storage_class_name).is_empty() {
            errors.object_name(&at("storageClassName"), text(&spec.storage_class_name));
        }
        if let Some(mode) = &spec.volume_mode {
            errors.one_of(&at("volumeMode"), mode, VOLUME_MODES);
        }
        attributes_class(cx, &spec, had_attributes_class, &path, errors);
    })
}

/// The class of a volume's attributes, which only drivers outside of the kubelet know.
fn attributes_class(cx: &Context<'_>, spec: &PersistentVolumeSpec, had_one: bool, path: &Path, errors: &mut ErrorList) {
    let Some(name) = &spec.volume_attributes_class_name else { return };
    if !had_one && !cx.features.is_enabled("VolumeAttributesClass") {
        return;
    }
    let at = path.child("volumeAttributesClassName");
    if name.is_empty() {
        errors.required(&at, "an empty string is disallowed");
    } else {
        errors.object_name(&at, name);
    }
    if spec.csi.is_none() {
        errors.required(&path.child("csi"), "has to be specified when using volumeAttributesClassName");
    }
}

fn capacity(volume: &Value, spec: &PersistentVolumeSpec, path: &Path, errors: &mut ErrorList) {
    let capacity = spec.capacity.clone().unwrap_or_default();
    if capacity.is_empty() {
        errors.required(path, "");
    }
    if capacity.len() > 1 || !capacity.contains_key("storage") {
        let shown = volume.at(&["spec", "capacity"]).cloned().unwrap_or_default();
        errors.push(Error::not_supported(path, shown, &["storage"]));
    }
    for (name, amount) in &capacity {
        let (at, exact) = (path.key(name), Quantity::of(amount));
        if exact.units() < 0 {
            errors.invalid(&at, exact.units(), "must be a valid resource quantity");
        }
        if !exact.is_positive() {
            errors.invalid(&at, amount.0.as_str(), NOT_POSITIVE);
        }
    }
}

fn one_source(spec: &PersistentVolumeSpec, name: &str, path: &Path, errors: &mut ErrorList) {
    // In upstream's order, with the names that it uses for one too many.
    let kinds: [(&str, bool); 22] = [
        ("hostPath", spec.host_path.is_some()),
        ("gcePersistentDisk", spec.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", spec.aws_elastic_block_store.is_some()),
        ("glusterfs", spec.glusterfs.is_some()),
        ("flocker", spec.flocker.is_some()),
        ("nfs", spec.nfs.is_some()),
        ("rbd", spec.rbd.is_some()),
        ("quobyte", spec.quobyte.is_some()),
        ("cephFS", spec.cephfs.is_some()),
        ("iscsi", spec.iscsi.is_some()),
        ("cinder", spec.cinder.is_some()),
        ("fc", spec.fc.is_some()),
        ("flexVolume", spec.flex_volume.is_some()),
        ("azureFile", spec.azure_file.is_some()),
        ("vsphereVolume", spec.vsphere_volume.is_some()),
        ("photonPersistentDisk", spec.photon_persistent_disk.is_some()),
        ("portworxVolume", spec.portworx_volume.is_some()),
        ("azureDisk", spec.azure_disk.is_some()),
        ("scaleIO", spec.scale_io.is_some()),
        ("local", spec.local.is_some()),
        ("storageos", spec.storageos.is_some()),
        ("csi", spec.csi.is_some()),
    ];
    let mut count = 0;
    for (kind, _) in kinds.iter().filter(|(_, is_set)| *is_set) {
        count += 1;
        // Upstream does not count drivers of the kubelet's own among those that are one too many.
        if count > 1 && *kind != "flexVolume" {
            errors.forbidden(&path.child(kind), sources::TOO_MANY);
        } else {
            source::known(kind, spec, name, path, errors);
        }
    }
    if count == 0 {
        errors.required(path, sources::NONE);
    }
}

/// Every rule that a spec breaks which is no object of its own, but a part of another: what binds volumes to claims has no
/// place in it.
pub(crate) fn inline(spec: &Value, path: &Path) -> ErrorList {
    with_view(spec, |view: &PersistentVolumeSpec, errors| {
        const NOT_INLINE: &str = "may not be specified in the context of inline volumes";
        let forbid = |field: &str, is_set: bool, errors: &mut ErrorList| {
            if is_set {
                errors.forbidden(&path.child(field), NOT_INLINE);
            }
        };
        forbid("claimRef", view.claim_ref.is_some(), errors);
        forbid("capacity", view.capacity.as_ref().is_some_and(|capacity| !capacity.is_empty()), errors);
        if view.csi.is_none() {
            errors.required(&path.child("csi"), "has to be specified in the context of inline volumes");
        }
        let modes = list(&view.access_modes);
        if modes.is_empty() {
            errors.required(&path.child("accessModes"), "");
        }
        validate_access_modes(modes, &path.child("accessModes"), errors);
        let policy = text(&view.persistent_volume_reclaim_policy);
        if !matches!(policy, "" | "Retain") {
            let detail = "may only be Retain in the context of inline volumes";
            errors.forbidden(&path.child("persistentVolumeReclaimPolicy"), detail);
        }
        forbid("nodeAffinity", view.node_affinity.is_some(), errors);
        // A part of another object has no name of its own.
        one_source(view, "", path, errors);
        forbid("storageClassName", !text(&view.storage_class_name).is_empty(), errors);
        if view.volume_mode.as_ref().is_some_and(|mode| mode != "Filesystem") {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.forbidden(&path.child("volumeMode"), detail);
        }
    })
}

pub(super) fn update(cx: &Context<'_>, volume: &Value, old: &Value) -> ErrorList {
    let class = ["spec", "volumeAttributesClassName"];
    let had_class = present(old, &class).is_some();
    let mut errors = check(cx, volume, had_class);
    let source = |volume: &Value| {
        let mut spec = volume.get("spec").cloned().unwrap_or_default();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|key, _| !NOT_SOURCES.contains(&key));
        }
        spec
    };
    let (mut new, was) = (source(volume), source(old));
    // A secret for growing may come later.
    let secret = ["csi", "controllerExpandSecretRef"];
    if present(&was, &["csi"]).is_some() && present(&was, &secret).is_none() {
        new.unset(&secret);
    }
    if !semantically_equal(Some(&new), Some(&was)) {
        let detail = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            internal_form::volume_source_difference(&was, &new)
        );
        errors.forbidden(&Path::new("spec").child("persistentvolumesource"), detail);
    }
    let mode = ["spec", "volumeMode"];
    errors.immutable(&Path::new("volumeMode"), volume.at(&mode), old.at(&mode));
    let affinity = ["spec", "nodeAffinity"];
    if !cx.features.is_enabled("MutablePVNodeAffinity")
        && let Some(was) = present(old, &affinity)
        && !semantically_equal(volume.at(&affinity), Some(&with_new_labels(was, volume.at(&affinity))))
    {
        let detail = "field is immutable, except for updating from beta label to GA";
        let name = "io.k8s.api.core.v1.VolumeNodeAffinity";
        errors.invalid_struct(&Path::new("nodeAffinity"), name, volume.at(&affinity), detail);
    }
    if !semantically_equal(volume.at(&class), old.at(&class)) {
        let at = Path::new("spec").child("volumeAttributesClassName");
        let is_on = cx.features.is_enabled("VolumeAttributesClass");
        if !is_on {
            errors.forbidden(&at, "update is forbidden when the VolumeAttributesClass feature gate is disabled");
        }
        if had_class && present(volume, &class).is_none() {
            errors.forbidden(&at, "update from non-nil value to nil is forbidden");
        }
    }
    errors
}

/// Labels of nodes that have got other names since: (old, new).
const RENAMED_LABELS: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// The old affinity with the new names of labels where `new` has them.
fn with_new_labels(old: &Value, new: Option<&Value>) -> Value {
    let mut renamed = old.clone();
    let new_terms = new.map(|new| new.items_at(&["required", "nodeSelectorTerms"])).unwrap_or_default();
    let mut new_terms = new_terms.iter();
    each(&mut renamed, &["required", "nodeSelectorTerms"], |term| {
        let new_term = new_terms.next();
        for list in ["matchExpressions", "matchFields"] {
            let mut new_items = new_term.map(|term| term.items_at(&[list])).unwrap_or_default().iter();
            each(term, &[list], |item| {
                let new_key = new_items.next().and_then(|item| item.str_at(&["key"]));
                let old_key = item.str_at(&["key"]).unwrap_or_default();
                if let Some(key) = new_key.filter(|key| RENAMED_LABELS.contains(&(old_key, key))) {
                    item.set(&["key"], key.to_owned());
                }
            });
        }
    });
    renamed
}
