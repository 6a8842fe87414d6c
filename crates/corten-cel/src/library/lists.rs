//! Order, sums, extremes and positions of lists.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/lists.go (v1.35).

use std::cmp::Ordering;

use super::{Function, Library, Overload, costs, overload, standard::add, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Duration, Value, compare, equal},
};

/// The order of two elements; those that are no numbers come nowhere.
fn order(context: &mut Context<'_>, a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, EvalError> {
    match compare(context, a, b)? {
        Some(order) => Ok(order.unwrap_or(Ordering::Equal)),
        None => Err(EvalError::no_such_overload()),
    }
}

fn is_sorted<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    let mut before: Option<Value<'a>> = None;
    for item in list.iter() {
        context.work(1)?;
        if let Some(before) = &before
            && order(context, before, &item)?.is_gt()
        {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum_from<'a>(context: &mut Context<'_>, args: &[Value<'a>], zero: Value<'a>) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    let mut sum = zero;
    for item in list.iter() {
        context.work(1)?;
        sum = add(context, &[sum, item])?;
    }
    Ok(sum)
}

fn sum_int<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    sum_from(context, args, Value::Int(0))
}

fn sum_uint<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    sum_from(context, args, Value::Uint(0))
}

fn sum_double<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    sum_from(context, args, Value::Double(0.0))
}

fn sum_duration<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    sum_from(context, args, Value::Duration(Duration::from_nanos(0)))
}

fn extreme<'a>(
    context: &mut Context<'_>,
    args: &[Value<'a>],
    name: &str,
    better: Ordering,
) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else { return wrong_types() };
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        context.work(1)?;
        let is_better = match &best {
            Some(best) => order(context, &item, best)? == better,
            None => true,
        };
        if is_better {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvalError::failed(format!("{name} called on empty list")))
}

fn min<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    extreme(context, args, "min", Ordering::Less)
}

fn max<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    extreme(context, args, "max", Ordering::Greater)
}

fn index_of<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list), sought] = args else { return wrong_types() };
    for (index, item) in list.iter().enumerate() {
        if equal(context, &item, sought)? {
            return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

fn last_index_of<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::List(list), sought] = args else { return wrong_types() };
    for index in (0..list.len()).rev() {
        let Some(item) = list.get(index) else { continue };
        if equal(context, &item, sought)? {
            return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

/// One overload for each type whose values have an order.
macro_rules! comparable {
    ($before:literal, $after:literal, $call:ident, [$($of:literal => $result:literal),*]) => {
        &[$(overload(concat!("list_", $of, $before, $after), concat!("list(", $of, ").(): ", $result), $call)),*]
    };
}

const IS_SORTED: &[Overload] = comparable!("_is_sorted", "_bool", is_sorted, [
    "int" => "bool", "uint" => "bool", "double" => "bool", "bool" => "bool", "duration" => "bool",
    "timestamp" => "bool", "string" => "bool", "bytes" => "bool"
]);

macro_rules! same_type {
    ($name:literal, $call:ident) => {
        &[
            overload(concat!("list_int_", $name, "_int"), "list(int).(): int", $call),
            overload(concat!("list_uint_", $name, "_uint"), "list(uint).(): uint", $call),
            overload(concat!("list_double_", $name, "_double"), "list(double).(): double", $call),
            overload(concat!("list_bool_", $name, "_bool"), "list(bool).(): bool", $call),
            overload(concat!("list_duration_", $name, "_duration"), "list(duration).(): duration", $call),
            overload(concat!("list_timestamp_", $name, "_timestamp"), "list(timestamp).(): timestamp", $call),
            overload(concat!("list_string_", $name, "_string"), "list(string).(): string", $call),
            overload(concat!("list_bytes_", $name, "_bytes"), "list(bytes).(): bytes", $call),
        ]
    };
}

const fn function(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::TRAVERSAL, overloads }
}

const FUNCTIONS: &[Function] = &[
    function("isSorted", IS_SORTED),
    function(
        "sum",
        &[
            overload("list_int_sum_int", "list(int).(): int", sum_int),
            overload("list_uint_sum_uint", "list(uint).(): uint", sum_uint),
            overload("list_double_sum_double", "list(double).(): double", sum_double),
            overload("list_duration_sum_duration", "list(duration).(): duration", sum_duration),
        ],
    ),
    function("min", same_type!("min", min)),
    function("max", same_type!("max", max)),
    function("indexOf", &[overload("list_a_index_of_int", "list(T).(T): int", index_of)]),
    function("lastIndexOf", &[overload("list_a_last_index_of_int", "list(T).(T): int", last_index_of)]),
];

pub(super) static LIBRARY: Library = Library { name: "kubernetes.lists", types: &[], functions: &[FUNCTIONS] };
