//! Columns of storage classes.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Provisioner", "What makes its volumes."),
        Column::text("ReclaimPolicy", "What happens to a volume that is released."),
        Column::text("VolumeBindingMode", "When a claim gets its volume."),
        Column::text("AllowVolumeExpansion", "Whether its volumes can grow."),
        Column::AGE,
    ],
    row: |class, cx| {
        vec![
            if is_default(class) { format!("{} (default)", class.name()).into() } else { show::name(class) },
            show::text(class, &["provisioner"]),
            show::text(class, &["reclaimPolicy"]),
            show::text(class, &["volumeBindingMode"]),
            class.bool_at(&["allowVolumeExpansion"]).unwrap_or_default().into(),
            show::age(class, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn is_default(class: &Value) -> bool {
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        .iter()
        .any(|key| class.annotation(key) == Some("true"))
}
