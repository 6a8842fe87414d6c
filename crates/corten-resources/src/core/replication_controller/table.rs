//! Columns of replication controllers.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::integer("Desired", "How many pods there should be."),
        Column::integer("Current", "How many there are."),
        Column::integer("Ready", "How many are ready."),
        Column::AGE,
        Column::text("Containers", "The containers of its template.").wide(),
        Column::text("Images", "Their images.").wide(),
        Column::text("Selector", "The labels of its pods.").wide(),
    ],
    row: |controller, cx| {
        let (names, images) = show::containers_and_images(controller.at(&["spec", "template"]));
        vec![
            show::name(controller),
            show::number(controller, &["spec", "replicas"]),
            show::number(controller, &["status", "replicas"]),
            show::number(controller, &["status", "readyReplicas"]),
            show::age(controller, cx),
            names.into(),
            images.into(),
            show::label_map(controller.at(&["spec", "selector"])).into(),
        ]
    },
    conditions: None,
    rank: None,
};
