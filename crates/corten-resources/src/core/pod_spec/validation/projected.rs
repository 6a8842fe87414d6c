//! Rules of what volumes of files share, and of the volumes that gather files from several places.

use corten_api::core::v1::{
    ClusterTrustBundleProjection, DownwardAPIVolumeFile, KeyToPath, PodCertificateProjection, ProjectedVolumeSource,
};
use corten_apimachinery::field::{ErrorList, Path};

use super::{env, label_selector};
use crate::{
    certificates::{
        bundle_name,
        signer_name::{self, EXPIRATION_MIN_SECONDS, expiration_max_seconds},
        user_annotations,
    },
    internal_form,
    report::Report,
    view::{Seen, each, list, text},
};

/// The keys that a certificate for a pod can be made for.
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// Permissions of a file.
pub(super) fn mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// Keys and the files that they become.
pub(super) fn key_paths(items: &Option<Vec<KeyToPath>>, path: &Path, errors: &mut ErrorList) {
    for (at, item) in each(items, &path.child("items")) {
        errors.require(&at.child("key"), &item.key);
        errors.require(&at.child("path"), &item.path);
        env::non_reserved_path(&item.path, &at.child("path"), errors);
        mode(item.mode, &at.child("mode"), errors);
    }
}

/// A file that says something about the pod.
pub(super) fn downward_file(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut ErrorList) {
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

/// Files from several places in one volume.
pub(super) fn projected(source: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    mode(source.default_mode, &path.child("defaultMode"), errors);
    let mut paths = Seen::default();
    // A path that two sources write is reported against the volume, with the name of the second source.
    let mut claim = |item: &str, shown: &str, errors: &mut ErrorList| {
        if !paths.is_new(item) {
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
            for item in list(items).iter().filter(|item| !item.path.is_empty()) {
                claim(&item.path, name, errors);
            }
        }
        if let Some(downward) = &source.downward_api {
            count += 1;
            for file in list(&downward.items) {
                downward_file(file, &at.child("downwardAPI"), errors);
                if !file.path.is_empty() {
                    claim(&file.path, &file.path, errors);
                }
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
            trust_bundle(bundle, &at, errors);
            errors.require(&at.child("path"), &bundle.path);
            env::non_reserved_path(&bundle.path, &at.child("path"), errors);
            // Without a path, too: a second one without is told so.
            claim(&bundle.path, &bundle.path, errors);
        }
        if let Some(certificate) = &source.pod_certificate {
            count += 1;
            pod_certificate(certificate, &at.child("podCertificate"), &mut claim, errors);
        }
        if count > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

/// Authorities by the name of their bundle, or by who signs for them.
fn trust_bundle(bundle: &ClusterTrustBundleProjection, path: &Path, errors: &mut ErrorList) {
    match (&bundle.name, &bundle.signer_name) {
        (Some(_), Some(_)) => {
            let shown = || internal_form::core_view("ClusterTrustBundleProjection", bundle);
            errors.invalid_shown(path, shown, "only one of name and signerName may be used");
        }
        (Some(name), None) => {
            let at = path.child("name");
            if name.is_empty() {
                errors.required(&at, "must be a valid object name");
            }
            let signer = name.rsplit_once(':').map(|(signer, _)| signer.replace(':', "/")).unwrap_or_default();
            for message in bundle_name(&signer, name, false) {
                errors.invalid(&at, name.as_str(), format!("not a valid clustertrustbundlename: {message}"));
            }
            if let Some(selector) = &bundle.label_selector {
                let shown = || serde_json::to_string(selector).unwrap_or_default();
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid_shown(&path.child("labelSelector"), shown, detail);
            }
        }
        (None, Some(signer)) => {
            let at = path.child("signerName");
            if signer.is_empty() {
                errors.required(&at, "must be a valid signer name");
            }
            signer_name::validate(signer, &at, errors);
            label_selector(bundle.label_selector.as_ref(), &path.child("labelSelector"), errors);
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
}

/// A certificate that is made for the pod.
fn pod_certificate(
    certificate: &PodCertificateProjection,
    path: &Path,
    claim: &mut impl FnMut(&str, &str, &mut ErrorList),
    errors: &mut ErrorList,
) {
    signer_name::validate(&certificate.signer_name, &path.child("signerName"), errors);
    let told = certificate.user_annotations.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    user_annotations::validate(told, &path.child("userAnnotations"), errors);
    errors.one_of(&path.child("keyType"), &certificate.key_type, KEY_TYPES);
    if let Some(seconds) = certificate.max_expiration_seconds {
        let (at, max) = (path.child("maxExpirationSeconds"), expiration_max_seconds(&certificate.signer_name));
        if i64::from(seconds) < EXPIRATION_MIN_SECONDS {
            errors.invalid(
                &at,
                seconds,
                format!("if provided, maxExpirationSeconds must be >= {EXPIRATION_MIN_SECONDS}"),
            );
        }
        if i64::from(seconds) > max {
            errors.invalid(&at, seconds, format!("if provided, maxExpirationSeconds must be <= {max}"));
        }
    }
    let mut has_file = false;
    for (field, file) in [
        ("credentialBundlePath", &certificate.credential_bundle_path),
        ("keyPath", &certificate.key_path),
        ("certificateChainPath", &certificate.certificate_chain_path),
    ] {
        let file = text(file);
        if !file.is_empty() {
            has_file = true;
            env::non_reserved_path(file, &path.child(field), errors);
            claim(file, file, errors);
        }
    }
    if !has_file {
        errors.required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
}
