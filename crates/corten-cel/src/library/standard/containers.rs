//! Size, membership, indexes, and what macros with two variables need.
//!
//! Upstream: cel-go common/stdlib/standard.go, ext/comprehensions.go (v0.26.0).

use super::{function, not_called};
use crate::{
    error::EvalError,
    eval::Context,
    library::{Function, overload, wrong_types},
    value::{Value, equal},
};

fn size<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::String(text)] => context.work_on_text(text.len())?,
        // They may be none.
        [Value::Bytes(bytes)] => drop(context.bytes(bytes)?),
        _ => {}
    }
    match args {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(i64::try_from(value.size()).unwrap_or(i64::MAX)))
        }
        _ => wrong_types(),
    }
}

fn is_in<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [value, Value::List(list)] => {
            for item in list.iter() {
                if equal(context, value, &item)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        _ => wrong_types(),
    }
}

/// Adds a key and value, or all entries of a map; none may be there already.
fn map_insert<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Map(map), added @ ..] = args else { return wrong_types() };
    // Loops change their map in place and do not come here.
    map.clone().with(context, added).map(Value::Map)
}

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "size",
        &[
            overload("size_bytes", "(bytes): int", size),
            overload("bytes_size", "bytes.(): int", size),
            overload("size_list", "(list(A)): int", size),
            overload("list_size", "list(A).(): int", size),
            overload("size_map", "(map(A, B)): int", size),
            overload("map_size", "map(A, B).(): int", size),
            overload("size_string", "(string): int", size),
            overload("string_size", "string.(): int", size),
        ],
    ),
    function(
        "@in",
        &[overload("in_list", "(A, list(A)): bool", is_in), overload("in_map", "(A, map(A, B)): bool", is_in)],
    ),
    function(
        "_[_]",
        &[
            overload("index_list", "(list(A), int): A", not_called),
            overload("index_map", "(map(A, B), A): B", not_called),
        ],
    ),
    function(
        "cel.@mapInsert",
        &[
            overload("@mapInsert_map_map", "(map(K, V), map(K, V)): map(K, V)", map_insert),
            overload("@mapInsert_map_key_value", "(map(K, V), K, V): map(K, V)", map_insert),
        ],
    ),
];
