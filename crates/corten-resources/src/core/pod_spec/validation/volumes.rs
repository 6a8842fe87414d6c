//! Rules of volumes.

use corten_api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, HostPathVolumeSource, ISCSIVolumeSource, KeyToPath, PodSpec,
    ProjectedVolumeSource, SecretVolumeSource, Volume,
};
use corten_apimachinery::{
    field::{Error, ErrorList, Path, quote},
    quantity::Quantity,
    validation::{inclusive_range, is_dns1123_label, is_dns1123_subdomain},
};

use super::{Options, env};
use crate::{
    quantity::Amount,
    report::Report,
    view::{Seen, each, list, text},
};

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

pub(super) fn volumes(spec: &PodSpec, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let (mut names, mut claims) = (Seen::default(), Seen::default());
    for (at, volume) in each(&spec.volumes, path) {
        let before = errors.len();
        source(volume, &at, options, errors);
        let source_is_good = errors.len() == before;
        let name_at = at.child("name");
        let before = errors.len();
        if errors.require(&name_at, &volume.name) {
            errors.invalids(&name_at, &volume.name, is_dns1123_label(&volume.name));
        }
        if errors.len() == before && names.contains(&volume.name) {
            errors.push(Error::duplicate(&name_at, volume.name.as_str()));
        }
        if errors.len() == before && source_is_good {
            names.is_new(&volume.name);
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            claims.is_new(&claim.claim_name);
        }
    }
    // A claim made for a generic ephemeral volume must not be one that another volume names.
    for (at, volume) in each(&spec.volumes, path).filter(|(_, volume)| volume.ephemeral.is_some()) {
        let claim = format!("{}-{}", options.pod_name, volume.name);
        if !options.pod_name.is_empty() && claims.contains(&claim) {
            let detail = "conflicting PVC will be used by multiple volumes";
            errors.invalid(&at.child("name"), volume.name.as_str(), detail);
        }
    }
}

fn source(volume: &Volume, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let v = volume;
    // In upstream's order: the first source is checked, all others are one too many.
    let sources: [(&str, bool); 31] = [
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
        ("", false),
    ];
    let mut set = sources.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name);
    match set.next() {
        None => errors.required(path, "must specify a volume type"),
        Some(first) => {
            known(first, volume, path, options, errors);
            if let Some(limit) = v.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref())
                && Quantity::of(limit).is_negative()
            {
                let at = path.child("emptyDir").child("sizeLimit");
                errors.forbidden(&at, "SizeLimit field must be a valid resource quantity");
            }
        }
    }
    for extra in set {
        errors.forbidden(&path.child(extra), "may not specify more than 1 volume type");
    }
}

