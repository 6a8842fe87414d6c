//! Rules of device classes.

use corten_apimachinery::{
    Features, Value,
    field::{ErrorList, Path},
    value::semantically_equal,
};

use crate::{
    core::pod_spec::validation::is_extended_resource,
    report::Report,
    resource::{
        claim_spec::validation::CONFIG_MAX,
        rules::{lists::each_item, opaque, selectors},
    },
};

/// Every rule that a class breaks. Configuration that the old one had as it is counts as stored.
pub(super) fn validate(class: &Value, old: Option<&Value>, features: &Features) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let list = |field: &str| class.items_at(&["spec", field]);
    let config = ["spec", "config"];
    let is_stored = old.is_some_and(|old| semantically_equal(class.at(&config), old.at(&config)));
    selectors::validate(list("selectors"), features, &path.child("selectors"), &mut errors);
    each_item(list("config"), CONFIG_MAX, &path.child("config"), &mut errors, |config, at, errors| {
        opaque::configuration(config, is_stored, at, errors);
    });
    if let Some(name) = class.str_at(&["spec", "extendedResourceName"])
        && !is_extended_resource(name)
    {
        errors.invalid(&path.child("extendedResourceName"), name, "must be a valid extended resource name");
    }
    errors
}
