//! Which objects a policy or binding is about, and by which other objects it is parameterized.

use corten_api::meta::v1::LabelSelector;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1035_label, is_dns1123_subdomain, is_path_segment_name},
    value::from_value,
};

use super::{MATCH_POLICIES, rule};
use crate::{
    core::pod_spec::validation::{ExpressionValues, label_selector_with},
    defaulting::{each, fill_absent},
    report::{Report, unreadable},
    tree::{each_at, present, text_at},
};

/// All versions of all objects are meant unless said otherwise.
pub(super) fn defaults(resources: &mut Value) {
    fill_absent(resources, "matchPolicy", "Equivalent");
    fill_absent(resources, "namespaceSelector", Value::object());
    fill_absent(resources, "objectSelector", Value::object());
    for field in ["resourceRules", "excludeResourceRules"] {
        each(resources, &[field], rule::defaults);
    }
}

/// `MatchResources`.
pub(super) fn validate(resources: &Value, path: &Path, errors: &mut ErrorList) {
    let at = path.child("matchPolicy");
    match present(resources, &["matchPolicy"]) {
        None => errors.required(&at, ""),
        Some(policy) => errors.one_of(&at, policy.as_str().unwrap_or_default(), MATCH_POLICIES),
    }
    for field in ["namespaceSelector", "objectSelector"] {
        match present(resources, &[field]) {
            None => errors.required(&path.child(field), ""),
            Some(selector) => label_selector(selector, ExpressionValues::Checked, &path.child(field), errors),
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (at, rule) in each_at(resources, field, path) {
            rule::named(rule, &at, errors);
        }
    }
}

/// A selector of labels, as strict as `values` says.
pub(super) fn label_selector(selector: &Value, values: ExpressionValues, path: &Path, errors: &mut ErrorList) {
    match from_value::<LabelSelector>(selector) {
        Ok(view) => label_selector_with(Some(&view), values, path, errors),
        Err(error) => errors.push(unreadable(&error)),
    }
}

/// The kind of the objects that parameterize a policy.
pub(super) fn param_kind(kind: &Value, path: &Path, errors: &mut ErrorList) {
    let (api_version, at) = (text_at(kind, &["apiVersion"]), path.child("apiVersion"));
    if errors.require(&at, api_version) {
        // Rules of APIService, joined as it joins them.
        let mut refuse = |value: &str, faults: Vec<String>| {
            if !faults.is_empty() {
                errors.invalid(&at, value, faults.join(","));
            }
        };
        match api_version.split('/').collect::<Vec<_>>()[..] {
            [version] => refuse(version, is_dns1035_label(version)),
            [group, version] => {
                if !group.is_empty() {
                    refuse(group, is_dns1123_subdomain(group));
                }
                if version.is_empty() {
                    refuse(api_version, vec!["version must be specified".to_owned()]);
                } else {
                    refuse(version, is_dns1035_label(version));
                }
            }
            _ => refuse(api_version, vec![format!("unexpected GroupVersion string: {api_version}")]),
        }
    }
    let (name, at) = (text_at(kind, &["kind"]), path.child("kind"));
    if errors.require(&at, name) {
        let faults = is_dns1035_label(&name.to_lowercase());
        if !faults.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
            errors.invalid(&at, name, detail);
        }
    }
}

/// Which of the objects of that kind are meant.
pub(super) fn param_ref(reference: &Value, path: &Path, errors: &mut ErrorList) {
    const EITHER: &str = "name and selector are mutually exclusive";
    let (name, selector) = (text_at(reference, &["name"]), present(reference, &["selector"]));
    if !name.is_empty() {
        errors.invalids(&path.child("name"), name, is_path_segment_name(name));
        if selector.is_some() {
            errors.forbidden(&path.child("name"), EITHER);
        }
    }
    if let Some(selector) = selector {
        label_selector(selector, ExpressionValues::Checked, &path.child("selector"), errors);
        if !name.is_empty() {
            errors.forbidden(&path.child("selector"), EITHER);
        }
    } else if name.is_empty() {
        errors.required(path, "one of name or selector must be specified");
    }
    let (action, at) = (text_at(reference, &["parameterNotFoundAction"]), path.child("parameterNotFoundAction"));
    if errors.require(&at, action) && !matches!(action, "Deny" | "Allow") {
        errors.push(Error::not_supported(&at, action, &["Deny", "Allow"]));
    }
}
