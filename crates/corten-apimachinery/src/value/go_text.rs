//! A tree as Go prints it, which is what upstream's messages show.

use super::{
    Value,
    go_float::{G, go_float},
};
use crate::stack;

/// A value as Go's `%v` prints it.
#[must_use]
pub fn go_text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    stack::with_room(|| write_here(out, value));
}

fn write_here(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { " " } else { "" });
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.iter().enumerate() {
                out.push_str(if at > 0 { " " } else { "" });
                out.push_str(key);
                out.push(':');
                write(out, item);
            }
            out.push(']');
        }
        Value::Raw(raw) => write(out, &raw.tree()),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&go_float(*number, G, 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_shown_in_brackets() {
        let tree = Value::object_of([
            ("b", Value::array([Value::Int(1), Value::Bool(true)])),
            ("a", Value::object_of([("c", Value::Null)])),
        ]);
        assert_eq!(go_text(&tree), "map[a:map[c:<nil>] b:[1 true]]");
    }
}
