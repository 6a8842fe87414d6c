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
        let (first, count) = addresses(object);
        let shown = if has_subsets { show::first_of(&first, count) } else { show::NONE.to_owned() };
        vec![show::name(object), shown.into(), show::age(object, cx)]
    },
    conditions: None,
    rank: None,
};

/// The first few addresses with their ports, and how many there are: a text for each would be made to show three.
fn addresses(endpoints: &Value) -> (Vec<String>, usize) {
    let (mut shown, mut count) = (Vec::new(), 0_usize);
    for subset in endpoints.items_at(&["subsets"]) {
        let addresses = subset.items_at(&["addresses"]);
        let ips = || addresses.iter().filter_map(|address| address.str_at(&["ip"]));
        let ports = subset.items_at(&["ports"]);
        count = count.saturating_add(addresses.len().saturating_mul(ports.len().max(1)));
        if ports.is_empty() {
            shown.extend(ips().take(show::LIST_SHOWN_MAX - shown.len()).map(ToOwned::to_owned));
        }
        let ports = ports.iter().map(|port| port.i64_at(&["port"]).unwrap_or_default());
        let with_ports = ports.flat_map(|port| {
            ips().map(move |ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
        });
        let room = show::LIST_SHOWN_MAX - shown.len();
        shown.extend(with_ports.take(room));
    }
    (shown, count)
}
