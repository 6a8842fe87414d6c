//! Lists as sets.
//!
//! Upstream: cel-go ext/sets.go (v0.26.0).

use super::{Function, Library, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{List, Value, equal},
};

/// Whether `list` has a value equal to `sought`.
fn has<'a>(context: &mut Context<'_>, list: &List<'a>, sought: &Value<'a>) -> Result<bool, EvalError> {
    for item in list.iter() {
        if equal(context, &item, sought)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_all<'a>(context: &mut Context<'_>, list: &List<'a>, sought: &List<'a>) -> Result<bool, EvalError> {
    for item in sought.iter() {
        if !has(context, list, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list), Value::List(sought)] = args else { return wrong_types() };
    has_all(context, list, sought).map(Value::Bool)
}

fn equivalent<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(left), Value::List(right)] = args else { return wrong_types() };
    Ok(Value::Bool(has_all(context, left, right)? && has_all(context, right, left)?))
}

fn intersects<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(left), Value::List(right)] = args else { return wrong_types() };
    for item in left.iter() {
        if has(context, right, &item)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "sets.contains",
        cost: &costs::PRODUCT,
        overloads: &[overload("list_sets_contains_list", "(list(T), list(T)): bool", contains)],
    },
    Function {
        name: "sets.equivalent",
        cost: &costs::TWO_PRODUCTS,
        overloads: &[overload("list_sets_equivalent_list", "(list(T), list(T)): bool", equivalent)],
    },
    Function {
        name: "sets.intersects",
        cost: &costs::PRODUCT,
        overloads: &[overload("list_sets_intersects_list", "(list(T), list(T)): bool", intersects)],
    },
];

pub(super) static LIBRARY: Library = Library { name: "sets", types: &[], functions: &[FUNCTIONS] };
