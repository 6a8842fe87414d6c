//! Takes the human descriptions of types and fields from `k8s-openapi`'s JSON schemas, so that they need not be committed.
//!
//! Output: `descriptions.z` in cargo's output folder, zlib over records of the form
//! `type US description (US field US description)* RS`, sorted by type. `src/descriptions.rs` reads it.

use std::{collections::BTreeMap, env, error::Error, fs, io::Write as _, path::Path};

use k8s_openapi::{
    ListableResource, Resource,
    schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings},
};

/// The end of a record, and what stands between its parts: neither is ever part of a text.
const RECORD_END: char = '\x1e';
const PART_END: char = '\x1f';

/// What is known of one type.
#[derive(Default)]
struct Described {
    description: String,
    fields: BTreeMap<String, String>,
}

struct Collector {
    generator: SchemaGenerator,
    /// Kinds with lists: (type name, kind). `k8s-openapi` has one generic list without a schema.
    listed: Vec<(String, &'static str)>,
}

impl Collector {
    fn add<K: JsonSchema>(&mut self) {
        self.generator.subschema_for::<K>();
    }

    fn add_listed<K: JsonSchema + Resource + ListableResource>(&mut self) {
        self.add::<K>();
        self.listed.push((K::schema_name().into_owned(), K::KIND));
    }
}

macro_rules! kinds {
    ($collector:ident . $method:ident: $($module:path { $($kind:ident)* })*) => {
        $({ use $module as module; $($collector.$method::<module::$kind>();)* })*
    };
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let settings = SchemaSettings::draft2020_12();
    let mut collector = Collector { generator: settings.into_generator(), listed: Vec::new() };
    add_kinds(&mut collector);
    let listed = std::mem::take(&mut collector.listed);
    let types = describe(collector.generator.definitions(), &listed);

    let mut text = String::new();
    for (name, described) in &types {
        text.extend([name.as_str(), "\x1f", &described.description]);
        for (field, description) in &described.fields {
            text.extend(["\x1f", field, "\x1f", description]);
        }
        text.push(RECORD_END);
    }
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("descriptions.z"), encoder.finish()?)?;
    Ok(())
}

/// Reads the schemas. Texts with a separator in them would break the form, so they are refused.
fn describe(
    schemas: &k8s_openapi::serde_json::Map<String, k8s_openapi::serde_json::Value>,
    listed: &[(String, &'static str)],
) -> BTreeMap<String, Described> {
    let text = |schema: &k8s_openapi::serde_json::Value| {
        let text = schema["description"].as_str().unwrap_or_default().to_owned();
        assert!(!text.contains([RECORD_END, PART_END]), "a description contains a separator: {text:?}");
        text
    };
    let mut types: BTreeMap<String, Described> = BTreeMap::new();
    for (name, schema) in schemas {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(field, property)| (field.clone(), text(property)));
        let fields = fields.filter(|(_, description)| !description.is_empty()).collect();
        types.insert(name.clone(), Described { description: text(schema), fields });
    }
    // The type is written by hand, with the words on one of its fields behind its own.
    let event = types.get_mut("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent").expect("it was added");
    let whole = std::mem::take(&mut event.description);
    let (own, of_object) = whole.split_once("\n\n").expect("it says what the object is");
    event.description = own.to_owned();
    event.fields.insert("object".into(), of_object.trim_end().to_owned());
    for (name, kind) in listed {
        let mut fields: BTreeMap<String, String> = types[name].fields.clone();
        fields.retain(|field, _| field == "apiVersion" || field == "kind");
        fields.insert("items".into(), format!("The {kind} objects of this list."));
        fields.insert("metadata".into(), "Standard metadata of a list.".into());
        types.insert(
            format!("{name}List"),
            Described { description: format!("{kind}List is a list of {kind} objects."), fields },
        );
    }
    types
}

/// All kinds; the types they are made of follow from them.
fn add_kinds(collector: &mut Collector) {
    use k8s_openapi::{
        api,
        apiextensions_apiserver::pkg::apis::apiextensions,
        apimachinery::pkg::{apis::meta, runtime, version},
        kube_aggregator::pkg::apis::apiregistration,
    };
    collector.add::<meta::v1::WatchEvent<runtime::RawExtension>>();
    kinds! { collector.add:
        api::authentication::v1 { SelfSubjectReview TokenRequest TokenReview }
        api::authorization::v1 { LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview }
        api::autoscaling::v1 { Scale }
        api::core::v1 { Binding }
        api::policy::v1 { Eviction }
        meta::v1 { APIGroup APIGroupList APIResourceList APIVersions DeleteOptions Patch Status }
        version { Info }
    }
    kinds! { collector.add_listed:
        api::admissionregistration::v1 {
            MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
        }
        api::admissionregistration::v1alpha1 { MutatingAdmissionPolicy MutatingAdmissionPolicyBinding }
        api::admissionregistration::v1beta1 { MutatingAdmissionPolicy MutatingAdmissionPolicyBinding }
        api::apiserverinternal::v1alpha1 { StorageVersion }
        api::apps::v1 { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
        api::autoscaling::v1 { HorizontalPodAutoscaler }
        api::autoscaling::v2 { HorizontalPodAutoscaler }
        api::batch::v1 { CronJob Job }
        api::certificates::v1 { CertificateSigningRequest }
        api::certificates::v1alpha1 { ClusterTrustBundle }
        api::certificates::v1beta1 { ClusterTrustBundle PodCertificateRequest }
        api::coordination::v1 { Lease }
        api::coordination::v1alpha2 { LeaseCandidate }
        api::coordination::v1beta1 { LeaseCandidate }
        api::core::v1 {
            ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod
            PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
        }
        api::discovery::v1 { EndpointSlice }
        api::events::v1 { Event }
        api::flowcontrol::v1 { FlowSchema PriorityLevelConfiguration }
        api::networking::v1 { IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR }
        api::networking::v1beta1 { IPAddress ServiceCIDR }
        api::node::v1 { RuntimeClass }
        api::policy::v1 { PodDisruptionBudget }
        api::rbac::v1 { ClusterRole ClusterRoleBinding Role RoleBinding }
        api::resource::v1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::resource::v1alpha3 { DeviceTaintRule }
        api::resource::v1beta1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::resource::v1beta2 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::scheduling::v1 { PriorityClass }
        api::scheduling::v1alpha1 { Workload }
        api::storage::v1 { CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass }
        api::storage::v1beta1 { VolumeAttributesClass }
        api::storagemigration::v1beta1 { StorageVersionMigration }
        apiextensions::v1 { CustomResourceDefinition }
        apiregistration::v1 { APIService }
    }
}
