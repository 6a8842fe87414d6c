use serde_json::json;

use super::{RESOURCE, strategy};
use crate::testing::{created, refuses, refuses_update, row, value};

#[test]
fn what_a_node_has_can_be_used() {
    let node =
        json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": "2"}}});
    let (object, errors) = created(&RESOURCE, node);
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        object,
        value(json!({
            "metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]},
            "status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}},
        }))
    );
}

#[test]
fn taints_ranges_and_amounts_are_checked() {
    refuses(
        &RESOURCE,
        json!({
            "spec": {
                "taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "Odd"}],
                "podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"],
            },
            "status": {"capacity": {"pods": "1500m"}, "allocatable": {}},
        }),
        &[
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key \
             and effect pair",
            "metadata.taints[2].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
            "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
            "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR for each \
             IP family",
        ],
    );
}

#[test]
fn a_range_is_given_once() {
    let with = |range: &str| json!({"metadata": {"name": "n"}, "spec": {"podCIDR": range}});
    refuses_update(&RESOURCE, RESOURCE.strategy, json!({"metadata": {"name": "n"}}), with("10.0.0.0/24"), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        with("10.0.0.0/24"),
        with("10.0.1.0/24"),
        &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
    );
    let addresses =
        json!({"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "Hostname", "address": "n"}]}});
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        json!({}),
        addresses,
        &["status.addresses[1]: Duplicate value: {\"address\":\"n\",\"type\":\"Hostname\"}"],
    );
}

#[test]
fn a_row_shows_readiness_roles_and_addresses() {
    let node = json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Debian"},
        },
    });
    assert_eq!(
        row(&RESOURCE, node),
        [
            "n",
            "Ready,SchedulingDisabled",
            "control-plane,edge",
            "<unknown>",
            "v1.35.0",
            "10.0.0.1",
            "<none>",
            "Debian",
            "<unknown>",
            "<unknown>"
        ]
    );
    assert_eq!(row(&RESOURCE, json!({"metadata": {"name": "n"}}))[1..3], ["Unknown", "<none>"]);
}

/// Upstream's end-to-end tests wait for nodes with `spec.unschedulable=false`, and there was none.
#[test]
fn a_node_that_does_not_say_so_is_not_unschedulable() {
    let [field] = RESOURCE.selectable_fields else { panic!("one field") };
    for (spec, want) in [
        (serde_json::json!({}), "false"),
        (serde_json::json!({"unschedulable": false}), "false"),
        (serde_json::json!({"unschedulable": true}), "true"),
    ] {
        assert_eq!(field.read(&crate::testing::value(serde_json::json!({"spec": spec}))), want);
    }
}
