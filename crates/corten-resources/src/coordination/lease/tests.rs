use corten_apimachinery::{Features, Value, resource::Context};
use serde_json::json;

use super::RESOURCE;
use crate::testing::{context, features, refuses, refuses_update, row, value};

#[test]
fn a_lease_lasts() {
    refuses(&RESOURCE, json!({"spec": {"leaseDurationSeconds": 15, "holderIdentity": "a"}}), &[]);
    refuses(
        &RESOURCE,
        json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
}

/// They were errors, of values that upstream drops.
#[test]
fn without_the_gate_elections_of_the_control_plane_are_no_concern() {
    let lease = |patch: serde_json::Value| value(json!({"metadata": {"name": "l"}, "spec": patch}));
    let spec_of = |features: &Features, new: Value, old: Option<&Value>| {
        let cx = Context { features, ..context("v1") };
        let mut lease = new;
        match old {
            None => RESOURCE.strategy.prepare_for_create(&cx, &mut lease),
            Some(old) => RESOURCE.strategy.prepare_for_update(&cx, &mut lease, old),
        }
        lease.get("spec").cloned().unwrap()
    };
    let (off, on) = (features(""), features("CoordinatedLeaderElection=true"));
    let both = json!({"strategy": "OldestEmulationVersion", "preferredHolder": "b"});
    let (empty, full) = (value(json!({})), value(both.clone()));
    assert_eq!(spec_of(&off, lease(both.clone()), None), empty);
    assert_eq!(spec_of(&on, lease(both.clone()), None), full);
    assert_eq!(spec_of(&off, lease(both.clone()), Some(&lease(json!({})))), empty);
    assert_eq!(spec_of(&off, lease(both.clone()), Some(&lease(both.clone()))), full);
}

#[test]
fn a_holder_is_preferred_by_a_strategy() {
    let lease = |spec: serde_json::Value| json!({"metadata": {"name": "l"}, "spec": spec});
    let check = |spec: serde_json::Value, want: &[&str]| {
        let in_use = lease(json!({"strategy": "OldestEmulationVersion", "preferredHolder": "a"}));
        refuses_update(&RESOURCE, RESOURCE.strategy, in_use, lease(spec), want);
    };
    check(json!({"strategy": "example.com/mine", "preferredHolder": "b"}), &[]);
    check(
        json!({"preferredHolder": "b"}),
        &["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"],
    );
    check(
        json!({"strategy": "mine"}),
        &["spec.strategy.strategy: Unsupported value: \"mine\": supported values: \"OldestEmulationVersion\""],
    );
}

#[test]
fn a_row_shows_the_holder() {
    let lease = json!({"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1-kubelet"}});
    assert_eq!(row(&RESOURCE, lease), ["n1", "n1-kubelet", "<unknown>"]);
}
