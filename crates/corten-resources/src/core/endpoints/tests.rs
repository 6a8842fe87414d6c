use serde_json::json;

use super::RESOURCE;
use crate::testing::{created, refuses, row, value};

#[test]
fn a_port_is_of_tcp() {
    let (object, errors) =
        created(&RESOURCE, json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["subsets"])[0].items_at(&["ports"]), [value(json!({"port": 80, "protocol": "TCP"}))]);
}

#[test]
fn addresses_and_ports_are_checked() {
    refuses(
        &RESOURCE,
        json!({"subsets": [{"ports": [{"port": 1}, {"port": 0, "name": "a"}]}, {"addresses": [{"ip": "169.254.0.1"}]}]}),
        &[
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            "subsets[0].ports[0].name: Required value",
            "subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "subsets[1].addresses[0].ip: Invalid value: \"169.254.0.1\": may not be in the link-local range \
             (169.254.0.0/16, fe80::/10)",
        ],
    );
}

#[test]
fn a_row_shows_the_first_addresses() {
    let address = |n: u8| json!({"ip": format!("10.0.0.{n}")});
    let object = json!({
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [address(1), address(2)], "ports": [{"port": 80}, {"port": 90}]}],
    });
    assert_eq!(row(&RESOURCE, object), ["web", "10.0.0.1:80,10.0.0.2:80,10.0.0.1:90 + 1 more...", "<unknown>"]);
    assert_eq!(row(&RESOURCE, json!({"metadata": {"name": "web"}}))[1], "<none>");
}
