//! Columns of validating admission policies.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::{admissionregistration::policy, show};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::integer("Validations", "How many rules it has."),
        Column::text("ParamKind", "The kind of the objects that parameterize it."),
        Column::AGE,
    ],
    row: |object, cx| {
        vec![
            show::name(object),
            show::count(object, &["spec", "validations"]).into(),
            policy::param_kind_cell(object),
            show::age(object, cx),
        ]
    },
    conditions: None,
    rank: None,
};
