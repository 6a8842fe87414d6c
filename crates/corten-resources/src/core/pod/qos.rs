//! The quality of service that a pod's requests and limits stand for.
//!
//! Upstream: pkg/apis/core/v1/helper/qos (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::{Value, quantity::Quantity};

use crate::quantity::Amount;

/// What counts for quality of service.
const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed` if every container has limits that equal its requests, `BestEffort` without either, else `Burstable`.
pub(super) fn class(spec: &Value) -> &'static str {
    let mut requests: BTreeMap<&str, Quantity> = BTreeMap::new();
    let mut limits: BTreeMap<&str, Quantity> = BTreeMap::new();
    let mut guaranteed = true;
    let mut count = |resources: Option<&Value>| {
        let positive = |list: &str, name: &str| {
            let text = resources?.at(&[list, name])?.as_str()?;
            Quantity::parse(text).filter(Quantity::is_positive)
        };
        for name in COMPUTE {
            if let Some(amount) = positive("requests", name) {
                let sum = requests.entry(name).or_default();
                *sum = sum.plus(&amount);
            }
            match positive("limits", name) {
                Some(amount) => {
                    let sum = limits.entry(name).or_default();
                    *sum = sum.plus(&amount);
                }
                None => guaranteed = false,
            }
        }
    };
    match spec.get("resources").filter(|resources| has_any(resources)) {
        Some(pod_level) => count(Some(pod_level)),
        None => {
            for containers in ["containers", "initContainers"] {
                spec.items_at(&[containers]).iter().for_each(|container| count(container.get("resources")));
            }
        }
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    if guaranteed && requests == limits { "Guaranteed" } else { "Burstable" }
}

fn has_any(resources: &Value) -> bool {
    ["requests", "limits"]
        .iter()
        .any(|list| resources.get(list).and_then(Value::as_object).is_some_and(|map| !map.is_empty()))
}
