//! Text.
//!
//! Positions are counted in characters.
//!
//! Upstream: cel-go ext/strings.go, version 2 (v0.26.0).

mod format;

use super::{
    Function, Library, costs, overload,
    regexes::part,
    standard::{TEXT_BYTES_MAX, text_too_long},
    wrong_types,
};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Text, Value},
};

fn out_of_range(index: i64) -> EvalError {
    EvalError::failed(format!("index out of range: {index}"))
}

/// The byte at which the character `index` begins; the end of the text behind the last one.
fn byte_of(text: &str, index: i64) -> Result<usize, EvalError> {
    let at = usize::try_from(index).map_err(|_| out_of_range(index))?;
    text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(at).ok_or_else(|| out_of_range(index))
}

/// How many characters end before `byte`.
fn characters(text: &str, byte: usize) -> i64 {
    i64::try_from(text[..byte].chars().count()).unwrap_or(i64::MAX)
}

fn char_at<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), Value::Int(index)] = args else { return wrong_types() };
    context.work_on_text(text.len())?;
    let from = byte_of(text, *index)?;
    let length = text[from..].chars().next().map_or(0, char::len_utf8);
    part(context, text, from, from + length)
}

fn index_of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, sought, from) = match args {
        [Value::String(text), Value::String(sought)] => (text, sought, 0),
        [Value::String(text), Value::String(sought), Value::Int(from)] => (text, sought, *from),
        _ => return wrong_types(),
    };
    if sought.is_empty() {
        return Ok(Value::Int(from));
    }
    if from < 0 {
        return Err(out_of_range(from));
    }
    // Behind the end nothing is found, and that is no error.
    let Ok(start) = byte_of(text, from) else { return Ok(Value::Int(-1)) };
    Ok(Value::Int(text[start..].find(&**sought).map_or(-1, |at| characters(text, start + at))))
}

fn last_index_of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, sought, from) = match args {
        [Value::String(text), Value::String(sought)] => (text, sought, None),
        [Value::String(text), Value::String(sought), Value::Int(from)] => (text, sought, Some(*from)),
        _ => return wrong_types(),
    };
    let length = characters(text, text.len());
    if sought.is_empty() {
        return Ok(Value::Int(from.unwrap_or(length)));
    }
    let end = match from {
        None => text.len(),
        Some(from) if from < 0 => return Err(out_of_range(from)),
        Some(from) if from >= length => return Ok(Value::Int(-1)),
        // A match may begin where the search does.
        Some(from) => (byte_of(text, from)? + sought.len()).min(text.len()),
    };
    let end = text.floor_char_boundary(end);
    Ok(Value::Int(text[..end].rfind(&**sought).map_or(-1, |at| characters(text, at))))
}

fn join<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return wrong_types(),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        context.work(1)?;
        let Value::String(text) = &item else { return wrong_types() };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
        if joined.len() > TEXT_BYTES_MAX {
            return Err(text_too_long());
        }
    }
    context.make_text(joined.len())?;
    Ok(Value::string(joined))
}

fn lower_ascii<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    context.make_text(text.len())?;
    Ok(Value::string(text.to_ascii_lowercase()))
}

fn upper_ascii<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    context.make_text(text.len())?;
    Ok(Value::string(text.to_ascii_uppercase()))
}

