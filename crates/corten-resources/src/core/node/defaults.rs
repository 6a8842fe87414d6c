//! Defaults of nodes.

use corten_apimachinery::Value;

use crate::defaulting::within;

pub(super) fn v1(node: &mut Value) {
    within(node, &["spec"], pod_ranges);
    within(node, &["status"], |status| {
        if status.get("allocatable").is_none_or(Value::is_null)
            && let Some(capacity) = status.get("capacity").filter(|capacity| !capacity.is_null()).cloned()
        {
            status.set(&["allocatable"], capacity);
        }
    });
}

/// Keeps `podCIDR` equal to the first of `podCIDRs`; where both differ the older field is the authority.
fn pod_ranges(spec: &mut Value) {
    let first = spec.items_at(&["podCIDRs"]).first().and_then(Value::as_str).map(ToOwned::to_owned);
    let single = spec.str_at(&["podCIDR"]).filter(|range| !range.is_empty()).map(ToOwned::to_owned);
    match (single, first) {
        (Some(range), first) if first.as_deref() != Some(&range) => spec.set(&["podCIDRs"], vec![range.into()]),
        (None, Some(first)) => spec.set(&["podCIDR"], first),
        _ => {}
    }
}
