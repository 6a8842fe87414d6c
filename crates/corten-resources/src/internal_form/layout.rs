//! Where upstream's own structs differ from those of v1: names, order, and the few fields that are elsewhere.

use std::borrow::Cow;

use corten_apimachinery::type_table::{FieldType, Presence, Struct};

/// Names whose first letters are one word in Go.
const NAMES: &[(&str, &str)] = &[
    ("apiGroup", "APIGroup"),
    ("apiGroups", "APIGroups"),
    ("apiVersion", "APIVersion"),
    ("apiVersions", "APIVersions"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("cel", "CEL"),
    ("cephfs", "CephFS"),
    ("chapAuthDiscovery", "DiscoveryCHAPAuth"),
    ("chapAuthSession", "SessionCHAPAuth"),
    ("cidr", "CIDR"),
    ("cidrs", "CIDRs"),
    ("csi", "CSI"),
    ("diskURI", "DataDiskURI"),
    ("dnsConfig", "DNSConfig"),
    ("dnsPolicy", "DNSPolicy"),
    ("fc", "FC"),
    ("fsGroup", "FSGroup"),
    ("fsGroupChangePolicy", "FSGroupChangePolicy"),
    ("fsType", "FSType"),
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("gmsaCredentialSpec", "GMSACredentialSpec"),
    ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
    ("grpc", "GRPC"),
    ("httpGet", "HTTPGet"),
    ("httpHeaders", "HTTPHeaders"),
    ("id", "ID"),
    ("ip", "IP"),
    ("ips", "IPs"),
    ("iqn", "IQN"),
    ("iscsi", "ISCSI"),
    ("iscsiInterface", "ISCSIInterface"),
    ("jsonPath", "JSONPath"),
    ("nfs", "NFS"),
    ("os", "OS"),
    ("pdName", "PDName"),
    ("pkixPublicKey", "PKIXPublicKey"),
    ("qosClass", "QOSClass"),
    ("rbd", "RBD"),
    ("seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("sslEnabled", "SSLEnabled"),
    ("storageos", "StorageOS"),
    ("tcpSocket", "TCPSocket"),
    ("tls", "TLS"),
    ("tty", "TTY"),
    ("uid", "UID"),
    ("url", "URL"),
    ("wwids", "WWIDs"),
];

/// Names that are others in single structs: (struct, name, Go's name).
const NAMES_IN: &[(&str, &str, &str)] = &[
    ("DeviceAttribute", "bool", "BoolValue"),
    ("DeviceAttribute", "int", "IntValue"),
    ("DeviceAttribute", "string", "StringValue"),
    ("DeviceAttribute", "version", "VersionValue"),
    ("GlusterfsVolumeSource", "endpoints", "EndpointsName"),
    ("GlusterfsPersistentVolumeSource", "endpoints", "EndpointsName"),
    ("RBDVolumeSource", "monitors", "CephMonitors"),
    ("RBDVolumeSource", "image", "RBDImage"),
    ("RBDVolumeSource", "pool", "RBDPool"),
    ("RBDVolumeSource", "user", "RadosUser"),
    ("RBDPersistentVolumeSource", "monitors", "CephMonitors"),
    ("RBDPersistentVolumeSource", "image", "RBDImage"),
    ("RBDPersistentVolumeSource", "pool", "RBDPool"),
    ("RBDPersistentVolumeSource", "user", "RadosUser"),
];

/// The fields of a pod's spec, in the order of upstream's own struct. Those of the host are in its security context.
const POD_SPEC: &[&str] = &[
    "volumes",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "automountServiceAccountToken",
    "nodeName",
    "securityContext",
    "imagePullSecrets",
    "hostname",
    "subdomain",
    "setHostnameAsFQDN",
    "affinity",
    "schedulerName",
    "tolerations",
    "hostAliases",
    "priorityClassName",
    "priority",
    "preemptionPolicy",
    "dnsConfig",
    "readinessGates",
    "runtimeClassName",
    "overhead",
    "enableServiceLinks",
    "topologySpreadConstraints",
    "os",
    "schedulingGates",
    "resourceClaims",
    "resources",
    "hostnameOverride",
    "workloadRef",
];

/// The sources of a persistent volume, in the order of upstream's own struct.
const VOLUME_SOURCES: &[&str] = &[
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "hostPath",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "flexVolume",
    "cinder",
    "cephfs",
    "fc",
    "flocker",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// What a schema says, in the order of upstream's own struct where that is another one: the names before `Default`.
const SCHEMA_FIRST: &[&str] = &["id", "$schema", "$ref", "description", "type", "nullable"];

/// Fields of a pod's spec that upstream holds in its security context, and whether they are pointers.
pub(super) const OF_HOST: [(&str, bool); 5] = [
    ("hostNetwork", false),
    ("hostPID", false),
    ("hostIPC", false),
    ("shareProcessNamespace", true),
    ("hostUsers", true),
];

/// A field as it is written.
pub(super) struct Field<'t> {
    pub(super) name: &'t str,
    pub(super) ty: &'t FieldType,
    /// Whether it is null when it is absent.
    pub(super) is_pointer: bool,
}

fn field(field: &corten_apimachinery::type_table::Field) -> Field<'_> {
    let is_pointer = matches!(field.presence, Presence::Pointer | Presence::PointerAlways);
    Field { name: &field.name, ty: &field.ty, is_pointer }
}

/// The fields of the struct `kind`, in the order of upstream's own.
pub(super) fn fields<'t>(kind: &str, of: &'t Struct) -> Vec<Field<'t>> {
    match kind {
        "PodSpec" => POD_SPEC.iter().filter_map(|name| of.field(name)).map(field).collect(),
        // Upstream has a struct for the sources alone; in that of the spec it is embedded after the capacity.
        "PersistentVolumeSource" => VOLUME_SOURCES.iter().filter_map(|name| of.field(name)).map(field).collect(),
        "PersistentVolumeSpec" => {
            let (mut fields, rest): (Vec<_>, Vec<_>) = of
                .fields
                .iter()
                .filter(|field| !VOLUME_SOURCES.contains(&field.name.as_str()))
                .map(field)
                .partition(|field| field.name == "capacity");
            fields.extend(self::fields("PersistentVolumeSource", of));
            fields.extend(rest);
            fields
        }
        "PodSecurityContext" => {
            let of_host =
                OF_HOST.iter().map(|(name, is_pointer)| Field { name, ty: &FieldType::Bool, is_pointer: *is_pointer });
            of_host.chain(of.fields.iter().map(field)).collect()
        }
        "JSONSchemaProps" => {
            let (first, rest): (Vec<_>, Vec<_>) =
                of.fields.iter().map(field).partition(|field| SCHEMA_FIRST.contains(&field.name));
            let mut fields = first;
            fields.sort_by_key(|field| SCHEMA_FIRST.iter().position(|name| *name == field.name));
            fields.extend(rest);
            fields
        }
        "Volume" => {
            let (mut fields, quobyte): (Vec<_>, Vec<_>) =
                of.fields.iter().map(field).partition(|field| field.name != "quobyte");
            let after = fields.iter().position(|field| field.name == "rbd").map_or(fields.len(), |at| at + 1);
            fields.splice(after..after, quobyte);
            fields
        }
        _ => of.fields.iter().map(field).collect(),
    }
}

