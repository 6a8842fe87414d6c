use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{refuses, refuses_update, row};

fn node(drivers: Value) -> Value {
    json!({"metadata": {"name": "n1"}, "spec": {"drivers": drivers}})
}

#[test]
fn a_node_names_each_driver_once() {
    refuses(
        &RESOURCE,
        node(json!([{"name": "d", "nodeID": "x".repeat(256), "topologyKeys": ["example.com/zone"]}])),
        &[],
    );
    let long = "x".repeat(257);
    refuses(
        &RESOURCE,
        node(json!([
            {"name": "", "nodeID": ""},
            {"name": "d", "nodeID": long, "allocatable": {"count": -1}},
            {"name": "d", "nodeID": "n1", "topologyKeys": ["a", "a", "!"]},
        ])),
        &[
            "spec.drivers[0].name: Required value",
            "spec.drivers[0].nodeID: Required value",
            &format!("spec.drivers[1].nodeID: Invalid value: \"{long}\": must be 256 characters or less"),
            "spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[2].name: Duplicate value: \"d\"",
            "spec.drivers[2]: Duplicate value: \"a\"",
            "spec.drivers[2]: Invalid value: \"!\": name part must consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
             validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    );
}

#[test]
fn a_driver_changes_only_how_many_volumes_fit() {
    let driver =
        |name: &str, id: &str, count: i64| json!({"name": name, "nodeID": id, "allocatable": {"count": count}});
    let old = node(json!([driver("a", "1", 1), driver("b", "2", 2)]));
    let new = |changed: Value| node(json!([driver("c", "3", 3), changed]));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), new(driver("a", "1", 9)), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old,
        new(driver("b", "x", 2)),
        &[
            "spec.drivers: Invalid value: {\"Name\":\"b\",\"NodeID\":\"x\",\"TopologyKeys\":null,\"Allocatable\":null}: \
           field is immutable",
        ],
    );
}

#[test]
fn a_row_counts_the_drivers() {
    assert_eq!(row(&RESOURCE, node(json!([{"name": "a"}, {"name": "b"}]))), ["n1", "2", "<unknown>"]);
}
