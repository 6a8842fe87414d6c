//! Rules of persistent volumes.

use corten_api::core::v1::{CSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec, SecretReference};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    quantity::Quantity,
    validation::is_dns1123_label,
    value::semantically_equal,
};

use crate::{
    core::{
        persistent_volume_claim::{VOLUME_MODES, validate_access_modes},
        pod_spec::validation::{NOT_POSITIVE, csi_driver, host_path, iscsi_name, node_selector},
    },
    difference,
    quantity::Amount,
    report::{Report, with_view},
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

pub(super) fn create(volume: &Value) -> ErrorList {
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
        source(volume.get("spec"), &spec, &path, errors);
        let is_root = |path: &str| path.split('/').all(|part| matches!(part, "" | "."));
        if spec.host_path.as_ref().is_some_and(|source| is_root(&source.path)) && policy == "Recycle" {
            errors.forbidden(&policy_at, "may not be 'recycle' for a hostPath mount of '/'");
        }
        for (field, name) in [
            ("storageClassName", &spec.storage_class_name),
            ("volumeAttributesClassName", &spec.volume_attributes_class_name),
        ] {
            if !text(name).is_empty() {
                errors.object_name(&at(field), text(name));
            }
        }
        if let Some(mode) = &spec.volume_mode {
            errors.one_of(&at("volumeMode"), mode, VOLUME_MODES);
        }
    })
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
        let (at, shown) = (path.key(name), amount.0.as_str());
        if Quantity::of(amount).is_negative() {
            errors.invalid(&at, shown, "must be a valid resource quantity");
        }
        if !Quantity::of(amount).is_positive() {
            errors.invalid(&at, shown, NOT_POSITIVE);
        }
    }
}

fn source(tree: Option<&Value>, spec: &PersistentVolumeSpec, path: &Path, errors: &mut ErrorList) {
    let fields = tree.and_then(Value::as_object).cloned().unwrap_or_default();
    let is_source = |(key, value): &(&str, &Value)| !NOT_SOURCES.contains(key) && !value.is_null();
    let mut sources = fields.iter().filter(is_source).map(|(key, _)| key);
    if sources.next().is_none() {
        errors.required(path, "must specify a volume type");
    }
    for extra in sources {
        errors.forbidden(&path.child(extra), "may not specify more than 1 volume type");
    }
    if let Some(source) = &spec.host_path {
        host_path(source, &path.child("hostPath"), errors);
    }
    if let Some(local) = &spec.local {
        let at = path.child("local").child("path");
        if errors.require(&at, &local.path) && local.path.split('/').any(|part| part == "..") {
            errors.invalid(&at, local.path.as_str(), "must not contain '..'");
        }
        if spec.node_affinity.is_none() {
            errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if let Some(nfs) = &spec.nfs {
        let at = path.child("nfs");
        errors.require(&at.child("server"), &nfs.server);
        errors.require(&at.child("path"), &nfs.path);
        if !nfs.path.starts_with('/') {
            errors.invalid(&at.child("path"), nfs.path.as_str(), "must be an absolute path");
        }
    }
    if let Some(csi) = &spec.csi {
        csi_source(csi, &path.child("csi"), errors);
    }
    if let Some(iscsi) = &spec.iscsi {
        let at = path.child("iscsi");
        errors.require(&at.child("targetPortal"), &iscsi.target_portal);
        if errors.require(&at.child("iqn"), &iscsi.iqn) {
            iscsi_name(&iscsi.iqn, &at.child("iqn"), errors);
        }
    }
}

fn csi_source(csi: &CSIPersistentVolumeSource, path: &Path, errors: &mut ErrorList) {
    csi_driver(&csi.driver, &path.child("driver"), errors);
    errors.require(&path.child("volumeHandle"), &csi.volume_handle);
    let secrets: [(&str, &Option<SecretReference>); 4] = [
        ("controllerPublishSecretRef", &csi.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &csi.controller_expand_secret_ref),
        ("nodePublishSecretRef", &csi.node_publish_secret_ref),
        ("nodeExpandSecretRef", &csi.node_expand_secret_ref),
    ];
    for (field, secret) in secrets {
        let Some(secret) = secret else { continue };
        let (name_at, namespace_at) = (path.child(field).child("name"), path.child(field).child("namespace"));
        if errors.require(&name_at, text(&secret.name)) {
            errors.object_name(&name_at, text(&secret.name));
        }
        if errors.require(&namespace_at, text(&secret.namespace)) {
            errors.invalids(&namespace_at, text(&secret.namespace), is_dns1123_label(text(&secret.namespace)));
        }
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
        source(Some(spec), view, path, errors);
        forbid("storageClassName", !text(&view.storage_class_name).is_empty(), errors);
        if view.volume_mode.as_ref().is_some_and(|mode| mode != "Filesystem") {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.forbidden(&path.child("volumeMode"), detail);
        }
        forbid("volumeAttributesClassName", view.volume_attributes_class_name.is_some(), errors);
    })
}

pub(super) fn update(volume: &Value, old: &Value) -> ErrorList {
    let mut errors = create(volume);
    let source = |volume: &Value| {
        let mut spec = volume.get("spec").cloned().unwrap_or_default();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|key, _| !NOT_SOURCES.contains(&key));
        }
        spec
    };
    let (new, was) = (source(volume), source(old));
    if !semantically_equal(Some(&new), Some(&was)) {
        let detail = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            difference::show(Some(&was), Some(&new))
        );
        errors.forbidden(&Path::new("spec").child("persistentvolumesource"), detail);
    }
    let mode = ["spec", "volumeMode"];
    errors.immutable(&Path::new("volumeMode"), volume.at(&mode), old.at(&mode));
    let affinity = ["spec", "nodeAffinity"];
    let was = old.at(&affinity).filter(|affinity| !affinity.is_null());
    if was.is_some() && !semantically_equal(volume.at(&affinity), was) {
        let shown = volume.at(&affinity).cloned().unwrap_or_default();
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.invalid(&Path::new("nodeAffinity"), shown, detail);
    }
    errors
}
