//! Logic, relations, arithmetic.
//!
//! Upstream: cel-go common/stdlib/standard.go, common/types/overflow.go (v0.26.0).

use super::{function, not_called};
use crate::{
    error::EvalError,
    eval::{Context, add_lists},
    library::{Function, costs, overload, wrong_types},
    value::{Duration, Value, compare, equal},
};

/// The longest text or bytes that can be made: larger than any object of the API.
pub(in crate::library) const TEXT_BYTES_MAX: usize = 16 << 20;

pub(in crate::library) fn text_too_long() -> EvalError {
    EvalError::too_large("operation cancelled: a text is too long")
}

fn not<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Bool(truth)] = args else { return wrong_types() };
    Ok(Value::Bool(!truth))
}

fn equals<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    equal(context, a, b).map(Value::Bool)
}

fn not_equals<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [a, b] = args else { return wrong_types() };
    equal(context, a, b).map(|equal| Value::Bool(!equal))
}

macro_rules! relation {
    ($name:ident, $test:expr) => {
        fn $name<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
            let [a, b] = args else { return wrong_types() };
            match compare(context, a, b)? {
                // What is not a number is neither less nor greater.
                Some(order) => Ok(Value::Bool(order.is_some_and($test))),
                None => wrong_types(),
            }
        }
    };
}

relation!(less, std::cmp::Ordering::is_lt);
relation!(less_equals, std::cmp::Ordering::is_le);
relation!(greater, std::cmp::Ordering::is_gt);
relation!(greater_equals, std::cmp::Ordering::is_ge);

fn int_overflow() -> EvalError {
    EvalError::failed("integer overflow")
}

fn uint_overflow() -> EvalError {
    EvalError::failed("unsigned integer overflow")
}

fn duration_overflow() -> EvalError {
    EvalError::failed("duration overflow")
}

fn timestamp_overflow() -> EvalError {
    EvalError::failed("timestamp overflow")
}

pub(in crate::library) fn add<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_add(*b).ok_or_else(int_overflow)?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_add(*b).ok_or_else(uint_overflow)?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a + b),
        [Value::String(a), Value::String(b)] => {
            if a.len() + b.len() > TEXT_BYTES_MAX {
                return Err(text_too_long());
            }
            context.make_text(a.len() + b.len())?;
            Value::string([&**a, &**b].concat())
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            if a.len() + b.len() > TEXT_BYTES_MAX {
                return Err(text_too_long());
            }
            context.make_text(a.len() + b.len())?;
            let (a, b) = (context.bytes(a)?, context.bytes(b)?);
            Value::Bytes([&*a, &*b].concat().into())
        }
        [Value::List(a), Value::List(b)] => return add_lists(context, a, b),
        [Value::Timestamp(a), Value::Duration(b)] | [Value::Duration(b), Value::Timestamp(a)] => {
            Value::Timestamp(a.checked_add(*b).ok_or_else(timestamp_overflow)?)
        }
        [Value::Duration(a), Value::Duration(b)] => {
            Value::Duration(a.nanos().checked_add(b.nanos()).map(Duration::from_nanos).ok_or_else(duration_overflow)?)
        }
        _ => return wrong_types(),
    })
}

fn subtract<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_sub(*b).ok_or_else(int_overflow)?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_sub(*b).ok_or_else(uint_overflow)?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a - b),
        [Value::Timestamp(a), Value::Duration(b)] => Value::Timestamp(
            b.nanos()
                .checked_neg()
                .and_then(|nanos| a.checked_add(Duration::from_nanos(nanos)))
                .ok_or_else(timestamp_overflow)?,
        ),
        [Value::Timestamp(a), Value::Timestamp(b)] => {
            Value::Duration(a.checked_since(*b).ok_or_else(timestamp_overflow)?)
        }
        [Value::Duration(a), Value::Duration(b)] => {
            Value::Duration(a.nanos().checked_sub(b.nanos()).map(Duration::from_nanos).ok_or_else(duration_overflow)?)
        }
        _ => return wrong_types(),
    })
}

fn multiply<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_mul(*b).ok_or_else(int_overflow)?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_mul(*b).ok_or_else(uint_overflow)?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a * b),
        _ => return wrong_types(),
    })
}

fn divide<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            return Err(EvalError::failed("division by zero"));
        }
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_div(*b).ok_or_else(int_overflow)?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a / b),
        [Value::Double(a), Value::Double(b)] => Value::Double(a / b),
        _ => return wrong_types(),
    })
}

fn modulo<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            return Err(EvalError::failed("modulus by zero"));
        }
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_rem(*b).ok_or_else(int_overflow)?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a % b),
        _ => return wrong_types(),
    })
}

