use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row, value};

fn address(parent: Value) -> Value {
    let parent = patched(json!({"resource": "services", "namespace": "default", "name": "web"}), parent);
    json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": parent}})
}

#[test]
fn an_address_is_stored_as_sent() {
    let (object, errors) = created(&RESOURCE, address(json!({})));
    assert_eq!((object, errors), (value(address(json!({}))), Vec::new()));
}

#[test]
fn names_are_addresses_in_their_one_form() {
    let cases: [(&str, &[&str]); 6] = [
        ("10.0.0.1", &[]),
        ("fd00::1", &[]),
        ("fd00:0::1", &["must be in canonical form (\"fd00::1\")"]),
        ("010.0.0.1", &["must not have leading 0s"]),
        ("::ffff:10.0.0.1", &["must not be an IPv4-mapped IPv6 address"]),
        ("web", &["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ];
    for (name, want) in cases {
        assert_eq!(RESOURCE.strategy.validate_name(name, false), want, "{name}");
    }
}

#[test]
fn parents_are_checked() {
    let none = json!({"metadata": {"name": "10.0.0.1"}, "spec": {}});
    refuses(&RESOURCE, none, &["spec.parentRef: Required value"]);
    refuses(
        &RESOURCE,
        address(json!({"group": "gateway.networking.k8s.io", "resource": "gateways", "namespace": null})),
        &[],
    );
    refuses(
        &RESOURCE,
        address(json!({"resource": null, "name": "", "namespace": "a/b"})),
        &[
            "spec.parentRef.resource: Required value",
            "spec.parentRef.name: Required value",
            "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'",
        ],
    );
}

#[test]
fn the_parent_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        address(json!({})),
        address(json!({"name": "other"})),
        &["spec.parentRef: Invalid value: {\"Group\":\"\",\"Name\":\"other\",\"Namespace\":\"default\",\
             \"Resource\":\"services\"}: field is immutable"],
    );
}

#[test]
fn a_row_shows_the_parent() {
    assert_eq!(row(&RESOURCE, address(json!({}))), ["10.0.0.1", "services/default/web"]);
    let gateway = address(json!({"group": "g.io", "resource": "gateways", "namespace": null}));
    assert_eq!(row(&RESOURCE, gateway)[1], "gateways.g.io/web");
    assert_eq!(row(&RESOURCE, json!({"metadata": {"name": "1.1.1.1"}}))[1], "<none>");
}
