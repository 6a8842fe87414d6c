//! Rules of the sources of persistent volumes.

use corten_api::core::v1::{
    CSIPersistentVolumeSource, ISCSIPersistentVolumeSource, LocalVolumeSource, PersistentVolumeSpec, SecretReference,
};
use corten_apimachinery::{
    field::{ErrorList, Path},
    validation::is_dns1123_label,
};

use crate::{core::pod_spec::validation::volume_sources as sources, report::Report, view::text};

/// The rules of one kind of source; `name` is the volume's.
pub(super) fn known(kind: &str, spec: &PersistentVolumeSpec, name: &str, path: &Path, errors: &mut ErrorList) {
    let at = path.child(if kind == "cephFS" { "cephfs" } else { kind });
    match kind {
        "hostPath" => spec.host_path.iter().for_each(|source| sources::host_path(source, &at, errors)),
        "nfs" => spec.nfs.iter().for_each(|source| sources::nfs(source, &at, errors)),
        "csi" => spec.csi.iter().for_each(|source| csi(source, &at, errors)),
        "iscsi" => spec.iscsi.iter().for_each(|source| iscsi(source, name, &at, errors)),
        "local" => {
            spec.local.iter().for_each(|source| local(source, &at, errors));
            if spec.node_affinity.is_none() {
                errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
            }
        }
        "fc" => spec.fc.iter().for_each(|source| sources::fibre_channel(source, &at, errors)),
        "flocker" => spec.flocker.iter().for_each(|source| sources::flocker(source, &at, errors)),
        "quobyte" => spec.quobyte.iter().for_each(|source| sources::quobyte(source, &at, errors)),
        "azureDisk" => spec.azure_disk.iter().for_each(|source| sources::azure_disk(source, &at, errors)),
        "cephFS" => spec.cephfs.iter().for_each(|source| sources::monitors(&source.monitors, &at, errors)),
        _ => rare(kind, spec, path, &at, errors),
    }
}

fn rare(kind: &str, spec: &PersistentVolumeSpec, path: &Path, at: &Path, errors: &mut ErrorList) {
    let require = |fields: &[(&str, &str)], errors: &mut ErrorList| sources::required(fields, at, errors);
    match kind {
        "gcePersistentDisk" => {
            if let Some(source) = &spec.gce_persistent_disk {
                let at = path.child("persistentDisk");
                errors.require(&at.child("pdName"), &source.pd_name);
                sources::partition(source.partition, &at, errors);
            }
        }
        "awsElasticBlockStore" => {
            if let Some(source) = &spec.aws_elastic_block_store {
                require(&[("volumeID", &source.volume_id)], errors);
                sources::partition(source.partition, at, errors);
            }
        }
        "glusterfs" => {
            if let Some(source) = &spec.glusterfs {
                require(&[("endpoints", &source.endpoints), ("path", &source.path)], errors);
                let (at, namespace) = (at.child("endpointsNamespace"), source.endpoints_namespace.as_deref());
                match namespace {
                    None => {}
                    Some("") => {
                        let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                        errors.invalid(&at, "", detail);
                    }
                    Some(name) => errors.invalids(&at, name, is_dns1123_label(name)),
                }
            }
        }
        "rbd" => {
            if let Some(source) = &spec.rbd {
                sources::monitors(&source.monitors, at, errors);
                require(&[("image", &source.image)], errors);
            }
        }
        "cinder" => {
            if let Some(source) = &spec.cinder {
                require(&[("volumeID", &source.volume_id)], errors);
                if let Some(secret) = &source.secret_ref {
                    sources::secret_anywhere(text(&secret.name), text(&secret.namespace), at, errors);
                }
            }
        }
        "flexVolume" => {
            if let Some(source) = &spec.flex_volume {
                sources::flex(&source.driver, source.options.as_ref(), at, errors);
            }
        }
        "azureFile" => {
            if let Some(source) = &spec.azure_file {
                require(&[("secretName", &source.secret_name), ("shareName", &source.share_name)], errors);
                if let Some(namespace) = &source.secret_namespace {
                    errors.require(&at.child("secretNamespace"), namespace);
                }
            }
        }
        "vsphereVolume" => {
            if let Some(source) = &spec.vsphere_volume {
                require(&[("volumePath", &source.volume_path)], errors);
            }
        }
        "photonPersistentDisk" => {
            if let Some(source) = &spec.photon_persistent_disk {
                require(&[("pdID", &source.pd_id)], errors);
            }
        }
        "portworxVolume" => {
            if let Some(source) = &spec.portworx_volume {
                require(&[("volumeID", &source.volume_id)], errors);
            }
        }
        "scaleIO" => {
            if let Some(source) = &spec.scale_io {
                sources::scale_io(&source.gateway, &source.system, text(&source.volume_name), at, errors);
            }
        }
        "storageos" => {
            if let Some(source) = &spec.storageos {
                sources::storage_os(text(&source.volume_name), text(&source.volume_namespace), at, errors);
                if let Some(secret) = &source.secret_ref {
                    sources::secret_anywhere(text(&secret.name), text(&secret.namespace), at, errors);
                }
            }
        }
        _ => {}
    }
}

fn local(source: &LocalVolumeSource, path: &Path, errors: &mut ErrorList) {
    let at = path.child("path");
    if errors.require(&at, &source.path) && source.path.split('/').any(|part| part == "..") {
        errors.invalid(&at, source.path.as_str(), "must not contain '..'");
    }
}

fn iscsi(source: &ISCSIPersistentVolumeSource, name: &str, path: &Path, errors: &mut ErrorList) {
    let iscsi = sources::Iscsi {
        target_portal: &source.target_portal,
        iqn: &source.iqn,
        lun: source.lun,
        needs_secret: source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true),
        has_secret: source.secret_ref.is_some(),
        initiator: source.initiator_name.as_deref(),
        unknown: "must be valid format",
    };
    errors.require(&path.child("targetPortal"), &source.target_portal);
    if iscsi.is_too_long(name) {
        errors.invalid(&path.child("targetportal"), source.target_portal.as_str(), sources::INITIATOR_TOO_LONG);
    }
    iscsi.target(path, errors);
    if let Some(secret) = &source.secret_ref {
        errors.require(&path.child("secretRef").child("name"), text(&secret.name));
    }
    iscsi.initiator(path, errors);
}

fn csi(csi: &CSIPersistentVolumeSource, path: &Path, errors: &mut ErrorList) {
    sources::csi_driver(&csi.driver, &path.child("driver"), errors);
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