fn negate<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [Value::Int(number)] => Value::Int(number.checked_neg().ok_or_else(int_overflow)?),
        [Value::Double(number)] => Value::Double(-number),
        _ => return wrong_types(),
    })
}

pub(super) const LOGIC: &[Function] = &[
    function("_?_:_", &[overload("conditional", "(bool, T, T): T", not_called)]),
    function("_&&_", &[overload("logical_and", "(bool, bool): bool", not_called)]),
    function("_||_", &[overload("logical_or", "(bool, bool): bool", not_called)]),
    function("!_", &[overload("logical_not", "(bool): bool", not)]),
    function("@not_strictly_false", &[overload("not_strictly_false", "(bool): bool", not_called)]),
];

macro_rules! relations {
    ($operator:literal, $prefix:literal, $call:ident) => {
        function(
            $operator,
            &[
                overload(concat!($prefix, "_bool"), "(bool, bool): bool", $call),
                overload(concat!($prefix, "_int64"), "(int, int): bool", $call),
                overload(concat!($prefix, "_int64_double"), "(int, double): bool", $call),
                overload(concat!($prefix, "_int64_uint64"), "(int, uint): bool", $call),
                overload(concat!($prefix, "_uint64"), "(uint, uint): bool", $call),
                overload(concat!($prefix, "_uint64_double"), "(uint, double): bool", $call),
                overload(concat!($prefix, "_uint64_int64"), "(uint, int): bool", $call),
                overload(concat!($prefix, "_double"), "(double, double): bool", $call),
                overload(concat!($prefix, "_double_int64"), "(double, int): bool", $call),
                overload(concat!($prefix, "_double_uint64"), "(double, uint): bool", $call),
                overload(concat!($prefix, "_string"), "(string, string): bool", $call),
                overload(concat!($prefix, "_bytes"), "(bytes, bytes): bool", $call),
                overload(concat!($prefix, "_timestamp"), "(timestamp, timestamp): bool", $call),
                overload(concat!($prefix, "_duration"), "(duration, duration): bool", $call),
            ],
        )
    };
}

pub(super) const RELATIONS: &[Function] = &[
    Function { name: "_==_", cost: &costs::EQUALITY, overloads: &[overload("equals", "(A, A): bool", equals)] },
    function("_!=_", &[overload("not_equals", "(A, A): bool", not_equals)]),
    relations!("_<_", "less", less),
    relations!("_<=_", "less_equals", less_equals),
    relations!("_>_", "greater", greater),
    relations!("_>=_", "greater_equals", greater_equals),
];

pub(super) const ARITHMETIC: &[Function] = &[
    function(
        "_+_",
        &[
            overload("add_bytes", "(bytes, bytes): bytes", add),
            overload("add_double", "(double, double): double", add),
            overload("add_duration_duration", "(duration, duration): duration", add),
            overload("add_duration_timestamp", "(duration, timestamp): timestamp", add),
            overload("add_timestamp_duration", "(timestamp, duration): timestamp", add),
            overload("add_int64", "(int, int): int", add),
            overload("add_list", "(list(A), list(A)): list(A)", add),
            overload("add_string", "(string, string): string", add),
            overload("add_uint64", "(uint, uint): uint", add),
        ],
    ),
    function(
        "_-_",
        &[
            overload("subtract_double", "(double, double): double", subtract),
            overload("subtract_duration_duration", "(duration, duration): duration", subtract),
            overload("subtract_int64", "(int, int): int", subtract),
            overload("subtract_timestamp_duration", "(timestamp, duration): timestamp", subtract),
            overload("subtract_timestamp_timestamp", "(timestamp, timestamp): duration", subtract),
            overload("subtract_uint64", "(uint, uint): uint", subtract),
        ],
    ),
    function(
        "_*_",
        &[
            overload("multiply_double", "(double, double): double", multiply),
            overload("multiply_int64", "(int, int): int", multiply),
            overload("multiply_uint64", "(uint, uint): uint", multiply),
        ],
    ),
    function(
        "_/_",
        &[
            overload("divide_double", "(double, double): double", divide),
            overload("divide_int64", "(int, int): int", divide),
            overload("divide_uint64", "(uint, uint): uint", divide),
        ],
    ),
    function(
        "_%_",
        &[overload("modulo_int64", "(int, int): int", modulo), overload("modulo_uint64", "(uint, uint): uint", modulo)],
    ),
    function(
        "-_",
        &[overload("negate_double", "(double): double", negate), overload("negate_int64", "(int): int", negate)],
    ),
];
