//! Columns of daemon sets.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::integer("Desired", "How many nodes should run a pod."),
        Column::integer("Current", "How many of them have one."),
        Column::integer("Ready", "How many of them have one that is ready."),
        Column::integer("Up-to-date", "How many have one made from the current template."),
        Column::integer("Available", "How many have one that has been ready for long enough."),
        Column::text("Node Selector", "The labels of the nodes that are to run a pod."),
        Column::AGE,
        Column::text("Containers", "The containers of its template.").wide(),
        Column::text("Images", "Their images.").wide(),
        Column::text("Selector", "The labels of its pods.").wide(),
    ],
    row: |set, cx| {
        let (names, images) = show::containers_and_images(set.at(&["spec", "template"]));
        vec![
            show::name(set),
            show::number(set, &["status", "desiredNumberScheduled"]),
            show::number(set, &["status", "currentNumberScheduled"]),
            show::number(set, &["status", "numberReady"]),
            show::number(set, &["status", "updatedNumberScheduled"]),
            show::number(set, &["status", "numberAvailable"]),
            show::label_map(set.at(&["spec", "template", "spec", "nodeSelector"])).into(),
            show::age(set, cx),
            names.into(),
            images.into(),
            show::label_selector(set.at(&["spec", "selector"])).into(),
        ]
    },
    conditions: None,
    rank: None,
};
