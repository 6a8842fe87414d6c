use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::{
    resource::testing::{ALL, created, refuses, updated},
    testing::{context, patched, row, value},
};

fn slice(patch: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "n1-gpu"},
            "spec": {"driver": "gpu.example.com", "nodeName": "n1",
                "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1}},
        }),
        patch,
    )
}

fn devices(devices: Value) -> Value {
    slice(json!({"spec": {"devices": devices}}))
}

#[test]
fn a_slice_counts_its_generations_and_stamps_taints() {
    let sent = devices(json!([{"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}]}]));
    let (object, errors) = created(&RESOURCE, ALL, sent.clone());
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.generation(), 1);
    let taint = &object.items_at(&["spec", "devices"])[0].items_at(&["taints"])[0];
    assert_eq!(taint.str_at(&["timeAdded"]), Some("2026-01-01T12:00:00Z"));
    let old = slice(json!({"metadata": {"generation": 4}}));
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, ALL, old.clone(), slice(json!({}))).0.generation(), 4);
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, ALL, old, sent).0.generation(), 5);
}

#[test]
fn a_slice_is_of_a_driver_a_pool_and_nodes() {
    refuses(
        &RESOURCE,
        ALL,
        json!({"spec": {"driver": "", "pool": {"name": "A", "generation": -1, "resourceSliceCount": 0}}}),
        &[
            "spec.driver: Required value",
            "spec.pool.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
             for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is \
             required",
        ],
    );
    refuses(
        &RESOURCE,
        ALL,
        slice(json!({"spec": {"nodeName": "", "allNodes": false, "perDeviceNodeSelection": false}})),
        &[
            "spec.nodeName: Invalid value: \"\": must be either unset or set to a non-empty string",
            "spec.allNodes: Invalid value: false: must be either unset or set to true",
            "spec.perDeviceNodeSelection: Invalid value: false: must be either unset or set to true",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is \
             required",
        ],
    );
    refuses(
        &RESOURCE,
        ALL,
        slice(json!({"spec": {"allNodes": true, "nodeSelector": {"nodeSelectorTerms": [{}, {}]}}})),
        &[
            "spec.nodeSelector.nodeSelectorTerms: Invalid value: [{\"MatchExpressions\":null,\"MatchFields\":null},\
             {\"MatchExpressions\":null,\"MatchFields\":null}]: must have exactly one node selector term",
            "spec: Invalid value: \"{`nodeName`, `nodeSelector`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, \
             `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
        ],
    );
}

#[test]
fn driver_pool_and_node_stay() {
    let new = slice(json!({"spec": {"driver": "other", "nodeName": "n2", "pool": {"name": "n2", "generation": 2}}}));
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, "", slice(json!({})), new);
    assert_eq!(
        errors,
        [
            "spec.pool.name: Invalid value: \"n2\": field is immutable",
            "spec.driver: Invalid value: \"other\": field is immutable",
            "spec.nodeName: Invalid value: \"n2\": field is immutable",
        ]
    );
}

#[test]
fn there_are_only_so_many_devices_each_with_a_name() {
    let named = |count: usize, patch: Value| {
        let device =
            |n: usize| patched(json!({"name": format!("d{n}")}), if n == 0 { patch.clone() } else { json!({}) });
        devices((0..count).map(device).collect())
    };
    refuses(&RESOURCE, ALL, named(128, json!({})), &[]);
    refuses(&RESOURCE, ALL, named(129, json!({})), &["spec.devices: Too many: 129: must have at most 128 items"]);
    for costly in [
        json!({"taints": [{"key": "k", "effect": "None"}]}),
        json!({"consumesCounters": [{"counterSet": "s", "counters": {"c": {"value": "1"}}}]}),
    ] {
        refuses(&RESOURCE, ALL, named(64, costly.clone()), &[]);
        refuses(&RESOURCE, ALL, named(65, costly), &["spec.devices: Too many: 65: must have at most 64 items"]);
    }
    refuses(
        &RESOURCE,
        ALL,
        slice(json!({"spec": {"devices": [{"name": "a"}, {"name": "a"}], "sharedCounters": [
            {"name": "s", "counters": {"c": {"value": "1"}}}, {"name": "s", "counters": {}},
        ]}})),
        &[
            "spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed",
            "spec.devices[1]: Duplicate value: \"a\"",
            "spec.sharedCounters[1].counters: Required value",
            "spec.sharedCounters[1]: Duplicate value: \"s\"",
        ],
    );
}

