//! Rules of the rules in roles.

use corten_api::rbac::v1::PolicyRule;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::is_path_segment_name,
};

use crate::{
    report::Report,
    view::{each, list, texts},
};

/// A role or cluster role.
#[derive(Debug)]
pub(super) struct Main {
    /// The rules of the kind.
    pub(super) validate: fn(&Value) -> ErrorList,
}

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, role: &Value) -> ErrorList {
        (self.validate)(role)
    }

    fn validate_update(&self, _cx: &Context<'_>, role: &Value, _old: &Value) -> ErrorList {
        (self.validate)(role)
    }

    // Names of roles may have colons and capitals: `system:controller:...`.
    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}

/// Every rule says what may be done with what.
pub(super) fn validate(rules: &Option<Vec<PolicyRule>>, is_namespaced: bool, errors: &mut ErrorList) {
    for (at, rule) in each(rules, &Path::new("rules")) {
        if rule.verbs.is_empty() {
            errors.required(&at.child("verbs"), "verbs must contain at least one value");
        }
        let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
        let (names, urls) = (list(&rule.resource_names), list(&rule.non_resource_urls));
        if !urls.is_empty() {
            let at = at.child("nonResourceURLs");
            if is_namespaced {
                errors.invalid(&at, texts(urls), "namespaced rules cannot apply to non-resource URLs");
            }
            if !(groups.is_empty() && resources.is_empty() && names.is_empty()) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&at, texts(urls), detail);
            }
            continue;
        }
        if groups.is_empty() {
            errors.required(&at.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if resources.is_empty() {
            errors.required(&at.child("resources"), "resource rules must supply at least one resource");
        }
    }
}
