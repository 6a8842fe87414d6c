//! Columns of replication controllers.

use corten_apimachinery::resource::TableDefinition;

use crate::{
    apps::replica_set::table::{COLUMNS, row},
    show,
};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: COLUMNS,
    row: |controller, cx| row(controller, cx, show::label_map(controller.at(&["spec", "selector"]))),
    conditions: None,
    rank: None,
};
