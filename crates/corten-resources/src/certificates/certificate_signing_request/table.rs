//! Columns of certificate signing requests.

use std::time::Duration;

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition, human_age},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::AGE,
        Column::text("SignerName", "Who is asked to sign."),
        Column::text("Requestor", "Who asks."),
        Column::text("RequestedDuration", "For how long the certificate is to be valid."),
        Column::text("Condition", "What has become of it."),
    ],
    row: |request, cx| {
        let signer = request.str_at(&["spec", "signerName"]).filter(|name| !name.is_empty());
        let seconds = request.i64_at(&["spec", "expirationSeconds"]);
        let duration = seconds.map(|seconds| human_age(Duration::from_secs(seconds.max(0).unsigned_abs())));
        vec![
            show::name(request),
            show::age(request, cx),
            signer.unwrap_or(show::NONE).into(),
            show::text(request, &["spec", "username"]),
            duration.unwrap_or_else(|| show::NONE.to_owned()).into(),
            condition(request).into(),
        ]
    },
    conditions: None,
    rank: None,
};

fn condition(request: &Value) -> String {
    let conditions = request.items_at(&["status", "conditions"]);
    let has = |ty: &str| conditions.iter().any(|condition| condition.str_at(&["type"]) == Some(ty));
    let mut words = vec![match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }];
    if has("Failed") {
        words.push("Failed");
    }
    if request.str_at(&["status", "certificate"]).is_some_and(|certificate| !certificate.is_empty()) {
        words.push("Issued");
    }
    words.join(",")
}
