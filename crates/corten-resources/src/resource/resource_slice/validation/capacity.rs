//! Rules of the capacities of devices, above all of which parts of one can be asked for.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    quantity::Quantity,
};

use crate::{
    quantity::Amount,
    report::Report,
    resource::rules::lists::{each_item, present},
};

/// How many amounts can be listed as valid.
const VALID_VALUES_MAX: usize = 10;

/// Every rule that a capacity breaks; only a device that is shared can say what of it can be asked for.
pub(super) fn validate(capacity: &Value, is_shared: bool, path: &Path, errors: &mut ErrorList) {
    let Some(policy) = present(capacity, "requestPolicy") else { return };
    let path = path.child("requestPolicy");
    if !is_shared {
        errors.forbidden(&path, "allowMultipleAllocations must be true");
        return;
    }
    let all = amount(capacity, "value").unwrap_or_default();
    let (values, range) = (policy.items_at(&["validValues"]), present(policy, "validRange"));
    let default = amount(policy, "default");
    let needs_default = |what: &str, errors: &mut ErrorList| {
        errors.required(&path.child("default"), &format!("required when {what} is defined"));
    };
    match (values, range, default) {
        ([], None, _) => {}
        ([], Some(range), Some(default)) => valid_range(range, &default, &all, &path.child("validRange"), errors),
        ([], Some(_), None) => needs_default("validRange", errors),
        (_, Some(_), _) => {
            let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the \
                          same time";
            errors.forbidden(&path, detail);
        }
        (values, None, Some(default)) => valid_values(values, &default, &all, &path.child("validValues"), errors),
        (_, None, None) => needs_default("validValues", errors),
    }
}

fn amount(object: &Value, field: &str) -> Option<Quantity> {
    present(object, field).map(read)
}

/// What is no quantity counts as nothing, because decoding has refused it.
fn read(value: &Value) -> Quantity {
    Quantity::from_value(Some(value)).unwrap_or_default()
}

fn valid_values(values: &[Value], default: &Quantity, all: &Quantity, path: &Path, errors: &mut ErrorList) {
    let amounts: Vec<Quantity> = values.iter().map(read).collect();
    for (index, pair) in amounts.windows(2).enumerate() {
        if let [one, next] = pair
            && one > next
        {
            errors.invalid(&path.index(index + 1), next.to_string(), "values must be sorted in ascending order");
        }
    }
    let is_checked = each_item(values, VALID_VALUES_MAX, path, errors, |value, at, errors| {
        let value = read(value);
        if value > *all {
            errors.invalid(at, value.to_string(), format!("option is larger than capacity value: {all}"));
        }
    });
    if is_checked {
        let mut seen = BTreeSet::new();
        for (index, amount) in amounts.iter().enumerate() {
            // Upstream compares whole units.
            let units = amount.units();
            if !seen.insert(units) {
                errors.push_with(|| Error::duplicate(&path.index(index), units.to_string()));
            }
        }
    }
    if !is_checked || !amounts.contains(default) {
        errors.invalid(path, default.to_string(), "default value is not valid according to the requestPolicy");
    }
}

fn valid_range(range: &Value, default: &Quantity, all: &Quantity, path: &Path, errors: &mut ErrorList) {
    let Some(min) = amount(range, "min") else {
        errors.required(&path.child("min"), "required when validRange is defined");
        return;
    };
    let mut refuse = |field: &str, shown: &Quantity, detail: String| {
        errors.invalid(&path.child(field), shown.to_string(), detail);
    };
    if min > *all {
        refuse("min", &min, format!("min is larger than capacity value: {all}"));
    }
    if *default < min {
        refuse("min", default, format!("default is less than min: {min}"));
    }
    let max = amount(range, "max");
    if let Some(max) = &max {
        if min > *max {
            refuse("max", &min, format!("min is larger than max: {max}"));
        }
        if max > all {
            refuse("max", max, format!("max is larger than capacity value: {all}"));
        }
        if default > max {
            refuse("max", default, format!("default is more than max: {max}"));
        }
    }
    let Some(step) = amount(range, "step") else { return };
    let first = min.plus(&step);
    if first > *all {
        refuse("step", &step, format!("one step {first} is larger than capacity value: {all}"));
    }
    for value in [Some(default), max.as_ref()].into_iter().flatten() {
        if !is_at_step(value, &min, &step) {
            refuse("step", value, format!("value is not a multiple of a given step ({step}) from ({min})"));
        }
    }
}

/// Whether whole units of `value` are some steps above `min`. A step of nothing is one that nothing is a multiple of:
/// upstream divides by it.
fn is_at_step(value: &Quantity, min: &Quantity, step: &Quantity) -> bool {
    let above = i128::from(value.units()) - i128::from(min.units());
    above.checked_rem(i128::from(step.units())) == Some(0)
}