/// The rules of one kind of source.
fn known(name: &str, volume: &Volume, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let at = path.child(if name == "cephFS" { "cephfs" } else { name });
    let mut require = |fields: &[(&str, &str)]| {
        for (field, value) in fields {
            errors.require(&at.child(field), value);
        }
    };
    let v = volume;
    match name {
        "hostPath" => v.host_path.iter().for_each(|source| host_path(source, &at, errors)),
        "gitRepo" => {
            if let Some(source) = &v.git_repo {
                require(&[("repository", &source.repository)]);
                env::relative_path(text(&source.directory), &at.child("directory"), errors);
            }
        }
        "gcePersistentDisk" => {
            if let Some(source) = &v.gce_persistent_disk {
                let at = path.child("persistentDisk");
                errors.require(&at.child("pdName"), &source.pd_name);
                partition(source.partition, &at, errors);
            }
        }
        "awsElasticBlockStore" => {
            if let Some(source) = &v.aws_elastic_block_store {
                require(&[("volumeID", &source.volume_id)]);
                partition(source.partition, &at, errors);
            }
        }
        "secret" => v.secret.iter().for_each(|source| secret(source, &at, errors)),
        "configMap" => v.config_map.iter().for_each(|source| config_map(source, &at, errors)),
        "nfs" => {
            if let Some(source) = &v.nfs {
                require(&[("server", &source.server), ("path", &source.path)]);
                if !source.path.starts_with('/') {
                    errors.invalid(&at.child("path"), source.path.as_str(), "must be an absolute path");
                }
            }
        }
        "iscsi" => v.iscsi.iter().for_each(|source| iscsi(source, &volume.name, &at, errors)),
        "glusterfs" => {
            if let Some(source) = &v.glusterfs {
                require(&[("endpoints", &source.endpoints), ("path", &source.path)]);
            }
        }
        "persistentVolumeClaim" => {
            if let Some(source) = &v.persistent_volume_claim {
                require(&[("claimName", &source.claim_name)]);
            }
        }
        "rbd" => {
            if let Some(source) = &v.rbd {
                if source.monitors.is_empty() {
                    require(&[("monitors", "")]);
                }
                require(&[("image", &source.image)]);
            }
        }
        "cinder" => {
            if let Some(source) = &v.cinder {
                require(&[("volumeID", &source.volume_id)]);
            }
        }
        "cephFS" if v.cephfs.as_ref().is_some_and(|source| source.monitors.is_empty()) => {
            require(&[("monitors", "")]);
        }
        "downwarAPI" => {
            if let Some(source) = &v.downward_api {
                let at = path.child("downwardAPI");
                mode(source.default_mode, &at.child("defaultMode"), errors);
                // Upstream reports items against the source.
                list(&source.items).iter().for_each(|file| downward_file(file, &at, errors));
            }
        }
        "flexVolume" => {
            if let Some(source) = &v.flex_volume {
                require(&[("driver", &source.driver)]);
            }
        }
        "azureFile" => {
            if let Some(source) = &v.azure_file {
                require(&[("secretName", &source.secret_name), ("shareName", &source.share_name)]);
            }
        }
        "vsphereVolume" => {
            if let Some(source) = &v.vsphere_volume {
                require(&[("volumePath", &source.volume_path)]);
            }
        }
        "photonPersistentDisk" => {
            if let Some(source) = &v.photon_persistent_disk {
                require(&[("pdID", &source.pd_id)]);
            }
        }
        "portworxVolume" => {
            if let Some(source) = &v.portworx_volume {
                require(&[("volumeID", &source.volume_id)]);
            }
        }
        "azureDisk" => {
            if let Some(source) = &v.azure_disk {
                require(&[("diskName", &source.disk_name), ("diskURI", &source.disk_uri)]);
            }
        }
        "projected" => v.projected.iter().for_each(|source| projected(source, &at, errors)),
        "csi" => {
            if let Some(source) = &v.csi {
                csi_driver(&source.driver, &at.child("driver"), errors);
                if let Some(secret) = &source.node_publish_secret_ref {
                    let at = at.child("nodePublishSecretRef").child("name");
                    if errors.require(&at, &secret.name) {
                        errors.object_name(&at, &secret.name);
                    }
                }
            }
        }
        "ephemeral" => {
            if let Some(source) = &v.ephemeral {
                let at = at.child("volumeClaimTemplate");
                match &source.volume_claim_template {
                    None => errors.required(&at, ""),
                    Some(template) => {
                        crate::core::persistent_volume_claim::validate_spec(&template.spec, &at.child("spec"), errors);
                    }
                }
                let claim = format!("{}-{}", options.pod_name, volume.name);
                if !options.pod_name.is_empty() && !volume.name.is_empty() {
                    for message in is_dns1123_subdomain(&claim) {
                        let detail = format!("PVC name {}: {message}", quote(&claim));
                        errors.invalid(&path.child("name"), volume.name.as_str(), detail);
                    }
                }
            }
        }
        "image" => {
            if let Some(source) = &v.image {
                if options.is_pod {
                    require(&[("reference", text(&source.reference))]);
                }
                let policies = &["Always", "IfNotPresent", "Never"];
                errors.require_one_of(&at.child("pullPolicy"), text(&source.pull_policy), policies);
            }
        }
        _ => {}
    }
}

/// The name of a driver for storage.
pub(crate) fn csi_driver(driver: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, driver) {
        return;
    }
    if driver.len() > 63 {
        errors.push(Error::too_long(path, 63));
    }
    let lower = driver.to_lowercase();
    errors.invalids(path, driver, is_dns1123_subdomain(&lower));
}

fn partition(partition: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(partition) = partition.filter(|partition| !(0..=255).contains(partition)) {
        errors.invalid(&path.child("partition"), partition, inclusive_range(1, 255));
    }
}

/// A path on the node.
pub(crate) fn host_path(source: &HostPathVolumeSource, path: &Path, errors: &mut ErrorList) {
    if errors.require(&path.child("path"), &source.path) {
        env::no_backsteps(&source.path, &path.child("path"), errors);
        if let Some(ty) = &source.type_ {
            errors.one_of(&path.child("type"), ty, HOST_PATH_TYPES);
        }
    }
}

