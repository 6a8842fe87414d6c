//! Columns of roles and of bindings.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns of bindings.
pub(super) static BINDING: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Role", "The role that is granted."),
        Column::AGE,
        Column::text("Users", "The users it is granted to.").wide(),
        Column::text("Groups", "The groups it is granted to.").wide(),
        Column::text("ServiceAccounts", "The service accounts it is granted to.").wide(),
    ],
    row: binding,
    conditions: None,
    rank: None,
};

fn binding(binding: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |field: &str| binding.str_at(&["roleRef", field]).unwrap_or_default();
    let subjects = |kind: &str| {
        let of_kind = binding.items_at(&["subjects"]).iter().filter(|subject| subject.str_at(&["kind"]) == Some(kind));
        let names: Vec<String> = of_kind
            .map(|subject| {
                let text = |field: &str| subject.str_at(&[field]).unwrap_or_default();
                if kind == "ServiceAccount" {
                    format!("{}/{}", text("namespace"), text("name"))
                } else {
                    text("name").to_owned()
                }
            })
            .collect();
        Cell::from(names.join(", "))
    };
    vec![
        show::name(binding),
        format!("{}/{}", text("kind"), text("name")).into(),
        show::age(binding, cx),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
