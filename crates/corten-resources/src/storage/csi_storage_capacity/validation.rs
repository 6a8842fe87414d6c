//! Rules of capacities.

use corten_api::storage::v1::CSIStorageCapacity;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    quantity::Quantity,
    value::semantically_equal,
};

use crate::{
    core::pod_spec::validation::label_selector,
    quantity::Amount,
    report::{LABEL_SELECTOR, NEGATIVE, Report, with_view},
};

/// The fields that say what the driver was asked.
const ASKED: [&str; 2] = ["nodeTopology", "storageClassName"];

/// Every rule that a capacity breaks. A topology that the old one had is not looked at again: its rules were looser once.
pub(super) fn validate(capacity: &Value, old: Option<&Value>) -> ErrorList {
    let is_kept = |field: &str| old.is_some_and(|old| semantically_equal(capacity.get(field), old.get(field)));
    with_view(capacity, |view: &CSIStorageCapacity, errors| {
        let [topology, class] = ASKED;
        if !is_kept(topology) {
            label_selector(view.node_topology.as_ref(), &Path::new(topology), errors);
        }
        errors.object_name(&Path::new(class), &view.storage_class_name);
        if let Some(amount) = &view.capacity
            && Quantity::of(amount).is_negative()
        {
            errors.invalid(&Path::new("capacity"), amount.0.as_str(), NEGATIVE);
        }
        if old.is_some() {
            for field in ASKED.into_iter().filter(|field| !is_kept(field)) {
                let (at, value) = (Path::new(field), capacity.get(field));
                if field == topology {
                    errors.invalid_struct(&at, LABEL_SELECTOR, value, "field is immutable");
                } else {
                    errors.invalid(&at, value.cloned().unwrap_or_default(), "field is immutable");
                }
            }
        }
    })
}