fn replace<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, from, to, limit) = match args {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [Value::String(text), Value::String(from), Value::String(to), Value::Int(limit)] => (text, from, to, *limit),
        _ => return wrong_types(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // The empty text is found before each character and at the end.
    let mut replaced = String::new();
    let mut end = 0;
    for (at, found) in text.match_indices(&**from).take(limit) {
        context.work(1)?;
        replaced.push_str(&text[end..at]);
        replaced.push_str(to);
        end = at + found.len();
        if replaced.len() > TEXT_BYTES_MAX {
            return Err(text_too_long());
        }
    }
    replaced.push_str(&text[end..]);
    context.make_text(replaced.len())?;
    Ok(Value::string(replaced))
}

fn split<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return wrong_types(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let mut parts = Vec::new();
    let mut from = 0;
    while parts.len() + 1 < limit {
        context.make_items(1)?;
        let rest = &text[from..];
        let (end, next) = if separator.is_empty() {
            // Into characters, of which the last has nothing behind it.
            match rest.chars().next() {
                Some(first) if first.len_utf8() < rest.len() => (from + first.len_utf8(), from + first.len_utf8()),
                _ => break,
            }
        } else {
            match rest.find(&**separator) {
                Some(at) => (from + at, from + at + separator.len()),
                None => break,
            }
        };
        parts.push(part(context, text, from, end)?);
        from = next;
    }
    if !(separator.is_empty() && text.is_empty()) {
        parts.push(part(context, text, from, text.len())?);
    }
    Ok(Value::list(parts))
}

fn substring<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return wrong_types(),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(EvalError::failed(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = byte_of(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| byte_of(text, end))?;
    part(context, text, from, to)
}

fn trim<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    let start = text.len() - text.trim_start().len();
    part(context, text, start, start + text[start..].trim_end().len())
}

fn quote<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    if quoted.len() > TEXT_BYTES_MAX {
        return Err(text_too_long());
    }
    context.make_text(quoted.len())?;
    Ok(Value::String(Text::from(quoted)))
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "charAt",
        cost: &costs::STANDARD,
        overloads: &[overload("string_char_at_int", "string.(int): string", char_at)],
    },
    Function {
        name: "indexOf",
        cost: &costs::TRAVERSAL,
        overloads: &[
            overload("string_index_of_string", "string.(string): int", index_of),
            overload("string_index_of_string_int", "string.(string, int): int", index_of),
        ],
    },
    Function {
        name: "lastIndexOf",
        cost: &costs::TRAVERSAL,
        overloads: &[
            overload("string_last_index_of_string", "string.(string): int", last_index_of),
            overload("string_last_index_of_string_int", "string.(string, int): int", last_index_of),
        ],
    },
    Function {
        name: "join",
        cost: &costs::JOIN,
        overloads: &[
            overload("list_join", "list(string).(): string", join),
            overload("list_join_string", "list(string).(string): string", join),
        ],
    },
    Function {
        name: "lowerAscii",
        cost: &costs::TEXT,
        overloads: &[overload("string_lower_ascii", "string.(): string", lower_ascii)],
    },
    Function {
        name: "upperAscii",
        cost: &costs::TEXT,
        overloads: &[overload("string_upper_ascii", "string.(): string", upper_ascii)],
    },
    Function {
        name: "replace",
        cost: &costs::REPLACE,
        overloads: &[
            overload("string_replace_string_string", "string.(string, string): string", replace),
            overload("string_replace_string_string_int", "string.(string, string, int): string", replace),
        ],
    },
    Function {
        name: "split",
        cost: &costs::SPLIT,
        overloads: &[
            overload("string_split_string", "string.(string): list(string)", split),
            overload("string_split_string_int", "string.(string, int): list(string)", split),
        ],
    },
    Function {
        name: "substring",
        cost: &costs::TEXT,
        overloads: &[
            overload("string_substring_int", "string.(int): string", substring),
            overload("string_substring_int_int", "string.(int, int): string", substring),
        ],
    },
    Function { name: "trim", cost: &costs::TEXT, overloads: &[overload("string_trim", "string.(): string", trim)] },
    Function {
        name: "strings.quote",
        cost: &costs::STANDARD,
        overloads: &[overload("strings_quote", "(string): string", quote)],
    },
    Function {
        name: "format",
        cost: &costs::STANDARD,
        overloads: &[overload("string_format", "string.(list(dyn)): string", format::format)],
    },
];

pub(super) static LIBRARY: Library = Library { name: "strings", types: &[], functions: &[FUNCTIONS] };
