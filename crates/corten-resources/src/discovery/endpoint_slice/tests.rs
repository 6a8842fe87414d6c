use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, patched, refuses, refuses_update, row, updated, value};

fn slice(patch: Value) -> Value {
    patched(
        json!({"metadata": {"name": "web-1"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}),
        patch,
    )
}

#[test]
fn a_port_is_of_tcp_and_without_a_name() {
    let (object, errors) = created(&RESOURCE, slice(json!({"ports": [{"port": 80}]})));
    assert_eq!(errors, [""; 0]);
    let port = &object.items_at(&["ports"])[0];
    assert_eq!((port.str_at(&["name"]), port.str_at(&["protocol"])), (Some(""), Some("TCP")));
    assert_eq!(object.generation(), 1);
}

#[test]
fn addresses_are_of_their_type() {
    refuses(
        &RESOURCE,
        slice(
            json!({"endpoints": [{"addresses": ["::1"]}, {"addresses": []}], "ports": [{"name": "a"}, {"name": "a"}]}),
        ),
        &[
            "endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address",
            "endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            "endpoints[1].addresses: Required value: must contain at least 1 address",
            "ports[1].name: Duplicate value: \"a\"",
        ],
    );
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        slice(json!({})),
        slice(json!({"addressType": "FQDN", "endpoints": [{"addresses": ["example.com"]}]})),
        &["addressType: Invalid value: \"FQDN\": field is immutable"],
    );
}

#[test]
fn nodes_have_names() {
    let odd = slice(json!({"endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "N"}]}));
    let (_, errors) = created(&RESOURCE, odd);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("endpoints[0].nodeName: Invalid value: \"N\": a lowercase RFC 1123"), "{errors:?}");
}

#[test]
fn labels_of_endpoints_become_fields_or_go() {
    let labelled =
        |node: &str| json!({"addresses": ["10.0.0.1"], "deprecatedTopology": {"kubernetes.io/hostname": node}});
    let (object, _) = created(&RESOURCE, slice(json!({"endpoints": [labelled("n1")]})));
    assert_eq!(object.items_at(&["endpoints"]), [value(json!({"addresses": ["10.0.0.1"]}))]);
    let old = slice(json!({"endpoints": [labelled("n1")]}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone());
    assert_eq!(same.items_at(&["endpoints"]), [value(labelled("n1"))]);
    let new = slice(json!({"endpoints": [labelled("n1"), labelled("n2")]}));
    let (other, _) = updated(&RESOURCE, RESOURCE.strategy, old, new);
    let want = json!([{"addresses": ["10.0.0.1"], "nodeName": "n1"}, {"addresses": ["10.0.0.1"]}]);
    assert_eq!(other.get("endpoints"), Some(&value(want)));
}

#[test]
fn odd_addresses_are_told() {
    let cx = context("discovery.k8s.io/v1");
    let warnings = |patch| RESOURCE.strategy.warnings_on_create(&cx, &value(slice(patch)));
    let named = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["example.com"]}]});
    assert_eq!(warnings(named), ["spec.addressType: FQDN endpoints are deprecated"]);
    let padded = json!({"endpoints": [{"addresses": ["010.0.0.1"]}]});
    assert_eq!(warnings(padded.clone()).len(), 1);
    let own =
        json!({"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}}});
    assert_eq!(warnings(patched(padded, own)), [""; 0]);
}

#[test]
fn a_change_makes_a_generation() {
    let old = slice(json!({"metadata": {"generation": 3}}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), slice(json!({})));
    let (other, _) =
        updated(&RESOURCE, RESOURCE.strategy, old, slice(json!({"endpoints": [{"addresses": ["10.0.0.2"]}]})));
    assert_eq!((same.generation(), other.generation()), (3, 4));
}

#[test]
fn a_row_shows_ports_and_addresses() {
    let object = slice(json!({"ports": [{"port": 80, "name": ""}]}));
    assert_eq!(row(&RESOURCE, object), ["web-1", "IPv4", "80", "10.0.0.1", "<unknown>"]);
    assert_eq!(row(&RESOURCE, slice(json!({"endpoints": null})))[2..4], ["<unset>", "<unset>"]);
}
