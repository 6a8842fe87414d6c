//! Columns of classes of attributes.

use corten_apimachinery::{
    meta::ObjectMeta,
    resource::{Column, TableDefinition},
};

use crate::show;

/// What marks the class of volumes that name none.
const DEFAULT: &str = "volumeattributesclass.alpha.kubernetes.io/is-default-class";

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("DriverName", "Whose volumes can have it."), Column::AGE],
    row: |class, cx| {
        let is_default = class.annotation(DEFAULT) == Some("true");
        vec![
            if is_default { format!("{} (default)", class.name()).into() } else { show::name(class) },
            show::text(class, &["driverName"]),
            show::age(class, cx),
        ]
    },
    conditions: None,
    rank: None,
};
