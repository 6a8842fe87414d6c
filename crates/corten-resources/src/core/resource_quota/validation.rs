//! Rules of resource quotas.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{core::v1::ResourceQuota, quantity::Quantity};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use super::scopes;
use crate::{
    core::pod_spec::validation::{is_standard_in_quota, resource_name, resource_quantity},
    report::{Report, with_view},
};

pub(super) fn create(quota: &Value) -> ErrorList {
    with_view(quota, |quota: &ResourceQuota, errors| {
        spec(quota, errors);
        counts(quota, errors);
    })
}

pub(super) fn update(quota: &Value, old: &Value) -> ErrorList {
    let mut errors = with_view(quota, spec);
    let path = ["spec", "scopes"];
    let scopes = |quota: &Value| -> BTreeSet<String> {
        quota.items_at(&path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if scopes(quota) != scopes(old) {
        let shown = quota.at(&path).cloned().unwrap_or_default();
        errors.push(Error::invalid(&Path::new("spec").child("scopes"), shown, "field is immutable"));
    }
    errors
}

pub(super) fn status(quota: &Value) -> ErrorList {
    with_view(quota, counts)
}

fn spec(quota: &ResourceQuota, errors: &mut ErrorList) {
    let Some(spec) = &quota.spec else { return };
    let path = Path::new("spec");
    amounts(spec.hard.as_ref(), &path.child("hard"), errors);
    scopes::validate(spec, &path, errors);
}

fn counts(quota: &ResourceQuota, errors: &mut ErrorList) {
    let Some(status) = &quota.status else { return };
    let path = Path::new("status");
    amounts(status.hard.as_ref(), &path.child("hard"), errors);
    amounts(status.used.as_ref(), &path.child("used"), errors);
}

fn amounts(amounts: Option<&BTreeMap<String, Quantity>>, path: &Path, errors: &mut ErrorList) {
    for (name, amount) in amounts.into_iter().flatten() {
        let at = path.key(name);
        resource_name(name, &at, errors);
        if !name.contains('/') && !is_standard_in_quota(name) {
            errors.invalid(&at, name.as_str(), "must be a standard resource for quota");
        }
        resource_quantity(name, amount, &at, errors);
    }
}
