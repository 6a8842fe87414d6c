//! Columns of volume attachments.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::new("Attacher", "string", "name", "Who attaches."),
        Column::text("PV", "The volume."),
        Column::text("Node", "Where the volume is to be."),
        Column::new("Attached", "boolean", "", "Whether it is there."),
        Column::AGE,
    ],
    row: |attachment, cx| {
        vec![
            show::name(attachment),
            show::text(attachment, &["spec", "attacher"]),
            show::text(attachment, &["spec", "source", "persistentVolumeName"]),
            show::text(attachment, &["spec", "nodeName"]),
            attachment.bool_at(&["status", "attached"]).unwrap_or_default().into(),
            show::age(attachment, cx),
        ]
    },
    conditions: None,
    rank: None,
};
