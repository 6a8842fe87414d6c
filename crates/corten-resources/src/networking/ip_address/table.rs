//! Columns of IP addresses.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("ParentRef", "What has the address.")],
    row: |address, _cx| vec![show::name(address), parent(address).into()],
    conditions: None,
    rank: None,
};

/// `resource.group/namespace/name`.
fn parent(address: &Value) -> String {
    let Some(parent) = address.at(&["spec", "parentRef"]).filter(|parent| !parent.is_null()) else {
        return show::NONE.to_owned();
    };
    let text = |field: &str| parent.str_at(&[field]).unwrap_or_default();
    let mut shown = text("resource").to_lowercase();
    if !text("group").is_empty() {
        shown = format!("{shown}.{}", text("group").to_lowercase());
    }
    if !text("namespace").is_empty() {
        shown = format!("{shown}/{}", text("namespace"));
    }
    format!("{shown}/{}", text("name"))
}
