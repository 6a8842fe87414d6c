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
/// What tells ports apart, in the order in which they are written. No port at all is a port of its own: headless services
/// have such endpoints.
type PortKey = Option<(String, i64, String, String)>;
/// Ports in their order.
type Ports = BTreeMap<PortKey, Value>;

/// What tells sets of addresses apart.
type SetKey = Vec<(AddressKey, bool)>;

/// Brings the subsets to their one form. An address that is both ready and not ready for a port is not ready.
pub(super) fn repack(endpoints: &mut Value) {
    let subsets = endpoints.items_at(&["subsets"]);
    let mut by_addresses: BTreeMap<SetKey, (Addresses, Ports)> = BTreeMap::new();
    for (members, ports) in ports_together(subsets) {
        let mut addresses = Addresses::new();
        for subset in members.into_iter().map(|index| &subsets[index]) {
            for (field, ready) in FIELDS {
                for address in subset.items_at(&[field]) {
                    let entry = addresses.entry(address_key(address)).or_insert_with(|| (address.clone(), ready));
                    entry.1 &= ready;
                }
            }
        }
        let key = addresses.iter().map(|(key, (_, ready))| (key.clone(), *ready)).collect();
        by_addresses.entry(key).or_insert_with(|| (addresses, Ports::new())).1.extend(ports);
    }
    let packed: Vec<Value> = by_addresses.into_values().map(|(addresses, ports)| subset(&addresses, ports)).collect();
    if subsets != packed {
        endpoints.set(&["subsets"], packed);
    }
}

/// About how many addresses the one form has: each subset's once for each set of ports that it has part in.
pub(super) fn addresses_repacked(endpoints: &Value) -> usize {
    let subsets = endpoints.items_at(&["subsets"]);
    let lens: Vec<usize> =
        subsets.iter().map(|subset| FIELDS.iter().map(|(field, _)| subset.items_at(&[field]).len()).sum()).collect();
    let of_members = |members: &Vec<usize>| members.iter().map(|&index| lens[index]).sum::<usize>();
    ports_together(subsets).keys().map(of_members).sum()
}

/// Where a subset has addresses, and whether they are ready there.
const FIELDS: [(&str, bool); 2] = [("addresses", true), ("notReadyAddresses", false)];

/// The ports that are in the same subsets, by the places of these: they have the same addresses, which are gathered once for
/// all of them. A subset can have tens of thousands of both.
fn ports_together(subsets: &[Value]) -> BTreeMap<Vec<usize>, Ports> {
    let mut by_port: BTreeMap<PortKey, (Value, Vec<usize>)> = BTreeMap::new();
    for (index, subset) in subsets.iter().enumerate() {
        let mut add = |key: PortKey, port: &Value| {
            let (_, members) = by_port.entry(key).or_insert_with(|| (port.clone(), Vec::new()));
            if members.last() != Some(&index) {
                members.push(index);
            }
        };
        let ports = subset.items_at(&["ports"]);
        if ports.is_empty() {
            add(None, &Value::Null);
        }
        ports.iter().for_each(|port| add(Some(port_key(port)), port));
    }
    let mut together: BTreeMap<Vec<usize>, Ports> = BTreeMap::new();
    for (key, (port, members)) in by_port {
        together.entry(members).or_default().insert(key, port);
    }
    together
}

fn subset(addresses: &Addresses, ports: Ports) -> Value {
    let mut subset = Value::object();
    for (field, wanted) in FIELDS {
        let of_kind = addresses.values().filter(|(_, ready)| *ready == wanted);
        let list: Vec<Value> = of_kind.map(|(address, _)| address.clone()).collect();
        if !list.is_empty() {
            subset.set(&[field], list);
        }
    }
    let ports: Vec<Value> = ports.into_iter().filter_map(|(key, port)| key.map(|_| port)).collect();
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

fn port_key(port: &Value) -> (String, i64, String, String) {
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

    use super::{addresses_repacked, repack};
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

    /// Each port had a map of its own with all addresses: 30,000 ports of 60,000 addresses were more than any memory.
    #[test]
    fn many_ports_of_many_addresses_are_packed_as_one() {
        const MANY: i64 = 30_000;
        let addresses: Vec<Value> = (0..MANY)
            .map(|n| json!({"ip": format!("10.{}.{:03}.{:03}", 10 + n / 65_536, n / 256 % 256, n % 256)}))
            .collect();
        let ports: Vec<Value> = (0..MANY).map(|n| json!({"name": format!("p{n:05}"), "port": 1})).collect();
        let halves = addresses.split_at(addresses.len() / 2);
        let subset = |addresses: &[Value], ports: &[Value]| json!({"addresses": addresses, "ports": ports});
        let mut endpoints = value(json!({"subsets": [subset(halves.0, &ports), subset(halves.1, &ports)]}));
        assert_eq!(addresses_repacked(&endpoints), addresses.len());
        repack(&mut endpoints);
        let packed = endpoints.items_at(&["subsets"]);
        assert_eq!(packed.len(), 1);
        assert_eq!(packed[0].items_at(&["addresses"]).len(), addresses.len());
        assert_eq!(packed[0].items_at(&["ports"]).len(), ports.len());
    }

    #[test]
    fn ports_of_different_subsets_have_the_addresses_of_all_of_theirs() {
        check(
            json!([
                {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
                {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "b", "port": 2}, {"name": "c", "port": 3}]},
            ]),
            json!([
                {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 1}]},
                {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"name": "b", "port": 2}]},
                {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "c", "port": 3}]},
            ]),
        );
    }

    #[test]
    fn addresses_without_ports_stay_so() {
        let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}]}]);
        check(subsets.clone(), subsets);
    }
}
