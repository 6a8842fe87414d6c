//! Columns of pod templates.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Containers", "The containers of its pods."),
        Column::text("Images", "Their images."),
        Column::text("Pod Labels", "The labels of its pods."),
    ],
    row: |object, _cx| {
        let (names, images) = show::containers_and_images(object.get("template"));
        vec![
            show::name(object),
            names.into(),
            images.into(),
            show::label_map(object.at(&["template", "metadata", "labels"])).into(),
        ]
    },
    conditions: None,
    rank: None,
};