#[test]
fn a_device_is_described_by_attributes_and_capacities() {
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("a{n}"), json!({"bool": true}))).collect();
    let long = "x".repeat(65);
    refuses(
        &RESOURCE,
        ALL,
        devices(json!([
            {"name": "many", "attributes": many},
            {"name": "odd", "attributes": {
                "both": {"int": 1, "string": "s"}, "none": {}, "text": {"string": long}, "version": {"version": "1.2"},
            }, "capacity": {"/m": {"value": "1"}}},
            {"name": "policy", "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}}},
        ])),
        &[
            "spec.devices[0]: Invalid value: 33: the total number of attributes and capacities must not exceed 32",
            "spec.devices[1].attributes[both]: Invalid value: \
             {\"IntValue\":1,\"BoolValue\":null,\"StringValue\":\"s\",\"VersionValue\":null}: exactly one value must be \
             specified",
            "spec.devices[1].attributes[none]: Invalid value: \"\": exactly one value must be specified",
            "spec.devices[1].attributes[text].string: Too long: may not be more than 64 bytes",
            "spec.devices[1].attributes[version].version: Invalid value: \"1.2\": must be a string compatible with \
             semver.org spec 2.0.0",
            "spec.devices[1].capacity[/m]: Invalid value: \"\": the domain must not be empty",
            "spec.devices[2].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true",
        ],
    );
}

#[test]
fn a_shared_device_says_what_can_be_asked_for() {
    let check = |policy: Value, want: &[&str]| {
        let device = json!({"name": "a", "allowMultipleAllocations": true,
            "capacity": {"m": {"value": "10Gi", "requestPolicy": policy}}});
        let at = "spec.devices[0].capacity[m].requestPolicy";
        let want: Vec<String> = want.iter().map(|error| format!("{at}{error}")).collect();
        assert_eq!(created(&RESOURCE, ALL, devices(json!([device]))).1, want);
    };
    check(json!({"default": "1Gi"}), &[]);
    check(json!({"default": "1Gi", "validValues": ["1Gi", "2Gi"]}), &[]);
    check(json!({"default": "2Gi", "validRange": {"min": "1Gi", "max": "4Gi", "step": "1Gi"}}), &[]);
    check(json!({"validValues": ["1Gi"]}), &[".default: Required value: required when validValues is defined"]);
    check(json!({"validRange": {"min": "1Gi"}}), &[".default: Required value: required when validRange is defined"]);
    check(
        json!({"default": "1", "validValues": ["1"], "validRange": {"min": "1"}}),
        &[
            ": Forbidden: exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same \
           time",
        ],
    );
    check(
        json!({"default": "3Gi", "validValues": ["2Gi", "1Gi", "1Gi", "11Gi"]}),
        &[
            ".validValues[1]: Invalid value: \"1Gi\": values must be sorted in ascending order",
            ".validValues[3]: Invalid value: \"11Gi\": option is larger than capacity value: 10Gi",
            ".validValues[2]: Duplicate value: \"1073741824\"",
            ".validValues: Invalid value: \"3Gi\": default value is not valid according to the requestPolicy",
        ],
    );
    let eleven: Vec<String> = (1..12).map(|n| n.to_string()).collect();
    check(
        json!({"default": "1", "validValues": eleven}),
        &[
            ".validValues: Too many: 11: must have at most 10 items",
            ".validValues: Invalid value: \"1\": default value is not valid according to the requestPolicy",
        ],
    );
    check(
        json!({"default": "1", "validRange": {}}),
        &[".validRange.min: Required value: required when validRange is defined"],
    );
    check(
        json!({"default": "20Gi", "validRange": {"min": "12Gi", "max": "11Gi", "step": "3Gi"}}),
        &[
            ".validRange.min: Invalid value: \"12Gi\": min is larger than capacity value: 10Gi",
            ".validRange.max: Invalid value: \"12Gi\": min is larger than max: 11Gi",
            ".validRange.max: Invalid value: \"11Gi\": max is larger than capacity value: 10Gi",
            ".validRange.max: Invalid value: \"20Gi\": default is more than max: 11Gi",
            ".validRange.step: Invalid value: \"3Gi\": one step 15Gi is larger than capacity value: 10Gi",
            ".validRange.step: Invalid value: \"20Gi\": value is not a multiple of a given step (3Gi) from (12Gi)",
            ".validRange.step: Invalid value: \"11Gi\": value is not a multiple of a given step (3Gi) from (12Gi)",
        ],
    );
    // Upstream divides by a step of nothing.
    check(
        json!({"default": "1", "validRange": {"min": "1", "step": "0"}}),
        &[".validRange.step: Invalid value: \"1\": value is not a multiple of a given step (0) from (1)"],
    );
}

