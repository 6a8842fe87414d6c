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

/// What the one form would hold was not bounded: subsets of few addresses, put together in as many ways as there are ports.
#[test]
fn subsets_that_would_multiply_their_addresses_are_refused() {
    let subset = |number: u32| {
        let addresses: Vec<_> = (0..250).map(|n| json!({"ip": format!("10.0.{number}.{n}")})).collect();
        let port = |n: &u32| json!({"name": format!("p{n}"), "port": 1});
        let ports: Vec<_> = (1..1 << 9).filter(|n| n >> number & 1 == 1).map(|n| port(&n)).collect();
        json!({"addresses": addresses, "ports": ports})
    };
    let subsets: Vec<_> = (0..9).map(subset).collect();
    refuses(&RESOURCE, json!({"subsets": subsets}), &["subsets: Too many: 576000: must have at most 250000 items"]);
}

/// A text was made for each pair of address and port.
#[test]
fn a_row_counts_pairs_without_making_them() {
    let addresses: Vec<_> = (0..60_000).map(|_| json!({"ip": "10.0.0.1"})).collect();
    let ports: Vec<_> = (0..30_000).map(|_| json!({"port": 80})).collect();
    let object = json!({"metadata": {"name": "web"}, "subsets": [
        {"addresses": [{"ip": "fd00::1"}]},
        {"addresses": addresses, "ports": ports},
    ]});
    assert_eq!(row(&RESOURCE, object)[1], "fd00::1,10.0.0.1:80,10.0.0.1:80 + 1799999998 more...");
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
