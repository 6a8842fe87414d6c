//! Columns of claims.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Column, TableDefinition},
};

use crate::{resource::rules::lists::present, show};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("State", "How far it has come."), Column::AGE],
    row: |claim, cx| vec![show::name(claim), state(claim).into(), show::age(claim, cx)],
    conditions: None,
    rank: None,
};

fn state(claim: &Value) -> String {
    let mut words = Vec::new();
    let is_deleted = claim.deletion_timestamp().is_some();
    if is_deleted {
        words.push("deleted");
    }
    if claim.get("status").and_then(|status| present(status, "allocation")).is_none() {
        if !is_deleted {
            words.push("pending");
        }
    } else {
        words.push("allocated");
        if !claim.items_at(&["status", "reservedFor"]).is_empty() {
            words.push("reserved");
        }
    }
    words.join(",")
}