/// The name of a field in upstream's own struct.
pub(super) fn go_name<'n>(kind: &str, name: &'n str) -> Cow<'n, str> {
    if let Some((_, _, own)) = NAMES_IN.iter().find(|(of, known, _)| *of == kind && *known == name) {
        return Cow::Borrowed(own);
    }
    if let Some(extension) = name.strip_prefix("x-kubernetes-") {
        return Cow::Owned(format!("X{}", extension.split('-').map(capitalized).collect::<String>()));
    }
    if let Ok(at) = NAMES.binary_search_by_key(&name, |(known, _)| known) {
        return Cow::Borrowed(NAMES[at].1);
    }
    // `$ref` and `$schema` of schemas.
    Cow::Owned(capitalized(name.trim_start_matches('$')))
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::{NAMES, go_name};

    #[test]
    fn names_are_sorted_and_become_gos() {
        assert!(NAMES.is_sorted_by_key(|(name, _)| name));
        assert_eq!(go_name("Pod", "podIP"), "PodIP");
        assert_eq!(go_name("PodSpec", "dnsPolicy"), "DNSPolicy");
        assert_eq!(go_name("RBDVolumeSource", "image"), "RBDImage");
        assert_eq!(go_name("Volume", "image"), "Image");
        assert_eq!(go_name("JSONSchemaProps", "$schema"), "Schema");
        assert_eq!(go_name("JSONSchemaProps", "x-kubernetes-int-or-string"), "XIntOrString");
    }
}
