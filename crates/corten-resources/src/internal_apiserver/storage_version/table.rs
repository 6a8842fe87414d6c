//! Columns of storage versions.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::{show, tree::text_at};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("CommonEncodingVersion", "The form in which all servers store, if it is one."),
        Column::text("StorageVersions", "The form in which each server stores."),
        Column::AGE,
    ],
    row: |object, cx| {
        let servers = object.items_at(&["status", "storageVersions"]);
        let shown = servers
            .iter()
            .take(show::LIST_SHOWN_MAX)
            .map(|server| format!("{}={}", text_at(server, &["apiServerID"]), text_at(server, &["encodingVersion"])));
        vec![
            show::name(object),
            object.str_at(&["status", "commonEncodingVersion"]).unwrap_or(show::UNSET).into(),
            if servers.is_empty() {
                show::UNSET.into()
            } else {
                show::first_of(&shown.collect::<Vec<_>>(), servers.len()).into()
            },
            show::age(object, cx),
        ]
    },
    conditions: None,
    rank: None,
};
