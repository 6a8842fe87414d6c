//! Columns of endpoint slices.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The text of an empty list in a cell of this kind.
const UNSET: &str = "<unset>";

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("AddressType", "What kind of addresses it holds."),
        Column::text("Ports", "The ports of all of them."),
        Column::text("Endpoints", "The addresses, the first few."),
        Column::AGE,
    ],
    row: |slice, cx| {
        let or_unset = |items: Vec<String>| if items.is_empty() { UNSET.to_owned() } else { show::first_three(&items) };
        vec![
            show::name(slice),
            show::text(slice, &["addressType"]),
            or_unset(ports(slice)).into(),
            or_unset(addresses(slice)).into(),
            show::age(slice, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn ports(slice: &Value) -> Vec<String> {
    let show = |port: &Value| match (port.i64_at(&["port"]), port.str_at(&["name"])) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    slice.items_at(&["ports"]).iter().map(show).collect()
}

fn addresses(slice: &Value) -> Vec<String> {
    let endpoints = slice.items_at(&["endpoints"]).iter();
    endpoints
        .flat_map(|endpoint| endpoint.items_at(&["addresses"]))
        .filter_map(|address| address.as_str().map(ToOwned::to_owned))
        .collect()
}
