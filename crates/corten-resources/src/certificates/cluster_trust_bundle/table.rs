//! Columns of cluster trust bundles.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::{show, tree::text_at};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("SignerName", "Whose authorities they are.")],
    row: |bundle, _cx| {
        let signer = text_at(bundle, &["spec", "signerName"]);
        vec![show::name(bundle), if signer.is_empty() { show::NONE } else { signer }.into()]
    },
    conditions: None,
    rank: None,
};
