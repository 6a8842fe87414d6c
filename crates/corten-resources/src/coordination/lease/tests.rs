use serde_json::json;

use super::RESOURCE;
use crate::testing::{refuses, row};

#[test]
fn a_lease_lasts() {
    refuses(&RESOURCE, json!({"spec": {"leaseDurationSeconds": 15, "holderIdentity": "a"}}), &[]);
    refuses(
        &RESOURCE,
        json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1, "preferredHolder": "b"}}),
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            "spec.preferredHolder: Invalid value: \"b\": may only be specified if `strategy` is defined",
        ],
    );
}

#[test]
fn a_row_shows_the_holder() {
    let lease = json!({"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1-kubelet"}});
    assert_eq!(row(&RESOURCE, lease), ["n1", "n1-kubelet", "<unknown>"]);
}
