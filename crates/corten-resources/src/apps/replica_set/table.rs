//! Columns of replica sets.

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
    row: |set, cx| {
        let (names, images) = show::containers_and_images(set.at(&["spec", "template"]));
        vec![
            show::name(set),
            show::number(set, &["spec", "replicas"]),
            show::number(set, &["status", "replicas"]),
            show::number(set, &["status", "readyReplicas"]),
            show::age(set, cx),
            names.into(),
            images.into(),
            show::label_selector(set.at(&["spec", "selector"])).into(),
        ]
    },
    conditions: None,
    rank: None,
};
