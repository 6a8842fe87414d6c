//! Rules of sources of volumes that pods and persistent volumes have in common.

use std::collections::BTreeMap;

use corten_api::core::v1::{
    AzureDiskVolumeSource, FCVolumeSource, FlockerVolumeSource, HostPathVolumeSource, LocalObjectReference,
    NFSVolumeSource, QuobyteVolumeSource,
};
use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::{inclusive_range, is_dns1123_label, is_dns1123_subdomain},
};

use super::env;
use crate::{
    report::Report,
    view::{list, text, texts},
};

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const HOST_AND_PORT: &str = "must be a host:port pair or multiple pairs separated by commas";
const TENANT_MAX_BYTES: usize = 64;
const INITIATOR_MAX_BYTES: usize = 64;

/// Upstream's words for a volume without a source.
pub(crate) const NONE: &str = "must specify a volume type";
/// Upstream's words for each source after the first.
pub(crate) const TOO_MANY: &str = "may not specify more than 1 volume type";
/// Upstream's words for an iSCSI volume whose name leaves no room.
pub(crate) const INITIATOR_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// Fields that have to be there: (field, value).
pub(crate) fn required(fields: &[(&str, &str)], path: &Path, errors: &mut ErrorList) {
    for (field, value) in fields {
        errors.require(&path.child(field), value);
    }
}

