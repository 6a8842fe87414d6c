//! Columns of replica sets, which are those of replication controllers, too.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: COLUMNS,
    row: |set, cx| row(set, cx, show::label_selector(set.at(&["spec", "selector"]))),
    conditions: None,
    rank: None,
};

/// What is told of each.
pub(crate) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer("Desired", "How many pods there should be."),
    Column::integer("Current", "How many there are."),
    Column::integer("Ready", "How many are ready."),
    Column::AGE,
    Column::text("Containers", "The containers of its template.").wide(),
    Column::text("Images", "Their images.").wide(),
    Column::text("Selector", "The labels of its pods.").wide(),
];

/// The cells of one, whose selector is shown as `selector`.
pub(crate) fn row(object: &Value, cx: &RowContext, selector: String) -> Vec<Cell> {
    let (names, images) = show::containers_and_images(object.at(&["spec", "template"]));
    vec![
        show::name(object),
        show::number(object, &["spec", "replicas"]),
        show::number(object, &["status", "replicas"]),
        show::number(object, &["status", "readyReplicas"]),
        show::age(object, cx),
        names.into(),
        images.into(),
        selector.into(),
    ]
}
