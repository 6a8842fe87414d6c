//! The language's own operators and functions.
//!
//! Upstream: cel-go common/stdlib/standard.go (v0.26.0).

mod containers;
mod conversions;
mod operators;
mod times;

pub(super) use operators::{TEXT_BYTES_MAX, add, text_too_long};

use super::{Function, Library, Overload, costs, regexes};
use crate::{error::EvalError, eval::Context, value::Value};

const fn function(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::STANDARD, overloads }
}

/// What the plan does itself; its signatures alone are needed.
fn not_called<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    super::wrong_types()
}

pub(super) static LIBRARY: Library = Library {
    name: "standard",
    types: &[],
    functions: &[
        operators::LOGIC,
        operators::RELATIONS,
        operators::ARITHMETIC,
        containers::FUNCTIONS,
        conversions::FUNCTIONS,
        times::FUNCTIONS,
        TEXT,
    ],
};

fn contains<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), Value::String(part)] = args else { return super::wrong_types() };
    Ok(Value::Bool(text.contains(&**part)))
}

fn starts_with<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), Value::String(part)] = args else { return super::wrong_types() };
    Ok(Value::Bool(text.starts_with(&**part)))
}

fn ends_with<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text), Value::String(part)] = args else { return super::wrong_types() };
    Ok(Value::Bool(text.ends_with(&**part)))
}

const TEXT: &[Function] = &[
    function("contains", &[super::overload("contains_string", "string.(string): bool", contains)]),
    function("startsWith", &[super::overload("starts_with_string", "string.(string): bool", starts_with)]),
    function("endsWith", &[super::overload("ends_with_string", "string.(string): bool", ends_with)]),
    function(
        "matches",
        &[
            super::overload("matches", "(string, string): bool", regexes::matches),
            super::overload("matches_string", "string.(string): bool", regexes::matches),
        ],
    ),
];
