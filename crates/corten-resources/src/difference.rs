//! What is different between two trees, for messages about fields that must not change.

use std::fmt::Write as _;

use corten_apimachinery::{Value, value::semantically_equal};

/// One line per difference: `- path: old` and `+ path: new`.
pub(crate) fn show(old: Option<&Value>, new: Option<&Value>) -> String {
    let mut out = String::new();
    walk("", old, new, &mut out);
    out
}

fn walk(path: &str, old: Option<&Value>, new: Option<&Value>, out: &mut String) {
    if semantically_equal(old, new) {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&str> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                walk(&path, a.get(key), b.get(key), out);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                walk(&format!("{path}[{index}]"), a.get(index), b.get(index), out);
            }
        }
        _ => {
            for (sign, value) in [('-', old), ('+', new)] {
                if let Some(value) = value {
                    let _ = writeln!(out, "{sign} {path}: {value:?}");
                }
            }
        }
    }
}
