use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row, updated};

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