#[test]
fn each_device_can_have_nodes_of_its_own() {
    let per_device = |device: Value| {
        slice(json!({"spec": {
            "nodeName": null, "perDeviceNodeSelection": true, "devices": [patched(json!({"name": "a"}), device)],
        }}))
    };
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to \
               true in the ResourceSlice spec";
    refuses(&RESOURCE, ALL, per_device(json!({"nodeName": "n1"})), &[]);
    refuses(&RESOURCE, ALL, per_device(json!({})), &[&format!("spec.devices[0]: Required value: {one}")]);
    refuses(
        &RESOURCE,
        ALL,
        per_device(json!({"nodeName": "n1", "allNodes": true})),
        &[&format!("spec.devices[0]: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}")],
    );
    refuses(
        &RESOURCE,
        ALL,
        devices(json!([{"name": "a", "allNodes": true}])),
        &["spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if \
             `perDeviceNodeSelection` is set to true in the ResourceSlice spec"],
    );
}

#[test]
fn taints_counters_and_conditions_are_well_formed() {
    let taints = vec![json!({"key": "k", "effect": "None"}); 17];
    let consumption = |set: &str| json!({"counterSet": set, "counters": {"c": {"value": "1"}}});
    refuses(
        &RESOURCE,
        ALL,
        devices(json!([
            {"name": "a", "taints": taints},
            {"name": "b", "taints": [{"key": "k"}], "consumesCounters": [consumption("s"), consumption("s")]},
            {"name": "c", "consumesCounters": [{"counterSet": "", "counters": {}}], "bindingFailureConditions": ["f"]},
            {"name": "d", "consumesCounters": [consumption("s"), consumption("t"), consumption("u")]},
        ])),
        &[
            "spec.devices[0].taints: Too many: 17: must have at most 16 items",
            "spec.devices[1].taints[0].effect: Required value",
            "spec.devices[1].consumesCounters[1]: Duplicate value: \"s\"",
            "spec.devices[2].consumesCounters[0].counterSet: Required value",
            "spec.devices[2].consumesCounters[0].counters: Required value",
            "spec.devices[2].bindingConditions: Invalid value: null: bindingConditions are required to use \
             bindingFailureConditions",
            "spec.devices[3].consumesCounters: Too many: 3: must have at most 2 items",
        ],
    );
}

#[test]
fn what_is_behind_a_gate_goes_unless_it_is_in_use() {
    let full = slice(json!({"spec": {"sharedCounters": [{"name": "s"}], "perDeviceNodeSelection": true, "devices": [{
        "name": "a", "taints": [{"key": "k", "effect": "None", "timeAdded": "2026-01-01T00:00:00Z"}],
        "consumesCounters": [{"counterSet": "s"}], "nodeName": "n", "allNodes": true,
        "bindsToNode": true, "bindingConditions": ["b"], "bindingFailureConditions": ["f"],
        "allowMultipleAllocations": true, "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}},
    }]}}));
    let (bare, _) = created(&RESOURCE, "", full.clone());
    let want = slice(json!({
        "metadata": {"generation": 1},
        "spec": {"devices": [{"name": "a", "capacity": {"m": {"value": "1"}}}]},
    }));
    assert_eq!(bare, value(want));
    let (kept, _) = updated(&RESOURCE, RESOURCE.strategy, "", full.clone(), full.clone());
    assert_eq!(kept.get("spec"), value(full.clone()).get("spec"));
    assert_eq!(created(&RESOURCE, ALL, full.clone()).0.get("spec"), value(full).get("spec"));
}

/// Empty lists passed as none, which upstream tells from one.
#[test]
fn counters_and_devices_do_not_go_together_even_if_empty() {
    let refused = "spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed";
    let sets = json!([{"name": "s", "counters": {"c": {"value": "1"}}}]);
    for (gates, counters, devices, want) in [
        (ALL, sets.clone(), json!([]), Some(refused)),
        (ALL, json!([]), json!([{"name": "a"}]), Some(refused)),
        (ALL, sets.clone(), Value::Null, None),
        (ALL, Value::Null, json!([{"name": "a"}]), None),
        ("", json!([]), json!([{"name": "a"}]), None),
        ("", sets, json!([{"name": "a"}]), None),
    ] {
        let sent = slice(json!({"spec": {"sharedCounters": counters, "devices": devices}}));
        assert_eq!(created(&RESOURCE, gates, sent.clone()).1, Vec::from_iter(want), "{gates} {sent}");
    }
}

#[test]
fn drivers_are_in_lower_case() {
    let cx = context("v1");
    let upper = value(slice(json!({"spec": {"driver": "GPU.example.com"}})));
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&cx, &upper),
        ["spec.driver: driver names should be lowercase; \"GPU.example.com\" contains uppercase characters"]
    );
    assert_eq!(RESOURCE.strategy.warnings_on_update(&cx, &value(slice(json!({}))), &upper), [""; 0]);
}

#[test]
fn a_row_shows_whose_devices_these_are() {
    assert_eq!(row(&RESOURCE, slice(json!({}))), ["n1-gpu", "n1", "gpu.example.com", "n1", "<unknown>"]);
    assert_eq!(row(&RESOURCE, slice(json!({"spec": {"nodeName": null}})))[1], "<unset>");
}
