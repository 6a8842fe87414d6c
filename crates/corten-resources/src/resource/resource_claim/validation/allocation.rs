//! Rules of what a claim got.

use corten_api::core::v1::NodeSelector;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    value::from_value,
};

use crate::{
    core::pod_spec::validation::node_selector,
    report::{Report, unreadable},
    resource::{
        claim_spec::{requests::Requests, validation::CONFIG_MAX},
        rules::{
            binding_conditions,
            lists::{each_item, present, text},
            names, opaque,
        },
    },
};

/// How many devices a claim gets.
const RESULTS_MAX: usize = 32;

/// Every rule that a new allocation breaks.
pub(super) fn validate(allocation: &Value, requests: &Requests<'_>, path: &Path, errors: &mut ErrorList) {
    let at = path.child("devices");
    let list = |field: &str| allocation.items_at(&["devices", field]);
    each_item(list("results"), RESULTS_MAX, &at.child("results"), errors, |item, at, errors| {
        result(item, requests, at, errors);
    });
    // Those of the class and those of the claim.
    each_item(list("config"), 2 * CONFIG_MAX, &at.child("config"), errors, |config, at, errors| {
        errors.require_one_of(&at.child("source"), text(config, "source"), &["FromClaim", "FromClass"]);
        requests.references(config, at, errors);
        opaque::configuration(config, false, at, errors);
    });
    if let Some(selector) = present(allocation, "nodeSelector") {
        match from_value::<NodeSelector>(selector) {
            Ok(selector) => node_selector(&selector, &path.child("nodeSelector"), errors),
            Err(error) => errors.push(unreadable(&error)),
        }
    }
}

fn result(result: &Value, requests: &Requests<'_>, path: &Path, errors: &mut ErrorList) {
    let field = |name: &str| text(result, name);
    requests.reference(field("request"), &path.child("request"), errors);
    names::driver_name(field("driver"), &path.child("driver"), errors);
    names::pool_name(field("pool"), &path.child("pool"), errors);
    names::label(field("device"), &path.child("device"), errors);
    binding_conditions(result, path, errors);
    if let Some(share) = present(result, "shareID").and_then(Value::as_str) {
        names::uid(share, &path.child("shareID"), errors);
    }
}
