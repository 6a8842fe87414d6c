//! Columns of ingress classes.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Controller", "The controller of its ingresses."),
        Column::text("Parameters", "Where the controller finds more."),
        Column::AGE,
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(class: &Value, cx: &RowContext) -> Vec<Cell> {
    vec![show::name(class), show::text(class, &["spec", "controller"]), parameters(class).into(), show::age(class, cx)]
}

fn parameters(class: &Value) -> String {
    let Some(parameters) = class.at(&["spec", "parameters"]).filter(|parameters| !parameters.is_null()) else {
        return show::NONE.to_owned();
    };
    let text = |field: &str| parameters.str_at(&[field]).unwrap_or_default();
    let group = parameters.str_at(&["apiGroup"]).map(|group| format!(".{group}")).unwrap_or_default();
    format!("{}{group}/{}", text("kind"), text("name"))
}
