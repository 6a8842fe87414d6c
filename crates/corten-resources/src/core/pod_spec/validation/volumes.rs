//! Rules of volumes.

use corten_api::{
    core::v1::{
        ConfigMapVolumeSource, EphemeralVolumeSource, ISCSIVolumeSource, PersistentVolumeClaimTemplate, PodSpec,
        SecretVolumeSource, Volume,
    },
    meta::v1::ObjectMeta,
};
use corten_apimachinery::{
    Map,
    field::{Error, ErrorList, Path, quote},
    quantity::Quantity,
    validation::{is_dns1123_label, is_dns1123_subdomain, validate_annotations, validate_label_map},
};

use super::{
    Options, env,
    mounts::Volumes,
    projected::{downward_file, key_paths, mode, projected},
    volume_sources as sources,
};
use crate::{
    quantity::Amount,
    report::Report,
    view::{Seen, each, list, text},
};

/// The rules of all volumes. Returns those that keep them: what mounts another one is told that there is none.
pub(super) fn volumes<'s>(
    spec: &'s PodSpec,
    path: &Path,
    options: &Options<'_>,
    errors: &mut ErrorList,
) -> Volumes<'s> {
    let mut good = Volumes::new();
    // Each generic ephemeral volume gets a claim of this name.
    let mut made = Seen::default();
    for volume in list(&spec.volumes).iter().filter(|volume| volume.ephemeral.is_some()) {
        made.is_new(format!("{}-{}", options.pod_name, volume.name));
    }
    for (at, volume) in each(&spec.volumes, path) {
        let before = errors.len();
        source(volume, &at, options, errors);
        let name_at = at.child("name");
        if errors.require(&name_at, &volume.name) {
            errors.invalids(&name_at, &volume.name, is_dns1123_label(&volume.name));
        }
        if good.contains_key(volume.name.as_str()) {
            errors.push(Error::duplicate(&name_at, volume.name.as_str()));
        }
        if errors.len() == before {
            good.insert(&volume.name, volume);
        }
        if let Some(claim) = &volume.persistent_volume_claim
            && !options.pod_name.is_empty()
            && made.contains(&claim.claim_name)
        {
            let at = at.child("persistentVolumeClaim").child("claimName");
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.invalid(&at, claim.claim_name.as_str(), detail);
        }
    }
    good
}

