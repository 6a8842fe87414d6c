//! Columns of network policies.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Pod-Selector", "The labels of the pods that it is for."), Column::AGE],
    row: |policy, cx| {
        vec![
            show::name(policy),
            show::label_selector(policy.at(&["spec", "podSelector"])).into(),
            show::age(policy, cx),
        ]
    },
    conditions: None,
    rank: None,
};
