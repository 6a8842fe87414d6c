//! Lists of typed objects as the text of an annotation.

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation, json},
};

/// The longest text that is read: what all annotations of an object may come to. A longer one is none of this server's.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The text of a list of objects of a type, their fields in declared order.
pub(super) fn write(items: impl Iterator<Item = Value>, type_name: &str) -> String {
    let table = types::table();
    let ty = table.find(type_name);
    let mut text = String::from("[");
    for (index, mut item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if let Some(ty) = ty {
            codec::canonicalize(&mut item, table, ty);
        }
        let bytes = json::encode(&item, ty.map(|ty| (table, ty)));
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    text.push(']');
    text
}

/// The objects in a text; `None` if it is no list of objects of this type.
pub(super) fn read(text: &str, type_name: &str) -> Option<Vec<Value>> {
    let list = parse(text)?;
    let items = match &list {
        Value::Array(items) => items.iter().map(|item| typed(item, type_name)).collect::<Option<Vec<_>>>()?,
        Value::Null => Vec::new(),
        _ => return None,
    };
    Some(items)
}

/// A text as a tree; `None` if it is none, or too long.
pub(super) fn parse(text: &str) -> Option<Value> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).ok().map(|decoded| decoded.value)
}

/// An object in the canonical form of its type; `None` if it does not fit.
pub(super) fn typed(item: &Value, type_name: &str) -> Option<Value> {
    let table = types::table();
    let bytes = json::encode(item, None);
    let decoded = json::decode(&bytes, Some((table, table.find(type_name)?)), FieldValidation::Ignore);
    decoded.ok().map(|decoded| decoded.value)
}
