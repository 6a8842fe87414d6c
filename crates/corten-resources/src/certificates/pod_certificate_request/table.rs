//! Columns of pod certificate requests.

use corten_apimachinery::resource::{Column, TableDefinition};

use super::validation::OUTCOMES;
use crate::{show, tree::text_at};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("PodName", "The pod that needs the certificate."),
        Column::text("ServiceAccountName", "The account that it runs as."),
        Column::text("NodeName", "The node that it runs on."),
        Column::text("SignerName", "Who is asked to sign."),
        Column::text("State", "What has become of it."),
    ],
    row: |request, _cx| {
        let conditions = request.items_at(&["status", "conditions"]);
        let state = conditions.iter().map(|condition| text_at(condition, &["type"])).rfind(|ty| OUTCOMES.contains(ty));
        let text = |field: &str| show::text(request, &["spec", field]);
        vec![
            show::name(request),
            text("podName"),
            text("serviceAccountName"),
            text("nodeName"),
            text("signerName"),
            state.unwrap_or("Pending").into(),
        ]
    },
    conditions: None,
    rank: None,
};
