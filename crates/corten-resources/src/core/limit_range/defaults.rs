//! Defaults of limit ranges.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec::defaults::round_to_milli,
    defaulting::{each, within},
};

pub(super) fn v1(range: &mut Value) {
    each(range, &["spec", "limits"], |limit| {
        if limit.str_at(&["type"]) == Some("Container") {
            // A limit is the maximum unless it is said, and a request the limit, or else the minimum.
            fill_from(limit, "default", "max");
            fill_from(limit, "defaultRequest", "default");
            fill_from(limit, "defaultRequest", "min");
        }
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            within(limit, &[list], round_to_milli);
        }
    });
}

/// Gives `to` what `from` has and it has not.
fn fill_from(limit: &mut Value, to: &str, from: &str) {
    let Some(source) = limit.get(from).and_then(Value::as_object).cloned() else { return };
    for (name, amount) in source.iter() {
        if limit.at(&[to, name]).is_none() {
            limit.set(&[to, name], amount.clone());
        }
    }
}
