//! Values that may be absent.
//!
//! Upstream: cel-go cel/library.go, optionalLib (v0.26.0).

use std::sync::Arc;

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Value, is_zero},
};

fn none<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(Value::Optional(None))
}

fn of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::some(value.clone()))
}

fn of_non_zero<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(if is_zero(value) { Value::Optional(None) } else { Value::some(value.clone()) })
}

fn value<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(EvalError::failed("optional.none() dereference")),
        _ => wrong_types(),
    }
}

fn has_value<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Optional(value)] = args else { return wrong_types() };
    Ok(Value::Bool(value.is_some()))
}

fn or<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Optional(left), Value::Optional(right)] = args else { return wrong_types() };
    Ok(Value::Optional(left.clone().or_else(|| right.clone())))
}

fn or_value<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Optional(left), right] = args else { return wrong_types() };
    Ok(left.as_ref().map_or_else(|| right.clone(), |value| (**value).clone()))
}

/// Selections and indexes are evaluated as attributes; their signatures alone are needed.
fn not_called<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    wrong_types()
}

fn unwrap<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    let mut items = Vec::new();
    for item in list.iter() {
        context.work(1)?;
        match item {
            Value::Optional(None) => {}
            Value::Optional(Some(item)) => {
                context.make_items(1)?;
                items.push(Arc::unwrap_or_clone(item));
            }
            _ => return wrong_types(),
        }
    }
    Ok(Value::list(items))
}

fn first<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    Ok(Value::Optional(list.get(0).map(Arc::new)))
}

fn last<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    let last = list.len().checked_sub(1).and_then(|at| list.get(at));
    Ok(Value::Optional(last.map(Arc::new)))
}

const fn function(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::STANDARD, overloads }
}

const FUNCTIONS: &[Function] = &[
    function("optional.none", &[overload("optional_none", "(): optional_type(V)", none)]),
    function("optional.of", &[overload("optional_of", "(V): optional_type(V)", of)]),
    function("optional.ofNonZeroValue", &[overload("optional_ofNonZeroValue", "(V): optional_type(V)", of_non_zero)]),
    function("value", &[overload("optional_value", "optional_type(V).(): V", value)]),
    function("hasValue", &[overload("optional_hasValue", "optional_type(V).(): bool", has_value)]),
    function("or", &[overload("optional_or_optional", "optional_type(V).(optional_type(V)): optional_type(V)", or)]),
    function("orValue", &[overload("optional_orValue_value", "optional_type(V).(V): V", or_value)]),
    function(
        "_[?_]",
        &[
            overload("list_optindex_optional_int", "(list(V), int): optional_type(V)", not_called),
            overload(
                "optional_list_optindex_optional_int",
                "(optional_type(list(V)), int): optional_type(V)",
                not_called,
            ),
            overload("map_optindex_optional_value", "(map(K, V), K): optional_type(V)", not_called),
            overload(
                "optional_map_optindex_optional_value",
                "(optional_type(map(K, V)), K): optional_type(V)",
                not_called,
            ),
        ],
    ),
    function(
        "_[_]",
        &[
            overload("optional_list_index_int", "(optional_type(list(V)), int): optional_type(V)", not_called),
            overload("optional_map_index_value", "(optional_type(map(K, V)), K): optional_type(V)", not_called),
        ],
    ),
    function("optional.unwrap", &[overload("optional_unwrap", "(list(optional_type(V))): list(V)", unwrap)]),
    function("unwrapOpt", &[overload("optional_unwrapOpt", "list(optional_type(V)).(): list(V)", unwrap)]),
    function("first", &[overload("list_first", "list(V).(): optional_type(V)", first)]),
    function("last", &[overload("list_last", "list(V).(): optional_type(V)", last)]),
];

pub(super) static LIBRARY: Library = Library { name: "optional", types: &[], functions: &[FUNCTIONS] };