fn source(volume: &Volume, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let v = volume;
    // In upstream's order, with the names that it uses for one too many.
    let kinds: [(&str, bool); 30] = [
        ("emptyDir", v.empty_dir.is_some()),
        ("hostPath", v.host_path.is_some()),
        ("gitRepo", v.git_repo.is_some()),
        ("gcePersistentDisk", v.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", v.aws_elastic_block_store.is_some()),
        ("secret", v.secret.is_some()),
        ("nfs", v.nfs.is_some()),
        ("iscsi", v.iscsi.is_some()),
        ("glusterfs", v.glusterfs.is_some()),
        ("flocker", v.flocker.is_some()),
        ("persistentVolumeClaim", v.persistent_volume_claim.is_some()),
        ("rbd", v.rbd.is_some()),
        ("cinder", v.cinder.is_some()),
        ("cephFS", v.cephfs.is_some()),
        ("quobyte", v.quobyte.is_some()),
        ("downwarAPI", v.downward_api.is_some()),
        ("fc", v.fc.is_some()),
        ("flexVolume", v.flex_volume.is_some()),
        ("configMap", v.config_map.is_some()),
        ("azureFile", v.azure_file.is_some()),
        ("vsphereVolume", v.vsphere_volume.is_some()),
        ("photonPersistentDisk", v.photon_persistent_disk.is_some()),
        ("portworxVolume", v.portworx_volume.is_some()),
        ("azureDisk", v.azure_disk.is_some()),
        ("storageos", v.storageos.is_some()),
        ("projected", v.projected.is_some()),
        ("scaleIO", v.scale_io.is_some()),
        ("csi", v.csi.is_some()),
        ("ephemeral", v.ephemeral.is_some()),
        ("image", v.image.is_some()),
    ];
    let mut count = 0;
    for (kind, _) in kinds.iter().filter(|(_, is_set)| *is_set) {
        count += 1;
        if count > 1 {
            errors.forbidden(&path.child(kind), sources::TOO_MANY);
        } else {
            known(kind, volume, path, options, errors);
        }
        if let Some(source) = v.iscsi.as_ref().filter(|_| *kind == "iscsi")
            && iscsi(source).is_too_long(&v.name)
        {
            errors.invalid(&path.child("name"), v.name.as_str(), sources::INITIATOR_TOO_LONG);
        }
    }
    if count == 0 {
        errors.required(path, sources::NONE);
    }
}

/// The rules of one kind of source.
fn known(name: &str, volume: &Volume, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let at = path.child(if name == "cephFS" { "cephfs" } else { name });
    let v = volume;
    match name {
        "emptyDir" => {
            if let Some(limit) = v.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref())
                && Quantity::of(limit).is_negative()
            {
                errors.forbidden(&at.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
        }
        "projected" => v.projected.iter().for_each(|source| projected(source, &at, errors)),
        "secret" => v.secret.iter().for_each(|source| secret(source, &at, errors)),
        "configMap" => v.config_map.iter().for_each(|source| config_map(source, &at, errors)),
        "downwarAPI" => {
            if let Some(source) = &v.downward_api {
                let at = path.child("downwardAPI");
                mode(source.default_mode, &at.child("defaultMode"), errors);
                // Upstream reports items against the source.
                list(&source.items).iter().for_each(|file| downward_file(file, &at, errors));
            }
        }
        "persistentVolumeClaim" => {
            if let Some(source) = &v.persistent_volume_claim {
                errors.require(&at.child("claimName"), &source.claim_name);
            }
        }
        "csi" => {
            if let Some(source) = &v.csi {
                sources::csi_driver(&source.driver, &at.child("driver"), errors);
                if let Some(secret) = &source.node_publish_secret_ref
                    && errors.require(&at.child("nodePublishSecretRef").child("name"), &secret.name)
                {
                    // Upstream's path.
                    errors.object_name(&at.child("name"), &secret.name);
                }
            }
        }
        "ephemeral" => v.ephemeral.iter().for_each(|source| ephemeral(source, v, path, options, errors)),
        "image" => {
            if let Some(source) = &v.image {
                if options.is_pod {
                    errors.require(&at.child("reference"), text(&source.reference));
                }
                let policies = &["Always", "IfNotPresent", "Never"];
                errors.require_one_of(&at.child("pullPolicy"), text(&source.pull_policy), policies);
            }
        }
        "hostPath" => v.host_path.iter().for_each(|source| sources::host_path(source, &at, errors)),
        "nfs" => v.nfs.iter().for_each(|source| sources::nfs(source, &at, errors)),
        "iscsi" => {
            if let Some(source) = &v.iscsi {
                errors.require(&at.child("targetPortal"), &source.target_portal);
                iscsi(source).target(&at, errors);
                iscsi(source).initiator(&at, errors);
            }
        }
        _ => rare(name, volume, path, &at, errors),
    }
}

/// The rules of sources that few clusters have.
fn rare(name: &str, v: &Volume, path: &Path, at: &Path, errors: &mut ErrorList) {
    let require = |fields: &[(&str, &str)], errors: &mut ErrorList| sources::required(fields, at, errors);
    match name {
        "gitRepo" => {
            if let Some(source) = &v.git_repo {
                require(&[("repository", &source.repository)], errors);
                env::relative_path(text(&source.directory), &at.child("directory"), errors);
            }
        }
        "gcePersistentDisk" => {
            if let Some(source) = &v.gce_persistent_disk {
                let at = path.child("persistentDisk");
                errors.require(&at.child("pdName"), &source.pd_name);
                sources::partition(source.partition, &at, errors);
            }
        }
        "awsElasticBlockStore" => {
            if let Some(source) = &v.aws_elastic_block_store {
                require(&[("volumeID", &source.volume_id)], errors);
                sources::partition(source.partition, at, errors);
            }
        }
        "glusterfs" => {
            if let Some(source) = &v.glusterfs {
                require(&[("endpoints", &source.endpoints), ("path", &source.path)], errors);
            }
        }
        "flocker" => v.flocker.iter().for_each(|source| sources::flocker(source, at, errors)),
        "rbd" => {
            if let Some(source) = &v.rbd {
                sources::monitors(&source.monitors, at, errors);
                require(&[("image", &source.image)], errors);
            }
        }
        "cinder" => {
            if let Some(source) = &v.cinder {
                require(&[("volumeID", &source.volume_id)], errors);
                sources::local_secret(source.secret_ref.as_ref(), at, errors);
            }
        }
        "cephFS" => v.cephfs.iter().for_each(|source| sources::monitors(&source.monitors, at, errors)),
        "quobyte" => v.quobyte.iter().for_each(|source| sources::quobyte(source, at, errors)),
        "fc" => v.fc.iter().for_each(|source| sources::fibre_channel(source, at, errors)),
        "flexVolume" => {
            if let Some(source) = &v.flex_volume {
                sources::flex(&source.driver, source.options.as_ref(), at, errors);
            }
        }
        "azureFile" => {
            if let Some(source) = &v.azure_file {
                require(&[("secretName", &source.secret_name), ("shareName", &source.share_name)], errors);
            }
        }
        "vsphereVolume" => {
            if let Some(source) = &v.vsphere_volume {
                require(&[("volumePath", &source.volume_path)], errors);
            }
        }
        "photonPersistentDisk" => {
            if let Some(source) = &v.photon_persistent_disk {
                require(&[("pdID", &source.pd_id)], errors);
            }
        }
        "portworxVolume" => {
            if let Some(source) = &v.portworx_volume {
                require(&[("volumeID", &source.volume_id)], errors);
            }
        }
        "azureDisk" => v.azure_disk.iter().for_each(|source| sources::azure_disk(source, at, errors)),
        "storageos" => {
            if let Some(source) = &v.storageos {
                sources::storage_os(text(&source.volume_name), text(&source.volume_namespace), at, errors);
                sources::local_secret(source.secret_ref.as_ref(), at, errors);
            }
        }
        "scaleIO" => {
            if let Some(source) = &v.scale_io {
                sources::scale_io(&source.gateway, &source.system, text(&source.volume_name), at, errors);
            }
        }
        _ => {}
    }
}

fn iscsi(source: &ISCSIVolumeSource) -> sources::Iscsi<'_> {
    sources::Iscsi {
        target_portal: &source.target_portal,
        iqn: &source.iqn,
        lun: source.lun,
        needs_secret: source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true),
        has_secret: source.secret_ref.is_some(),
        initiator: source.initiator_name.as_deref(),
        unknown: "must be valid format starting with iqn, eui, or naa",
    }
}

