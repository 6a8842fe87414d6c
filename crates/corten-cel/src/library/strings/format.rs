//! `format`: values into text, as clauses such as `%d` and `%.3f` say.
//!
//! Upstream: cel-go ext/formatting.go (v0.26.0).

use std::fmt::Write as _;

use crate::{
    error::EvalError,
    eval::{Context, DEPTH_MAX},
    library::{
        standard::{TEXT_BYTES_MAX, text_too_long},
        wrong_types,
    },
    value::Value,
};

/// More decimals than this are refused; a double has no more that mean anything.
const PRECISION_MAX: usize = 1_000;

/// What a clause has without a precision.
const PRECISION_DEFAULT: usize = 6;

fn wrong(message: impl std::fmt::Display) -> EvalError {
    EvalError::failed(format!("error during formatting: {message}"))
}

/// `text.format(values)`
pub(super) fn format<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), Value::List(values)] = args else { return wrong_types() };
    let mut out = String::new();
    let mut rest = &**text;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(rest)?;
        let clause =
            after.chars().next().ok_or_else(|| wrong("could not parse formatting clause: unexpected end of string"))?;
        rest = &after[clause.len_utf8()..];
        let value = values.get(next).ok_or_else(|| wrong(format!("index {next} out of range")))?;
        next += 1;
        write_clause(context, clause, precision, &value, &mut out)?;
        if out.len() > TEXT_BYTES_MAX {
            return Err(text_too_long());
        }
    }
    out.push_str(rest);
    context.make_text(out.len())?;
    Ok(Value::string(out))
}

fn precision(text: &str) -> Result<(usize, &str), EvalError> {
    let Some(after) = text.strip_prefix('.') else { return Ok((PRECISION_DEFAULT, text)) };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let number: usize = after[..digits].parse().map_err(|_| wrong("error while parsing precision"))?;
    if number > PRECISION_MAX {
        return Err(wrong("precision is too large"));
    }
    Ok((number, &after[digits..]))
}

fn write_clause(
    context: &mut Context<'_>,
    clause: char,
    precision: usize,
    value: &Value<'_>,
    out: &mut String,
) -> Result<(), EvalError> {
    let type_error = |clause: &str, wanted: &str| {
        let found = value.runtime_type();
        Err(wrong(format!("{clause} clause can only be used on {wanted}, was given {}", found.runtime_name())))
    };
    // Writing to a text cannot fail.
    let _ = match (clause, value) {
        ('s', value) => return plain(context, value, out, 0),
        ('d', Value::Int(number)) => write!(out, "{number}"),
        ('d', Value::Uint(number)) => write!(out, "{number}"),
        ('d' | 'f' | 'e', Value::Double(number)) if !number.is_finite() => write!(out, "{}", special(*number)),
        ('d', _) => return type_error("decimal", "integers"),
        ('f', Value::Double(number)) => write!(out, "{number:.precision$}"),
        ('f', Value::Int(number)) => write!(out, "{:.precision$}", *number as f64),
        ('f', Value::Uint(number)) => write!(out, "{:.precision$}", *number as f64),
        ('e', Value::Double(number)) => write!(out, "{}", scientific(*number, precision)),
        ('e', Value::Int(number)) => write!(out, "{}", scientific(*number as f64, precision)),
        ('e', Value::Uint(number)) => write!(out, "{}", scientific(*number as f64, precision)),
        ('f', Value::String(text)) if is_special(text) => write!(out, "{}", &**text),
        ('e', Value::String(text)) if is_special(text) => write!(out, "{}", &**text),
        ('f', _) => return type_error("fixed-point", "doubles"),
        ('e', _) => return type_error("scientific", "doubles"),
        ('b', Value::Int(number)) => signed(out, *number, |out, number| write!(out, "{number:b}")),
        ('b', Value::Uint(number)) => write!(out, "{number:b}"),
        ('b', Value::Bool(truth)) => write!(out, "{}", u8::from(*truth)),
        ('b', _) => return type_error("only integers and bools can be formatted as binary;", "integers and bools"),
        ('o', Value::Int(number)) => signed(out, *number, |out, number| write!(out, "{number:o}")),
        ('o', Value::Uint(number)) => write!(out, "{number:o}"),
        ('o', _) => return type_error("octal", "integers"),
        ('x', Value::Int(number)) => signed(out, *number, |out, number| write!(out, "{number:x}")),
        ('X', Value::Int(number)) => signed(out, *number, |out, number| write!(out, "{number:X}")),
        ('x', Value::Uint(number)) => write!(out, "{number:x}"),
        ('X', Value::Uint(number)) => write!(out, "{number:X}"),
        ('x' | 'X', Value::String(text)) => hex(out, text.as_bytes(), clause),
        ('x' | 'X', Value::Bytes(bytes)) => hex(out, &context.bytes(bytes)?, clause),
        ('x' | 'X', _) => return type_error("hex", "integers, byte buffers, and strings"),
        (other, _) => {
            let message = format!("could not parse formatting clause: unrecognized formatting clause \"{other}\"");
            return Err(wrong(message));
        }
    };
    Ok(())
}

fn signed(out: &mut String, number: i64, write: impl Fn(&mut String, u64) -> std::fmt::Result) -> std::fmt::Result {
    if number < 0 {
        out.push('-');
    }
    write(out, number.unsigned_abs())
}

fn hex(out: &mut String, bytes: &[u8], clause: char) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| if clause == 'x' { write!(out, "{byte:02x}") } else { write!(out, "{byte:02X}") })
}

fn is_special(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

fn special(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// One digit before the point, and an exponent of two digits or more.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// A value as `%s` writes it.
fn plain(context: &mut Context<'_>, value: &Value<'_>, out: &mut String, depth: usize) -> Result<(), EvalError> {
    context.work(1)?;
    if depth > DEPTH_MAX || out.len() > TEXT_BYTES_MAX {
        return Err(text_too_long());
    }
    let _ = match value {
        Value::Null => write!(out, "null"),
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Uint(number) => write!(out, "{number}"),
        Value::Double(number) if !number.is_finite() => write!(out, "{}", special(*number)),
        Value::Double(number) => write!(out, "{number}"),
        Value::String(text) => write!(out, "{}", &**text),
        Value::Bytes(bytes) => write!(out, "{}", String::from_utf8_lossy(&context.bytes(bytes)?)),
        Value::Timestamp(timestamp) => write!(out, "{timestamp}"),
        Value::Duration(duration) => write!(out, "{duration}"),
        Value::Type(of) => write!(out, "{}", of.runtime_name()),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                plain(context, &item, out, depth + 1)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.iter() {
                let mut text = String::new();
                plain(context, &key, &mut text, depth + 1)?;
                context.make_items(1)?;
                context.make_text(text.len())?;
                entries.push((text, value));
            }
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                let _ = write!(out, "{}{key}: ", if index > 0 { ", " } else { "" });
                plain(context, value, out, depth + 1)?;
            }
            out.push('}');
            Ok(())
        }
        Value::Optional(_) | Value::Opaque(_) => {
            let found = value.runtime_type();
            let message = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                           durations, and timestamps, was given";
            return Err(wrong(format!("{message} {}", found.runtime_name())));
        }
    };
    Ok(())
}
