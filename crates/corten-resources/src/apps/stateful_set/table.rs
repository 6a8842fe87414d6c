//! Columns of stateful sets.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many pods are ready, of how many there should be."),
        Column::AGE,
        Column::text("Containers", "The containers of its template.").wide(),
        Column::text("Images", "Their images.").wide(),
    ],
    row: |set, cx| {
        let number = |path: &[&str]| set.i64_at(path).unwrap_or_default();
        let (names, images) = show::containers_and_images(set.at(&["spec", "template"]));
        vec![
            show::name(set),
            format!("{}/{}", number(&["status", "readyReplicas"]), number(&["spec", "replicas"])).into(),
            show::age(set, cx),
            names.into(),
            images.into(),
        ]
    },
    conditions: None,
    rank: None,
};