fn iscsi(source: &ISCSIVolumeSource, name: &str, path: &Path, errors: &mut ErrorList) {
    errors.require(&path.child("targetPortal"), &source.target_portal);
    if errors.require(&path.child("iqn"), &source.iqn) {
        iscsi_name(&source.iqn, &path.child("iqn"), errors);
    }
    if !(0..=255).contains(&source.lun) {
        errors.invalid(&path.child("lun"), source.lun, inclusive_range(0, 255));
    }
    let needs_secret = source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true);
    if needs_secret && source.secret_ref.is_none() {
        errors.required(&path.child("secretRef"), "");
    }
    if let Some(initiator) = &source.initiator_name {
        iscsi_name(initiator, &path.child("initiatorname"), errors);
        if name.len() + 1 + source.target_portal.len() > 64 {
            let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                          iscsi.initiatorName is specified.";
            errors.invalid(&path.child("name"), name, detail);
        }
    }
}

/// The name of an iSCSI initiator or target.
pub(crate) fn iscsi_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let hex = |rest: &str, digits: usize| rest.len() == digits && rest.chars().all(|c| c.is_ascii_alphanumeric());
    let ok = match name.get(..3) {
        Some("iqn") => name.get(4..).is_some_and(|rest| {
            let (date, rest) = rest.split_once('.').unwrap_or_default();
            let (year, month) = date.split_once('-').unwrap_or_default();
            year.len() == 4
                && month.len() == 2
                && rest.split_once(':').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        }),
        Some("eui") => hex(name.get(4..).unwrap_or_default(), 16),
        Some("naa") => hex(name.get(4..).unwrap_or_default(), 32),
        _ => {
            errors.invalid(path, name, "must be valid format starting with iqn, eui, or naa");
            return;
        }
    };
    if !ok {
        errors.invalid(path, name, "must be valid format");
    }
}

fn mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
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

fn key_paths(items: &Option<Vec<KeyToPath>>, path: &Path, errors: &mut ErrorList) {
    for (at, item) in each(items, &path.child("items")) {
        errors.require(&at.child("key"), &item.key);
        errors.require(&at.child("path"), &item.path);
        env::non_reserved_path(&item.path, &at.child("path"), errors);
        mode(item.mode, &at.child("mode"), errors);
    }
}

fn downward_file(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut ErrorList) {
    errors.require(&path.child("path"), &file.path);
    env::non_reserved_path(&file.path, &path.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            env::field_selector(field, env::VOLUME_FIELDS, &path.child("fieldRef"), errors);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", detail);
            }
        }
        (None, Some(resource)) => {
            env::resource_selector(resource, true, &path.child("resourceFieldRef"), errors);
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(file.mode, &path.child("mode"), errors);
}

fn projected(source: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    mode(source.default_mode, &path.child("defaultMode"), errors);
    let mut paths = Seen::default();
    // A path that two sources write is reported against the volume, with the name of the second source.
    let mut claim = |item: &str, shown: &str, errors: &mut ErrorList| {
        if !item.is_empty() && !paths.is_new(item) {
            errors.invalid(path, shown, "conflicting duplicate paths");
        }
    };
    for (at, source) in each(&source.sources, &path.child("sources")) {
        let mut count = 0;
        let keyed = [
            ("secret", source.secret.as_ref().map(|source| (&source.name, &source.items))),
            ("configMap", source.config_map.as_ref().map(|source| (&source.name, &source.items))),
        ];
        for (field, keyed) in keyed {
            let Some((name, items)) = keyed else { continue };
            count += 1;
            let at = at.child(field);
            errors.require(&at.child("name"), name);
            key_paths(items, &at, errors);
            list(items).iter().for_each(|item| claim(&item.path, name, errors));
        }
        if let Some(downward) = &source.downward_api {
            count += 1;
            for file in list(&downward.items) {
                downward_file(file, &at.child("downwardAPI"), errors);
                claim(&file.path, &file.path, errors);
            }
        }
        if let Some(token) = &source.service_account_token {
            count += 1;
            let at = at.child("serviceAccountToken").child("expirationSeconds");
            let seconds = token.expiration_seconds.unwrap_or(3_600);
            if seconds < 600 {
                errors.invalid(&at, seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds > 1 << 32 {
                errors.invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds");
            }
            // Upstream reports these against the volume.
            if errors.require(&path.child("path"), &token.path) {
                env::non_reserved_path(&token.path, &path.child("path"), errors);
            }
        }
        if let Some(bundle) = &source.cluster_trust_bundle {
            count += 1;
            let at = at.child("clusterTrustBundle");
            if bundle.name.is_none() && bundle.signer_name.is_none() {
                errors.required(&at, "either name or signerName must be specified");
            }
            if errors.require(&at.child("path"), &bundle.path) {
                env::non_reserved_path(&bundle.path, &at.child("path"), errors);
                claim(&bundle.path, &bundle.path, errors);
            }
        }
        count += usize::from(source.pod_certificate.is_some());
        if count > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}
