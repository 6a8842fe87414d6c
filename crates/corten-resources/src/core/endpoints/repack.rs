//! The one form of the subsets: each set of addresses once, with all of its ports.
//!
//! Upstream: pkg/api/endpoints/util.go RepackSubsets (v1.35). It sorts ports by a hash; here they are sorted by name and number,
//! which only the order of equal objects shows.

use std::collections::BTreeMap;

use corten_apimachinery::Value;

/// What tells addresses apart: the address, and whose it is.
type AddressKey = (String, String);
/// The addresses of a port and whether each is ready.
type Addresses = BTreeMap<AddressKey, (Value, bool)>;
/// What tells ports apart, in the order in which they are written.
type PortKey = (String, i64, String, String);

/// What tells sets of addresses apart.
type SetKey = Vec<(AddressKey, bool)>;

/// Brings the subsets to their one form. An address that is both ready and not ready for a port is not ready.
pub(super) fn repack(endpoints: &mut Value) {
    // No port at all is a port of its own here: headless services have such endpoints.
    let mut by_port: BTreeMap<Option<PortKey>, (Value, Addresses)> = BTreeMap::new();
    for subset in endpoints.items_at(&["subsets"]) {
        let ports = subset.items_at(&["ports"]);
        let keyed: Vec<(Option<PortKey>, Value)> = if ports.is_empty() {
            vec![(None, Value::Null)]
        } else {
            ports.iter().map(|port| (Some(port_key(port)), port.clone())).collect()
        };
        for (key, port) in keyed {
            let (_, addresses) = by_port.entry(key).or_insert_with(|| (port, Addresses::new()));
            for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
                for address in subset.items_at(&[field]) {
                    let entry = addresses.entry(address_key(address)).or_insert_with(|| (address.clone(), ready));
                    entry.1 &= ready;
                }
            }
        }
    }
    let mut by_addresses: BTreeMap<SetKey, (Addresses, Vec<Value>)> = BTreeMap::new();
    for (port, addresses) in by_port.into_values() {
        let key = addresses.iter().map(|(key, (_, ready))| (key.clone(), *ready)).collect();
        let (_, ports) = by_addresses.entry(key).or_insert_with(|| (addresses, Vec::new()));
        if !port.is_null() {
            ports.push(port);
        }
    }
    let subsets: Vec<Value> = by_addresses.into_values().map(|(addresses, ports)| subset(&addresses, ports)).collect();
    if endpoints.items_at(&["subsets"]) != subsets {
        endpoints.set(&["subsets"], subsets);
    }
}

fn subset(addresses: &Addresses, ports: Vec<Value>) -> Value {
    let mut subset = Value::object();
    for (field, wanted) in [("addresses", true), ("notReadyAddresses", false)] {
        let of_kind = addresses.values().filter(|(_, ready)| *ready == wanted);
        let list: Vec<Value> = of_kind.map(|(address, _)| address.clone()).collect();
        if !list.is_empty() {
            subset.set(&[field], list);
        }
    }
    if !ports.is_empty() {
        subset.set(&["ports"], ports);
    }
    subset
}

fn text(object: &Value, path: &[&str]) -> String {
    object.str_at(path).unwrap_or_default().to_owned()
}

fn address_key(address: &Value) -> AddressKey {
    (text(address, &["ip"]), text(address, &["targetRef", "uid"]))
}

fn port_key(port: &Value) -> PortKey {
    (
        text(port, &["name"]),
        port.i64_at(&["port"]).unwrap_or_default(),
        text(port, &["protocol"]),
        text(port, &["appProtocol"]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::repack;
    use crate::testing::value;

    #[track_caller]
    fn check(subsets: Value, want: Value) {
        let mut endpoints = value(json!({"subsets": subsets}));
        repack(&mut endpoints);
        assert_eq!(endpoints, value(json!({"subsets": want})));
    }

    #[test]
    fn ports_of_the_same_addresses_come_together() {
        check(
            json!([
                {"addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}], "ports": [{"name": "b", "port": 2}]},
                {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"name": "a", "port": 1}]},
            ]),
            json!([{
                "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}],
            }]),
        );
    }

    #[test]
    fn not_ready_wins() {
        check(
            json!([{"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}]),
            json!([{"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}]),
        );
    }

    #[test]
    fn addresses_without_ports_stay_so() {
        let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}]}]);
        check(subsets.clone(), subsets);
    }
}
