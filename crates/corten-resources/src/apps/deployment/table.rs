//! Columns of deployments.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many pods are ready, of how many there should be."),
        Column::text("Up-to-date", "How many are made from the current template."),
        Column::text("Available", "How many have been ready for long enough."),
        Column::AGE,
        Column::text("Containers", "The containers of its template.").wide(),
        Column::text("Images", "Their images.").wide(),
        Column::text("Selector", "The labels of its pods.").wide(),
    ],
    row: |deployment, cx| {
        let number = |path: &[&str]| deployment.i64_at(path).unwrap_or_default();
        let (names, images) = show::containers_and_images(deployment.at(&["spec", "template"]));
        vec![
            show::name(deployment),
            format!("{}/{}", number(&["status", "readyReplicas"]), number(&["spec", "replicas"])).into(),
            number(&["status", "updatedReplicas"]).into(),
            number(&["status", "availableReplicas"]).into(),
            show::age(deployment, cx),
            names.into(),
            images.into(),
            show::label_selector(deployment.at(&["spec", "selector"])).into(),
        ]
    },
    conditions: None,
    rank: None,
};
