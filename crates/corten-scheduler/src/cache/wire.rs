//! The fields of pods and nodes that scheduling reads, as they are in JSON; everything else is skipped while decoding.
//!
//! Source: k8s.io/api/core/v1 (v1.35). Absent and null read as empty, as they do upstream.

use std::{collections::BTreeMap, fmt};

use corten_apimachinery::value::Str;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// Reads null as the default.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! wire {
    ($(struct $name:ident { $($(#[$meta:meta])* $field:ident: $ty:ty),* $(,)? })*) => {
        $(#[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            $($(#[$meta])*
            #[serde(default, deserialize_with = "nullable")]
            pub(super) $field: $ty,)*
        })*
    };
}

pub(super) type ResourceList = BTreeMap<Str, QuantityText>;

/// A quantity: text, or a number as some clients write it.
#[derive(Debug)]
pub(super) enum QuantityText {
    Text(Str),
    Int(i64),
    Float(f64),
}

/// As if derived for an untagged enum, without a copy in between.
impl<'de> Deserialize<'de> for QuantityText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quantity;
        impl Visitor<'_> for Quantity {
            type Value = QuantityText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuantityText, E> {
                Ok(QuantityText::Text(text.into()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<QuantityText, E> {
                Ok(QuantityText::Int(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<QuantityText, E> {
                Ok(i64::try_from(number).map_or(QuantityText::Float(number as f64), QuantityText::Int))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<QuantityText, E> {
                Ok(QuantityText::Float(number))
            }
        }
        deserializer.deserialize_any(Quantity)
    }
}

wire! {
    struct Pod { metadata: Metadata, spec: PodSpec, status: PodStatus }
    struct PodHead { metadata: Metadata, spec: PodPlace, status: PodStatus }
    struct PodPlace { node_name: Str }
    struct Metadata {
        name: Str,
        namespace: Str,
        uid: Str,
        generation: i64,
        resource_version: Str,
        labels: BTreeMap<Str, Str>,
        deletion_timestamp: Option<Str>,
        owner_references: Vec<OwnerReference>,
    }
    struct OwnerReference { kind: Str, name: Str, uid: Str, controller: bool }
    struct PodSpec {
        node_name: Str,
        scheduler_name: Str,
        priority: Option<i32>,
        preemption_policy: Str,
        scheduling_gates: Vec<Gate>,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        overhead: ResourceList,
        resources: ResourceRequirements,
        node_selector: BTreeMap<Str, Str>,
        affinity: Affinity,
        tolerations: Vec<Toleration>,
        topology_spread_constraints: Vec<SpreadConstraint>,
        volumes: Vec<Volume>,
    }
    struct PodStatus { phase: Str, nominated_node_name: Str, start_time: Str, conditions: Vec<Condition> }
    struct Condition {
        #[serde(rename = "type")] ty: Str,
        status: Str,
        reason: Str,
        message: Str,
        observed_generation: i64,
        last_transition_time: Str,
    }
    struct Volume { name: Str, persistent_volume_claim: Option<ClaimSource>, ephemeral: Option<EphemeralSource> }
    struct ClaimSource { claim_name: Str }
    struct EphemeralSource {}
    struct Claim { metadata: Metadata, spec: ClaimSpec, status: ClaimStatus }
    struct ClaimSpec { volume_name: Str, storage_class_name: Option<Str>, access_modes: Vec<Str> }
    struct ClaimStatus { phase: Str }
    struct PersistentVolume { spec: PersistentVolumeSpec }
    struct PersistentVolumeSpec { node_affinity: VolumeNodeAffinity }
    struct VolumeNodeAffinity { required: Option<NodeSelector> }
    struct StorageClass { volume_binding_mode: Str }
    struct Gate { name: Str }
    struct Container { image: Str, resources: ResourceRequirements, ports: Vec<Port>, restart_policy: Str }
    struct ResourceRequirements { requests: ResourceList }
    struct Port { host_port: u16, protocol: Str, #[serde(rename = "hostIP")] host_ip: Str }
    struct Affinity { node_affinity: NodeAffinity, pod_affinity: PodAffinity, pod_anti_affinity: PodAffinity }
    struct NodeAffinity {
        required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
        preferred_during_scheduling_ignored_during_execution: Vec<PreferredNodeTerm>,
    }
    struct NodeSelector { node_selector_terms: Vec<NodeSelectorTerm> }
    struct PreferredNodeTerm { weight: i32, preference: NodeSelectorTerm }
    struct NodeSelectorTerm { match_expressions: Vec<Expression>, match_fields: Vec<Expression> }
    struct Expression { key: Str, operator: Str, values: Vec<Str> }
    struct PodAffinity {
        required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
        preferred_during_scheduling_ignored_during_execution: Vec<WeightedPodAffinityTerm>,
    }
    struct WeightedPodAffinityTerm { weight: i32, pod_affinity_term: PodAffinityTerm }
    struct PodAffinityTerm {
        label_selector: Option<LabelSelector>,
        namespaces: Vec<Str>,
        topology_key: Str,
        namespace_selector: Option<LabelSelector>,
    }
    struct LabelSelector { match_labels: BTreeMap<Str, Str>, match_expressions: Vec<Expression> }
    struct Toleration { key: Str, operator: Str, value: Str, effect: Str }
    struct SpreadConstraint {
        max_skew: i32,
        topology_key: Str,
        when_unsatisfiable: Str,
        label_selector: Option<LabelSelector>,
        min_domains: Option<i32>,
        node_affinity_policy: Str,
        node_taints_policy: Str,
        match_label_keys: Vec<Str>,
    }
    struct Node { metadata: Metadata, spec: NodeSpec, status: NodeStatus }
    struct NodeSpec { unschedulable: bool, taints: Vec<Taint> }
    struct Taint { key: Str, value: Str, effect: Str }
    struct NodeStatus { allocatable: ResourceList, images: Vec<Image> }
    struct Service { spec: MapSelectorSpec }
    struct MapSelectorSpec { selector: BTreeMap<Str, Str> }
    struct Set { spec: LabelSelectorSpec }
    struct LabelSelectorSpec { selector: Option<LabelSelector> }
    struct Image { names: Vec<Str>, size_bytes: i64 }
}
