//! The cell of a printer column: what its path finds, in the form of its type.

use super::{JsonPath, ParseError};
use crate::{
    codec::json,
    meta,
    resource::{Cell, RowContext},
    value::{Value, go_text},
};

/// The path of a printer column, and what its cells are.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnPath {
    path: JsonPath,
    ty: ColumnType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    String,
    Integer,
    Number,
    Boolean,
    Date,
    Other,
}

impl ColumnPath {
    /// The column with this `jsonPath` and `type`.
    ///
    /// Errors: why the path is none.
    pub fn new(json_path: &str, ty: &str) -> Result<Self, ParseError> {
        let ty = match ty {
            "string" => ColumnType::String,
            "integer" => ColumnType::Integer,
            "number" => ColumnType::Number,
            "boolean" => ColumnType::Boolean,
            "date" => ColumnType::Date,
            _ => ColumnType::Other,
        };
        Ok(Self { path: JsonPath::parse(&format!("{{{json_path}}}"), true)?, ty })
    }

    /// The cell of `object`; null where there is nothing to show, or nothing of the type.
    #[must_use]
    pub fn cell(&self, object: &Value, cx: &RowContext) -> Cell {
        let Ok(found) = self.path.find(object) else { return Value::Null };
        let Some(value) = found.first().and_then(|part| part.first()) else { return Value::Null };
        match (self.ty, &**value) {
            (ColumnType::String, value) => text(value),
            (ColumnType::Integer, Value::Int(number)) => (*number).into(),
            #[expect(clippy::cast_possible_truncation, reason = "a column of integers shows whole numbers")]
            (ColumnType::Integer, Value::Float(number)) => Value::Int(*number as i64),
            #[expect(clippy::cast_precision_loss, reason = "a column of numbers shows floating point numbers")]
            (ColumnType::Number, Value::Int(number)) => Value::Float(*number as f64),
            (ColumnType::Number, Value::Float(number)) => Value::Float(*number),
            (ColumnType::Boolean, Value::Bool(truth)) => (*truth).into(),
            (ColumnType::Date, Value::String(time)) if matches!(time.as_str(), "" | "null") => cx.age(None).into(),
            (ColumnType::Date, Value::String(time)) => match meta::parse_time(time) {
                Some(_) => cx.age(Some(time)).into(),
                None => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

/// A value as text: objects and lists as JSON, the rest as Go prints it.
fn text(value: &Value) -> Value {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Null => "<no value>".into(),
        Value::Array(_) | Value::Object(_) => String::from_utf8_lossy(&json::encode(value, None)).as_ref().into(),
        other => go_text(other).into(),
    }
}
