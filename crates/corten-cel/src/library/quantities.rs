//! Quantities.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/quantity.go (v1.35).

use std::{any::Any, sync::Arc};

use corten_apimachinery::quantity;

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Value},
};

#[derive(Debug, Clone, Copy)]
struct Quantity(quantity::Quantity);

impl Opaque for Quantity {
    fn type_name(&self) -> &'static str {
        "kubernetes.Quantity"
    }

    /// However they are written.
    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn of<'a>(quantity: quantity::Quantity) -> Value<'a> {
    Value::Opaque(Arc::new(Quantity(quantity)))
}

fn quantity_of(value: &Value<'_>) -> Result<quantity::Quantity, EvalError> {
    match value {
        Value::Opaque(opaque) => {
            opaque.downcast::<Quantity>().map(|quantity| quantity.0).ok_or_else(EvalError::no_such_overload)
        }
        Value::Int(number) => Ok(quantity::Quantity::new(*number, quantity::Format::DecimalSi)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn parse<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    text.parse().map(of).map_err(|error: quantity::QuantityError| EvalError::failed(error.to_string()))
}

fn is_quantity<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    Ok(Value::Bool(text.parse::<quantity::Quantity>().is_ok()))
}

fn sign<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::Int(quantity_of(value)?.sign().into()))
}

/// The whole number that a quantity is, if it is one that fits.
fn integer(quantity: &quantity::Quantity) -> Option<i64> {
    let units = quantity.units();
    (quantity::Quantity::new(units, quantity.format()) == *quantity).then_some(units)
}

fn is_integer<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::Bool(integer(&quantity_of(value)?).is_some()))
}

fn as_integer<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    integer(&quantity_of(value)?).map(Value::Int).ok_or_else(|| EvalError::failed("cannot convert value to integer"))
}

fn as_float<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::Double(quantity_of(value)?.as_f64()))
}

fn is_greater_than<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    Ok(Value::Bool(quantity_of(a)? > quantity_of(b)?))
}

fn is_less_than<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    Ok(Value::Bool(quantity_of(a)? < quantity_of(b)?))
}

fn compare_to<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    Ok(Value::Int(quantity_of(a)?.cmp(&quantity_of(b)?) as i64))
}

fn too_large() -> EvalError {
    EvalError::failed("quantity is too large")
}

fn add<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    quantity_of(a)?.checked_add(&quantity_of(b)?).map(of).ok_or_else(too_large)
}

fn sub<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    quantity_of(a)?.checked_sub(&quantity_of(b)?).map(of).ok_or_else(too_large)
}

const fn unit(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::UNIT, overloads }
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "quantity",
        cost: &costs::PARSE,
        overloads: &[overload("string_to_quantity", "(string): kubernetes.Quantity", parse)],
    },
    Function {
        name: "isQuantity",
        cost: &costs::PARSE,
        overloads: &[overload("is_quantity_string", "(string): bool", is_quantity)],
    },
    unit("sign", &[overload("quantity_sign", "kubernetes.Quantity.(): int", sign)]),
    unit(
        "isGreaterThan",
        &[overload("quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity): bool", is_greater_than)],
    ),
    unit(
        "isLessThan",
        &[overload("quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity): bool", is_less_than)],
    ),
    unit("compareTo", &[overload("quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity): int", compare_to)]),
    unit("asApproximateFloat", &[overload("quantity_get_float", "kubernetes.Quantity.(): double", as_float)]),
    unit("asInteger", &[overload("quantity_get_int", "kubernetes.Quantity.(): int", as_integer)]),
    unit("isInteger", &[overload("quantity_is_integer", "kubernetes.Quantity.(): bool", is_integer)]),
    unit(
        "add",
        &[
            overload("quantity_add", "kubernetes.Quantity.(kubernetes.Quantity): kubernetes.Quantity", add),
            overload("quantity_add_int", "kubernetes.Quantity.(int): kubernetes.Quantity", add),
        ],
    ),
    unit(
        "sub",
        &[
            overload("quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity): kubernetes.Quantity", sub),
            overload("quantity_sub_int", "kubernetes.Quantity.(int): kubernetes.Quantity", sub),
        ],
    ),
];

pub(super) static LIBRARY: Library =
    Library { name: "kubernetes.quantity", types: &["kubernetes.Quantity"], functions: &[FUNCTIONS] };
