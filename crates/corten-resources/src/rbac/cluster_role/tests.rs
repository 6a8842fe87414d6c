use serde_json::json;

use super::RESOURCE;
use crate::testing::refuses;

#[test]
fn a_cluster_role_may_grant_urls() {
    refuses(&RESOURCE, json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]}), &[]);
}

#[test]
fn aggregation_needs_a_selector() {
    refuses(
        &RESOURCE,
        json!({"aggregationRule": {}}),
        &["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if \
           aggregationRule is non-nil"],
    );
}
