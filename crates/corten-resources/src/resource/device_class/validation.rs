//! Rules of device classes.

use corten_apimachinery::{
    Value,
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

/// Every rule that a class breaks. Selectors and configuration that the old one had as they are count as stored.
pub(super) fn validate(class: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let list = |field: &str| class.items_at(&["spec", field]);
    let is_stored = |field: &str| {
        let list = ["spec", field];
        old.is_some_and(|old| semantically_equal(class.at(&list), old.at(&list)))
    };
    selectors::validate(list("selectors"), is_stored("selectors"), &path.child("selectors"), &mut errors);
    let is_stored = is_stored("config");
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