/// A list that has to have items.
pub(crate) fn monitors(monitors: &[String], path: &Path, errors: &mut ErrorList) {
    if monitors.is_empty() {
        errors.required(&path.child("monitors"), "");
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
    errors.invalids(path, driver, is_dns1123_subdomain(&driver.to_lowercase()));
}

/// The number of a partition.
pub(crate) fn partition(partition: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(partition) = partition.filter(|partition| !(0..=255).contains(partition)) {
        errors.invalid(&path.child("partition"), partition, inclusive_range(1, 255));
    }
}

/// The number of a logical unit.
pub(crate) fn lun(lun: i32, path: &Path, errors: &mut ErrorList) {
    if !(0..=255).contains(&lun) {
        errors.invalid(&path.child("lun"), lun, inclusive_range(0, 255));
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

/// A folder of a file server.
pub(crate) fn nfs(source: &NFSVolumeSource, path: &Path, errors: &mut ErrorList) {
    required(&[("server", &source.server), ("path", &source.path)], path, errors);
    if !source.path.starts_with('/') {
        errors.invalid(&path.child("path"), source.path.as_str(), "must be an absolute path");
    }
}

/// Units of a fibre channel.
pub(crate) fn fibre_channel(source: &FCVolumeSource, path: &Path, errors: &mut ErrorList) {
    let (names, ids, at) = (list(&source.target_wwns), list(&source.wwids), path.child("targetWWNs"));
    match (names.is_empty(), ids.is_empty()) {
        (true, true) => errors.required(&at, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => {
            errors.invalid(&at, texts(names), "targetWWNs and wwids can not be specified simultaneously");
        }
        _ => {}
    }
    match source.lun {
        _ if names.is_empty() => {}
        None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
        Some(number) => lun(number, path, errors),
    }
}

/// A volume of Flocker, by name or by identifier.
pub(crate) fn flocker(source: &FlockerVolumeSource, path: &Path, errors: &mut ErrorList) {
    let (name, uuid) = (text(&source.dataset_name), text(&source.dataset_uuid));
    if name.is_empty() && uuid.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

/// A volume of Quobyte, found through its registries.
pub(crate) fn quobyte(source: &QuobyteVolumeSource, path: &Path, errors: &mut ErrorList) {
    let registry = source.registry.as_str();
    if registry.is_empty() {
        errors.required(&path.child("registry"), HOST_AND_PORT);
    } else if text(&source.tenant).len() > TENANT_MAX_BYTES {
        errors.required(&path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        let wrong = registry.split(',').filter(|pair| !is_host_and_port(pair)).count();
        errors.extend(std::iter::repeat_n(Error::invalid(&path.child("registry"), registry, HOST_AND_PORT), wrong));
    }
    errors.require(&path.child("volume"), &source.volume);
}

/// Whether Go's `net.SplitHostPort` takes it: `host:port` or `[host]:port`, either of which may be empty.
fn is_host_and_port(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else { return false };
    let host = match host.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(host) => host,
            None => return false,
        },
        None if host.contains(':') => return false,
        None => host,
    };
    !host.contains(['[', ']']) && !port.contains(['[', ']'])
}

/// A disk of Azure.
pub(crate) fn azure_disk(source: &AzureDiskVolumeSource, path: &Path, errors: &mut ErrorList) {
    required(&[("diskName", &source.disk_name), ("diskURI", &source.disk_uri)], path, errors);
    if let Some(mode) = &source.caching_mode {
        errors.one_of(&path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = source.kind.as_deref() else { return };
    errors.one_of(&path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (prefix, form) = if kind == "Managed" {
        (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        )
    } else {
        ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
    };
    if !source.disk_uri.starts_with(prefix) {
        errors.push_with(|| Error::not_supported(&path.child("diskURI"), source.disk_uri.as_str(), &[form]));
    }
}

/// A driver of the kubelet's own, and what it is told: options of the project's domains are not for users.
pub(crate) fn flex(driver: &str, options: Option<&BTreeMap<String, String>>, path: &Path, errors: &mut ErrorList) {
    errors.require(&path.child("driver"), driver);
    for key in options.into_iter().flat_map(BTreeMap::keys) {
        let domain = key.split_once('/').map_or(key.as_str(), |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let at = path.child("options").key(key);
            errors.invalid(&at, key.as_str(), "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

/// A volume of ScaleIO.
pub(crate) fn scale_io(gateway: &str, system: &str, volume: &str, path: &Path, errors: &mut ErrorList) {
    required(&[("gateway", gateway), ("system", system), ("volumeName", volume)], path, errors);
}

/// A volume of StorageOS.
pub(crate) fn storage_os(volume: &str, namespace: &str, path: &Path, errors: &mut ErrorList) {
    if errors.require(&path.child("volumeName"), volume) {
        errors.invalids(&path.child("volumeName"), volume, is_dns1123_label(volume));
    }
    if !namespace.is_empty() {
        errors.invalids(&path.child("volumeNamespace"), namespace, is_dns1123_label(namespace));
    }
}

/// A secret of the same namespace, if one is named.
pub(crate) fn local_secret(secret: Option<&LocalObjectReference>, path: &Path, errors: &mut ErrorList) {
    if let Some(secret) = secret {
        errors.require(&path.child("secretRef").child("name"), &secret.name);
    }
}

/// A secret of any namespace: both have to be said.
pub(crate) fn secret_anywhere(name: &str, namespace: &str, path: &Path, errors: &mut ErrorList) {
    required(&[("name", name), ("namespace", namespace)], &path.child("secretRef"), errors);
}

/// What an iSCSI volume of a pod and a persistent one have in common.
pub(crate) struct Iscsi<'s> {
    pub(crate) target_portal: &'s str,
    pub(crate) iqn: &'s str,
    pub(crate) lun: i32,
    pub(crate) needs_secret: bool,
    pub(crate) has_secret: bool,
    pub(crate) initiator: Option<&'s str>,
    /// What is said of a name of no known kind.
    pub(crate) unknown: &'static str,
}

impl Iscsi<'_> {
    /// The target.
    pub(crate) fn target(&self, path: &Path, errors: &mut ErrorList) {
        if errors.require(&path.child("iqn"), self.iqn) {
            self.name(self.iqn, &path.child("iqn"), errors);
        }
        lun(self.lun, path, errors);
        if self.needs_secret && !self.has_secret {
            errors.required(&path.child("secretRef"), "");
        }
    }

    /// Who asks.
    pub(crate) fn initiator(&self, path: &Path, errors: &mut ErrorList) {
        if let Some(initiator) = self.initiator {
            self.name(initiator, &path.child("initiatorname"), errors);
        }
    }

    /// Whether the volume's name and the portal are too long for the name that is made of them.
    pub(crate) fn is_too_long(&self, volume: &str) -> bool {
        self.initiator.is_some() && volume.len() + 1 + self.target_portal.len() > INITIATOR_MAX_BYTES
    }

    fn name(&self, name: &str, path: &Path, errors: &mut ErrorList) {
        let is_code = |digits: usize| {
            let mut rest = name.chars().skip(4);
            rest.by_ref().take(digits).filter(char::is_ascii_alphanumeric).count() == digits && rest.next().is_none()
        };
        let is_valid = match name.get(..3) {
            Some("iqn") => name.match_indices("iqn.").any(|(at, prefix)| is_qualified(&name[at + prefix.len()..])),
            Some("eui") => is_code(16),
            Some("naa") => is_code(32),
            _ => {
                errors.invalid(path, name, self.unknown);
                return;
            }
        };
        if !is_valid {
            errors.invalid(path, name, "must be valid format");
        }
    }
}

/// What follows `iqn.`: the month in which somebody had a domain, the domain, and what they called it.
fn is_qualified(rest: &str) -> bool {
    let Some((domain, name)) = rest.split_once(':') else { return false };
    let Some((month, domain)) = domain.split_once('.') else { return false };
    let is_month = month.split_once('-').is_some_and(|(year, month)| {
        let is_number = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        is_number(year, 4) && is_number(month, 2)
    });
    let is_space = |c: char| matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ');
    is_month
        && !domain.is_empty()
        && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !name.is_empty()
        && !name.chars().any(|c| matches!(c, ',' | ';' | '*' | '&' | '$' | '|') || is_space(c))
}
