//! Columns of CSI drivers.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, TableDefinition},
};

use crate::show;

/// The text of a driver that asks for no tokens.
const UNSET: &str = "<unset>";

const fn truth(name: &'static str, description: &'static str) -> Column {
    Column::new(name, "boolean", "", description)
}

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        truth("AttachRequired", "Whether volumes are attached before they are mounted."),
        truth("PodInfoOnMount", "Whether the driver is told of the pod when it mounts."),
        truth("StorageCapacity", "Whether the scheduler looks at the capacity that the driver reports."),
        Column::text("TokenRequests", "For whom the driver gets tokens of the pod's service account."),
        truth("RequiresRepublish", "Whether the driver is called again for volumes that are mounted."),
        Column::text("Modes", "What volumes it can make."),
        Column::AGE,
    ],
    row: |driver, cx| {
        let is = |field: &str, default: bool| Cell::from(driver.bool_at(&["spec", field]).unwrap_or(default));
        vec![
            show::name(driver),
            is("attachRequired", true),
            is("podInfoOnMount", false),
            is("storageCapacity", false),
            tokens(driver).into(),
            is("requiresRepublish", false),
            modes(driver).into(),
            show::age(driver, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn tokens(driver: &Value) -> String {
    let requests = driver.items_at(&["spec", "tokenRequests"]);
    let audiences: Vec<&str> =
        requests.iter().map(|request| request.str_at(&["audience"]).unwrap_or_default()).collect();
    if audiences.is_empty() { UNSET.to_owned() } else { audiences.join(",") }
}

fn modes(driver: &Value) -> String {
    let modes: Vec<&str> =
        driver.items_at(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str).collect();
    if modes.is_empty() { show::NONE.to_owned() } else { modes.join(",") }
}
