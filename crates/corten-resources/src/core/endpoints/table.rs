//! Columns of endpoints.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Endpoints", "Addresses with ports, the first few."), Column::AGE],
    row: |object, cx| {
        // Endpoints of which none is ready show nothing at all.
        let has_subsets = !object.items_at(&["subsets"]).is_empty();
        let shown = if has_subsets { show::first_three(&addresses(object)) } else { show::NONE.to_owned() };
        vec![show::name(object), shown.into(), show::age(object, cx)]
    },
    conditions: None,
};

fn addresses(endpoints: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for subset in endpoints.items_at(&["subsets"]) {
        let ips = || subset.items_at(&["addresses"]).iter().filter_map(|address| address.str_at(&["ip"]));
        let ports = subset.items_at(&["ports"]);
        if ports.is_empty() {
            all.extend(ips().map(ToOwned::to_owned));
        }
        for port in ports.iter().map(|port| port.i64_at(&["port"]).unwrap_or_default()) {
            all.extend(
                ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }),
            );
        }
    }
    all
}
