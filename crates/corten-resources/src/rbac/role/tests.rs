use serde_json::json;

use super::RESOURCE;
use crate::testing::{refuses, row};

#[test]
fn a_rule_says_what_may_be_done_with_what() {
    refuses(&RESOURCE, json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}), &[]);
    refuses(
        &RESOURCE,
        json!({"rules": [{}, {"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["pods"]}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
            "rules[1].nonResourceURLs: Invalid value: [\"/a\"]: namespaced rules cannot apply to non-resource URLs",
            "rules[1].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and \
             non-resource URLs",
        ],
    );
}

#[test]
fn names_may_have_colons() {
    assert_eq!(RESOURCE.strategy.validate_name("system:Leader-locking", false), [""; 0]);
    assert_eq!(RESOURCE.strategy.validate_name("a/b", false), ["may not contain '/'"]);
}

#[test]
fn a_row_shows_when_it_was_made() {
    let role = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(row(&RESOURCE, role), ["a", "2026-01-01T00:00:00Z"]);
}
