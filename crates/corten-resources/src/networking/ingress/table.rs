//! Columns of ingresses.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Class", "Which controller it is for."),
        Column::text("Hosts", "The hosts that it answers for."),
        Column::text("Address", "Where it can be reached."),
        Column::text("Ports", "On which ports."),
        Column::AGE,
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(ingress: &Value, cx: &RowContext) -> Vec<Cell> {
    let has_tls = !ingress.items_at(&["spec", "tls"]).is_empty();
    vec![
        show::name(ingress),
        ingress.str_at(&["spec", "ingressClassName"]).unwrap_or(show::NONE).into(),
        hosts(ingress).into(),
        addresses(ingress).into(),
        if has_tls { "80, 443" } else { "80" }.into(),
        show::age(ingress, cx),
    ]
}

/// The first three, and how many rules more there are.
fn hosts(ingress: &Value) -> String {
    let rules = ingress.items_at(&["spec", "rules"]);
    let mut shown = Vec::new();
    let mut has_more = false;
    for rule in rules {
        has_more |= shown.len() == show::LIST_SHOWN_MAX;
        shown.extend(rule.str_at(&["host"]).filter(|host| !has_more && !host.is_empty()));
    }
    if shown.is_empty() {
        return "*".to_owned();
    }
    let text = shown.join(",");
    if has_more { format!("{text} + {} more...", rules.len() - show::LIST_SHOWN_MAX) } else { text }
}

fn addresses(ingress: &Value) -> String {
    let points = ingress.items_at(&["status", "loadBalancer", "ingress"]);
    let of = |point: &'_ Value, field: &str| -> Option<String> {
        point.str_at(&[field]).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let all: BTreeSet<String> =
        points.iter().filter_map(|point| of(point, "ip").or_else(|| of(point, "hostname"))).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}