fn ephemeral(
    source: &EphemeralVolumeSource,
    volume: &Volume,
    path: &Path,
    options: &Options<'_>,
    errors: &mut ErrorList,
) {
    let at = path.child("ephemeral").child("volumeClaimTemplate");
    match &source.volume_claim_template {
        None => errors.required(&at, ""),
        Some(template) => claim_template(template, &at, errors),
    }
    if options.pod_name.is_empty() || volume.name.is_empty() {
        return;
    }
    let claim = format!("{}-{}", options.pod_name, volume.name);
    for message in is_dns1123_subdomain(&claim) {
        let detail = format!("PVC name {}: {message}", quote(&claim));
        errors.invalid(&path.child("name"), volume.name.as_str(), detail);
    }
}

fn claim_template(template: &PersistentVolumeClaimTemplate, path: &Path, errors: &mut ErrorList) {
    if let Some(metadata) = &template.metadata {
        labels_and_annotations_only(metadata, &path.child("metadata"), errors);
    }
    crate::core::persistent_volume_claim::validate_spec(&template.spec, &path.child("spec"), errors);
}

/// The metadata of what an object is made of: only labels and annotations are handed on.
fn labels_and_annotations_only(metadata: &ObjectMeta, path: &Path, errors: &mut ErrorList) {
    let map = |map: &Option<std::collections::BTreeMap<String, String>>| -> Map {
        map.iter().flatten().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
    };
    errors.extend(validate_annotations(&map(&metadata.annotations), &path.child("annotations")));
    errors.extend(validate_label_map(&map(&metadata.labels), &path.child("labels")));
    let m = metadata;
    // In the order of upstream's struct.
    for (field, is_set) in [
        ("name", !text(&m.name).is_empty()),
        ("generateName", !text(&m.generate_name).is_empty()),
        ("namespace", !text(&m.namespace).is_empty()),
        ("selfLink", !text(&m.self_link).is_empty()),
        ("uID", !text(&m.uid).is_empty()),
        ("resourceVersion", !text(&m.resource_version).is_empty()),
        ("generation", m.generation.is_some_and(|generation| generation != 0)),
        ("creationTimestamp", m.creation_timestamp.is_some()),
        ("deletionTimestamp", m.deletion_timestamp.is_some()),
        ("deletionGracePeriodSeconds", m.deletion_grace_period_seconds.is_some()),
        ("ownerReferences", m.owner_references.is_some()),
        ("finalizers", m.finalizers.is_some()),
        ("managedFields", m.managed_fields.is_some()),
    ] {
        if is_set {
            errors.forbidden(&path.child(field), "cannot be set");
        }
    }
}

fn secret(source: &SecretVolumeSource, path: &Path, errors: &mut ErrorList) {
    errors.require(&path.child("secretName"), text(&source.secret_name));
    mode(source.default_mode, &path.child("defaultMode"), errors);
    key_paths(&source.items, path, errors);
}

fn config_map(source: &ConfigMapVolumeSource, path: &Path, errors: &mut ErrorList) {
    errors.require(&path.child("name"), &source.name);
    mode(source.default_mode, &path.child("defaultMode"), errors);
    key_paths(&source.items, path, errors);
}
