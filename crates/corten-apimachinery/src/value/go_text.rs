//! A tree as Go prints it, which is what upstream's messages show.

use super::Value;
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
        Value::Float(number) => out.push_str(&float(*number)),
    }
}

/// The shortest digits that give the number again; with an exponent of at least two digits below 1e-4 and from 1e+06 on
/// (upstream: Go's `strconv.FormatFloat` with `g` and -1).
fn float(number: f64) -> String {
    let shortest = format!("{number:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    match exponent.parse::<i32>() {
        Ok(-4..=5) | Err(_) => number.to_string(),
        Ok(exponent) => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
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

    #[test]
    fn numbers_have_an_exponent_where_go_gives_them_one() {
        for (number, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
            (-1e100, "-1e+100"),
        ] {
            assert_eq!(go_text(&Value::Float(number)), text);
        }
    }
}
