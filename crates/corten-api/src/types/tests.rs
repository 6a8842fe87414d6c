use corten_apimachinery::type_table::{Field, FieldType, ListType, Presence, Shape, Struct};

use super::{find_kind, table};

fn structure(name: &str) -> &'static Struct {
    let id = table().find(name).unwrap_or_else(|| panic!("no type {name}"));
    match &table().get(id).shape {
        Shape::Struct(fields) => fields,
        other => panic!("{name} is {other:?}"),
    }
}

fn core(name: &str) -> &'static Struct {
    structure(&format!("io.k8s.api.core.v1.{name}"))
}

fn field(owner: &'static Struct, name: &str) -> &'static Field {
    owner.field(name).unwrap_or_else(|| panic!("no field {name}"))
}

#[test]
fn reads_every_type_of_the_committed_table() {
    let table = table();
    let fields: usize =
        table.iter().map(|(_, ty)| if let Shape::Struct(fields) = &ty.shape { fields.fields.len() } else { 0 }).sum();
    assert_eq!((table.iter().len(), fields), (1_260, 5_153));
    assert_eq!(table.iter().filter(|(_, ty)| ty.served).count(), 735);
}

#[test]
fn finds_kinds_also_of_versions_that_are_served_no_more() {
    let name = |group, version, kind| find_kind(group, version, kind).map(|(_, ty)| ty.name.as_str());
    assert_eq!(name("", "v1", "Pod"), Some("io.k8s.api.core.v1.Pod"));
    assert_eq!(name("apps", "v1", "DeploymentList"), Some("io.k8s.api.apps.v1.DeploymentList"));
    assert_eq!(name("extensions", "v1beta1", "Ingress"), Some("io.k8s.api.extensions.v1beta1.Ingress"));
    assert_eq!(name("batch", "v1", "DeleteOptions"), Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"));
    assert_eq!(name("meta.k8s.io", "v1beta1", "Table"), Some("io.k8s.apimachinery.pkg.apis.meta.v1.Table"));
    assert_eq!(name("", "v1", "PodSpec"), None);
}

#[test]
fn keeps_declared_order() {
    let names: Vec<&str> = core("Pod").fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["kind", "apiVersion", "metadata", "spec", "status"]);
    let names: Vec<&str> = core("PodSpec").fields.iter().map(|field| field.name.as_str()).take(4).collect();
    assert_eq!(names, ["volumes", "initContainers", "containers", "ephemeralContainers"]);
}

#[test]
fn tells_when_a_field_is_written() {
    #[track_caller]
    fn check(owner: &str, name: &str, want: Presence) {
        assert_eq!(field(core(owner), name).presence, want);
    }
    check("Pod", "status", Presence::Always);
    check("Container", "resources", Presence::Always);
    check("PodSpec", "containers", Presence::Always);
    check("PodSpec", "hostNetwork", Presence::OmitEmpty);
    check("PodSpec", "hostUsers", Presence::Pointer);
    check("ContainerStatus", "ready", Presence::Always);
    let meta = structure("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    assert_eq!(field(meta, "creationTimestamp").presence, Presence::OmitZero);
    let deployment = structure("io.k8s.api.apps.v1.DeploymentSpec");
    assert_eq!(field(deployment, "selector").presence, Presence::PointerAlways);
}

#[test]
fn flattens_inlined_structs_with_their_numbers() {
    #[track_caller]
    fn check(owner: &str, name: &str, want: &[u32]) {
        assert_eq!(field(core(owner), name).numbers.as_slice(), want);
    }
    check("Volume", "name", &[1]);
    check("Volume", "hostPath", &[2, 1]);
    check("PersistentVolumeSpec", "nfs", &[2, 5]);
    check("Probe", "exec", &[1, 1]);
    check("EphemeralContainer", "image", &[1, 2]);
    check("ConfigMapKeySelector", "name", &[1, 1]);
    check("Pod", "kind", &[]);
    let rule = structure("io.k8s.api.admissionregistration.v1.NamedRuleWithOperations");
    assert_eq!(field(rule, "apiGroups").numbers.as_slice(), [2, 2, 1]);
}

#[test]
fn knows_how_lists_and_maps_merge() {
    let ports = field(core("ServiceSpec"), "ports");
    assert_eq!(ports.list, Some(ListType::Map(vec!["port".into(), "protocol".into()])));
    assert_eq!((ports.patch.merge, ports.patch.merge_key.as_deref()), (true, Some("port")));
    let volumes = field(core("PodSpec"), "volumes");
    assert_eq!((volumes.patch.retain_keys, volumes.patch.merge_key.as_deref()), (true, Some("name")));
    assert_eq!(field(core("PodSpec"), "tolerations").list, Some(ListType::Atomic));
    assert_eq!(field(core("PodSpec"), "nodeSelector").atomic, Some(true));
    assert_eq!(field(core("PersistentVolumeSpec"), "claimRef").atomic, Some(false));
    assert!(core("ObjectReference").atomic);
    assert_eq!(core("SeccompProfile").unions[0].members, [("localhostProfile".into(), "LocalhostProfile".into())]);
}

#[test]
fn knows_enums_defaults_and_gates() {
    assert_eq!(field(core("PodSpec"), "restartPolicy").enum_values, ["Always", "Never", "OnFailure"]);
    assert_eq!(field(core("ContainerPort"), "protocol").default, Some("TCP".into()));
    assert_eq!(field(core("ContainerPort"), "protocol").enum_values, ["SCTP", "TCP", "UDP"]);
    assert_eq!(field(core("PodSpec"), "resources").feature_gates, ["PodLevelResources"]);
}

/// Constants written as conversions, `PathType("Exact")`, have no type in the data: explain and generated clients did not know
/// what the fields may be.
#[test]
fn knows_enums_whose_constants_are_conversions() {
    for (owner, name, want) in [
        ("discovery.v1.EndpointSlice", "addressType", &["FQDN", "IPv4", "IPv6"][..]),
        ("networking.v1.HTTPIngressPath", "pathType", &["Exact", "ImplementationSpecific", "Prefix"]),
        ("resource.v1.ExactDeviceRequest", "allocationMode", &["All", "ExactCount"]),
        ("resource.v1.DeviceSubRequest", "allocationMode", &["All", "ExactCount"]),
        ("resource.v1beta1.DeviceRequest", "allocationMode", &["All", "ExactCount"]),
        ("resource.v1beta2.ExactDeviceRequest", "allocationMode", &["All", "ExactCount"]),
    ] {
        assert_eq!(field(structure(&format!("io.k8s.api.{owner}")), name).enum_values, want, "{owner}");
    }
}

/// The OpenAPI documents of the data were made without enums, so that the declarations are compared.
#[test]
fn every_field_of_an_enum_says_what_it_may_be() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let text = std::fs::read_to_string(std::path::PathBuf::from(folder).join("go-fields.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let is_enum = |row: &&Vec<&str>| row[2].is_empty() && row[8].split([' ', ';']).any(|marker| marker == "+enum");
    let enums: std::collections::BTreeSet<(&str, &str)> =
        rows.iter().filter(is_enum).map(|row| (row[0], row[1])).collect();
    let mut count = 0;
    for row in rows.iter().filter(|row| !row[2].is_empty()) {
        let (package, owner, name, go_type) = (row[0], row[1], row[3], row[4].trim_start_matches(['*', '[', ']']));
        let Some(group) = package.strip_prefix("k8s.io/api/").filter(|_| enums.contains(&(package, go_type))) else {
            continue;
        };
        let ty = table().find(&format!("io.k8s.api.{}.{owner}", group.replace('/', ".")));
        let Some(ty) = ty.map(|id| table().get(id)).filter(|ty| ty.served) else { continue };
        let Shape::Struct(shape) = &ty.shape else { panic!("{} is no struct", ty.name) };
        assert!(!field(shape, name).enum_values.is_empty(), "{}.{name}", ty.name);
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn keeps_lists_that_protobuf_wraps_in_a_message() {
    let id = table().find("io.k8s.api.authentication.v1.ExtraValue").unwrap();
    assert!(matches!(&table().get(id).shape, Shape::Alias(FieldType::List(item)) if **item == FieldType::String));
}
