//! Which requests a webhook or policy is about: operations, groups, versions, resources, scope.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_path_segment_name,
};

use crate::{
    defaulting::fill_absent,
    report::Report,
    tree::{each_at, present, texts_at},
    view::{Seen, texts},
};

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// A deletion has no object that could be changed.
const MUTABLE_OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];

/// A rule is about both scopes unless it says which.
pub(super) fn defaults(rule: &mut Value) {
    fill_absent(rule, "scope", "*");
}

/// A rule that can name objects.
pub(super) fn named(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (at, name) in each_at(rule, "resourceNames", path) {
        let name = name.as_str().unwrap_or_default();
        errors.invalids(&at, name, is_path_segment_name(name));
        if !seen.is_new(name) {
            errors.push_with(|| Error::duplicate(&at, name));
        }
    }
    with_operations(rule, path, errors);
}

/// A rule.
pub(super) fn with_operations(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let operations = texts_at(rule, &["operations"]);
    let at = path.child("operations");
    require_some(&operations, &at, errors);
    errors.lone_star(&at, &operations, "operations");
    for (index, operation) in operations.iter().enumerate() {
        errors.one_of(&at.index(index), operation, OPERATIONS);
    }
    let groups = texts_at(rule, &["apiGroups"]);
    let at = path.child("apiGroups");
    require_some(&groups, &at, errors);
    errors.lone_star(&at, &groups, "API groups");
    let versions = texts_at(rule, &["apiVersions"]);
    let at = path.child("apiVersions");
    require_some(&versions, &at, errors);
    errors.lone_star(&at, &versions, "API versions");
    for (index, version) in versions.iter().enumerate() {
        errors.require(&at.index(index), version);
    }
    resources(&texts_at(rule, &["resources"]), &path.child("resources"), errors);
    if let Some(scope) = present(rule, &["scope"]) {
        errors.one_of(&path.child("scope"), scope.as_str().unwrap_or_default(), SCOPES);
    }
}

/// The rules are about requests that carry an object. The path names no rule, as upstream's does not.
pub(super) fn mutable_operations(rules: &[Value], path: &Path, errors: &mut ErrorList) {
    for operation in rules.iter().flat_map(|rule| texts_at(rule, &["operations"])) {
        errors.one_of(path, operation, MUTABLE_OPERATIONS);
    }
}

fn require_some(items: &[&str], path: &Path, errors: &mut ErrorList) {
    if items.is_empty() {
        errors.required(path, "");
    }
}

fn resources(resources: &[&str], path: &Path, errors: &mut ErrorList) {
    require_some(resources, path, errors);
    let (mut of_all_subresources, mut of_all_resources) = (Seen::default(), Seen::default());
    let (mut is_last_plain, mut has_all, mut has_everything) = (false, false, false);
    for (index, item) in resources.iter().enumerate() {
        let at = path.index(index);
        if !errors.require(&at, item) {
            continue;
        }
        has_everything |= *item == "*/*";
        has_all |= *item == "*";
        let Some((resource, subresource)) = item.split_once('/') else {
            // The last one decides, as it does upstream.
            is_last_plain = *item != "*";
            continue;
        };
        if of_all_subresources.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {item}");
            errors.invalid(&at, *item, detail);
        }
        if of_all_resources.contains(subresource) {
            let detail = format!("if '*/{subresource}' is present, must not specify {item}");
            errors.invalid(&at, *item, detail);
        }
        if subresource == "*" {
            of_all_subresources.is_new(resource);
        }
        if resource == "*" {
            of_all_resources.is_new(subresource);
        }
    }
    if resources.len() > 1 && has_everything {
        errors.invalid(path, texts(resources), "if '*/*' is present, must not specify other resources");
    }
    if has_all && is_last_plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, texts(resources), detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::value;

    #[track_caller]
    fn check(patch: serde_json::Value, want: &[&str]) {
        let rule = json!({
            "operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*",
        });
        let mut errors = ErrorList::new();
        named(&value(crate::testing::patched(rule, patch)), &Path::new("rules").index(0), &mut errors);
        let have: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(have, want);
    }

    #[test]
    fn a_rule_names_operations_groups_versions_and_resources() {
        check(json!({}), &[]);
        check(
            json!({"operations": [], "apiGroups": [], "apiVersions": [], "resources": [], "scope": ""}),
            &[
                "rules[0].operations: Required value",
                "rules[0].apiGroups: Required value",
                "rules[0].apiVersions: Required value",
                "rules[0].resources: Required value",
                "rules[0].scope: Unsupported value: \"\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
            ],
        );
        check(json!({"apiGroups": [""], "apiVersions": [""]}), &["rules[0].apiVersions[0]: Required value"]);
        check(
            json!({"operations": ["PATCH"], "resourceNames": ["a", "a/b", "a"]}),
            &[
                "rules[0].resourceNames[1]: Invalid value: \"a/b\": may not contain '/'",
                "rules[0].resourceNames[2]: Duplicate value: \"a\"",
                "rules[0].operations[0]: Unsupported value: \"PATCH\": supported values: \"*\", \"CONNECT\", \"CREATE\", \
                 \"DELETE\", \"UPDATE\"",
            ],
        );
    }

    #[test]
    fn a_star_stands_alone() {
        check(
            json!({"operations": ["CREATE", "*"], "apiGroups": ["a", "*"], "apiVersions": ["v1", "*"]}),
            &[
                "rules[0].operations: Invalid value: [\"CREATE\",\"*\"]: if '*' is present, must not specify other operations",
                "rules[0].apiGroups: Invalid value: [\"a\",\"*\"]: if '*' is present, must not specify other API groups",
                "rules[0].apiVersions: Invalid value: [\"v1\",\"*\"]: if '*' is present, must not specify other API versions",
            ],
        );
        check(
            json!({"resources": ["*/*", "a"]}),
            &[
                "rules[0].resources: Invalid value: [\"*/*\",\"a\"]: if '*/*' is present, must not specify other resources",
            ],
        );
        check(
            json!({"resources": ["*", "a"]}),
            &["rules[0].resources: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other resources \
                 without subresources"],
        );
        check(json!({"resources": ["*", "*/a", "b/*"]}), &[]);
        check(
            json!({"resources": ["a/*", "a/x", "*/y", "b/y", ""]}),
            &[
                "rules[0].resources[1]: Invalid value: \"a/x\": if 'a/*' is present, must not specify a/x",
                "rules[0].resources[3]: Invalid value: \"b/y\": if '*/y' is present, must not specify b/y",
                "rules[0].resources[4]: Required value",
            ],
        );
    }
}
