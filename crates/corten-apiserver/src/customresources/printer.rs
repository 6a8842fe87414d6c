//! How custom resources print: their name, and the columns that the definition asks for.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor (v1.35).

use corten_apimachinery::{
    Value,
    json_path::ColumnPath,
    meta::ObjectMeta as _,
    resource::{Cell, Column, Printer, RowContext},
    value::Str,
};

/// The columns of one version.
#[derive(Debug)]
pub(super) struct CustomPrinter {
    columns: Vec<Column>,
    /// The paths of the columns behind the name.
    paths: Vec<ColumnPath>,
}

impl CustomPrinter {
    /// The columns of `wanted` (`additionalPrinterColumns`); the age, if it asks for none. One whose path is none is left
    /// out: validation refuses those.
    pub(super) fn new(wanted: &[Value]) -> Self {
        let mut printer = Self { columns: vec![Column::NAME], paths: Vec::new() };
        if wanted.is_empty() {
            // Upstream's text names the type's documentation.
            let what = "CreationTimestamp is a timestamp representing the server time when this object was created.";
            printer.add(Column::new("Age", "date", "", what), ".metadata.creationTimestamp");
        }
        for column in wanted {
            let text = |field: &str| Str::from(column.str_at(&[field]).unwrap_or_default());
            let path = column.str_at(&["jsonPath"]).unwrap_or_default();
            let description = match text("description") {
                given if given.is_empty() => {
                    format!("Custom resource definition column (in JSONPath format): {path}").into()
                }
                given => given,
            };
            let shown = Column {
                name: text("name"),
                ty: text("type"),
                format: text("format"),
                description,
                priority: column.i64_at(&["priority"]).and_then(|at| i32::try_from(at).ok()).unwrap_or_default(),
            };
            printer.add(shown, path);
        }
        printer
    }

    fn add(&mut self, column: Column, path: &str) {
        if let Ok(path) = ColumnPath::new(path, &column.ty) {
            self.columns.push(column);
            self.paths.push(path);
        }
    }
}

impl Printer for CustomPrinter {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn row(&self, object: &Value, cx: &RowContext) -> Vec<Cell> {
        let name = Value::from(object.name());
        std::iter::once(name).chain(self.paths.iter().map(|path| path.cell(object, cx))).collect()
    }
}
