use serde_json::json;

use super::RESOURCE;
use crate::testing::refuses;

#[test]
fn only_cluster_roles_are_granted_in_the_cluster() {
    refuses(
        &RESOURCE,
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]}),
        &[
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[0].namespace: Required value",
        ],
    );
}
