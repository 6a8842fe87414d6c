//! From one type to another.
//!
//! Upstream: cel-go common/types (v0.26.0).

use corten_apimachinery::value::go_float::{G, go_float};

use super::function;
use crate::{
    error::EvalError,
    eval::Context,
    library::{Function, overload, wrong_types},
    value::{Duration, Timestamp, Value},
};

/// What a call of the function `type` or `dyn` gives.
fn same<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(value.clone())
}

fn type_of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::Type(value.runtime_type()))
}

fn failed(found: &str, wanted: &str) -> EvalError {
    EvalError::failed(format!("type conversion error from '{found}' to '{wanted}'"))
}

/// Counts reading a text, which costs a unit however long it is: there may be zeros without end before a number.
fn read_text(context: &mut Context<'_>, args: &[Value<'_>]) -> Result<(), EvalError> {
    args.first().and_then(Value::as_str).map_or(Ok(()), |text| context.read_text(text.len()))
}

/// In the words that Go has for it. They stand in `corten-base` for all crates but this one, which has no runtime below it.
fn to_bool<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [value @ Value::Bool(_)] => value.clone(),
        [Value::String(text)] => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => return Err(failed("string", "bool")),
        },
        _ => return wrong_types(),
    })
}

fn to_bytes<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [value @ Value::Bytes(_)] => value.clone(),
        [Value::String(text)] => {
            context.make_text(text.len())?;
            Value::Bytes(text.as_bytes().into())
        }
        _ => return wrong_types(),
    })
}

fn to_double<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    read_text(context, args)?;
    Ok(match args {
        [value @ Value::Double(_)] => value.clone(),
        [Value::Int(number)] => Value::Double(*number as f64),
        [Value::Uint(number)] => Value::Double(*number as f64),
        [Value::String(text)] => Value::Double(text.parse().map_err(|_| failed("string", "double"))?),
        _ => return wrong_types(),
    })
}

fn to_duration<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    read_text(context, args)?;
    Ok(match args {
        [value @ Value::Duration(_)] => value.clone(),
        [Value::String(text)] => {
            Value::Duration(Duration::parse(text).ok_or_else(|| failed("string", "google.protobuf.Duration"))?)
        }
        _ => return wrong_types(),
    })
}

fn to_int<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    read_text(context, args)?;
    let overflow = || EvalError::failed("integer overflow");
    Ok(match args {
        [value @ Value::Int(_)] => value.clone(),
        [Value::Uint(number)] => Value::Int(i64::try_from(*number).map_err(|_| overflow())?),
        [Value::Double(number)] => {
            // The smallest integer is left out as well, as upstream does.
            if !(number.is_finite() && *number > -9_223_372_036_854_775_808.0 && *number < 9_223_372_036_854_775_808.0)
            {
                return Err(overflow());
            }
            Value::Int(*number as i64)
        }
        [Value::String(text)] => Value::Int(text.parse().map_err(|_| failed("string", "int"))?),
        [Value::Timestamp(timestamp)] => Value::Int(timestamp.seconds()),
        [Value::Duration(duration)] => Value::Int(duration.nanos()),
        _ => return wrong_types(),
    })
}

fn to_uint<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    read_text(context, args)?;
    let overflow = || EvalError::failed("unsigned integer overflow");
    Ok(match args {
        [value @ Value::Uint(_)] => value.clone(),
        [Value::Int(number)] => Value::Uint(u64::try_from(*number).map_err(|_| overflow())?),
        [Value::Double(number)] => {
            if !(number.is_finite() && *number >= 0.0 && *number < 18_446_744_073_709_551_616.0) {
                return Err(overflow());
            }
            Value::Uint(*number as u64)
        }
        [Value::String(text)] => Value::Uint(text.parse().map_err(|_| failed("string", "uint"))?),
        _ => return wrong_types(),
    })
}

fn to_string<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Ok(match args {
        [value @ Value::String(_)] => value.clone(),
        [Value::Bool(truth)] => Value::string(truth.to_string()),
        [Value::Int(number)] => Value::string(number.to_string()),
        [Value::Uint(number)] => Value::string(number.to_string()),
        [Value::Double(number)] => Value::string(go_float(*number, G, 2)),
        [Value::Bytes(bytes)] => {
            let bytes = context.bytes(bytes)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| EvalError::failed("invalid UTF-8 in bytes, cannot convert to string"))?;
            context.make_text(text.len())?;
            Value::string(text.to_owned())
        }
        [Value::Timestamp(timestamp)] => Value::string(timestamp.to_string()),
        [Value::Duration(duration)] => Value::string(duration.to_string()),
        _ => return wrong_types(),
    })
}

fn to_timestamp<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    read_text(context, args)?;
    let overflow = || EvalError::failed("timestamp overflow");
    Ok(match args {
        [value @ Value::Timestamp(_)] => value.clone(),
        [Value::Int(seconds)] => Value::Timestamp(Timestamp::new(*seconds, 0).ok_or_else(overflow)?),
        [Value::String(text)] => {
            Value::Timestamp(Timestamp::parse(text).ok_or_else(|| failed("string", "google.protobuf.Timestamp"))?)
        }
        _ => return wrong_types(),
    })
}

pub(super) const FUNCTIONS: &[Function] = &[
    function("dyn", &[overload("to_dyn", "(A): dyn", same)]),
    function("type", &[overload("type", "(A): type(A)", type_of)]),
    function(
        "bool",
        &[overload("bool_to_bool", "(bool): bool", to_bool), overload("string_to_bool", "(string): bool", to_bool)],
    ),
    function(
        "bytes",
        &[
            overload("bytes_to_bytes", "(bytes): bytes", to_bytes),
            overload("string_to_bytes", "(string): bytes", to_bytes),
        ],
    ),
    function(
        "double",
        &[
            overload("double_to_double", "(double): double", to_double),
            overload("int64_to_double", "(int): double", to_double),
            overload("string_to_double", "(string): double", to_double),
            overload("uint64_to_double", "(uint): double", to_double),
        ],
    ),
    function(
        "duration",
        &[
            overload("duration_to_duration", "(duration): duration", to_duration),
            overload("string_to_duration", "(string): duration", to_duration),
        ],
    ),
    function(
        "int",
        &[
            overload("int64_to_int64", "(int): int", to_int),
            overload("double_to_int64", "(double): int", to_int),
            overload("duration_to_int64", "(duration): int", to_int),
            overload("string_to_int64", "(string): int", to_int),
            overload("timestamp_to_int64", "(timestamp): int", to_int),
            overload("uint64_to_int64", "(uint): int", to_int),
        ],
    ),
    function(
        "string",
        &[
            overload("string_to_string", "(string): string", to_string),
            overload("bool_to_string", "(bool): string", to_string),
            overload("bytes_to_string", "(bytes): string", to_string),
            overload("double_to_string", "(double): string", to_string),
            overload("duration_to_string", "(duration): string", to_string),
            overload("int64_to_string", "(int): string", to_string),
            overload("timestamp_to_string", "(timestamp): string", to_string),
            overload("uint64_to_string", "(uint): string", to_string),
        ],
    ),
    function(
        "timestamp",
        &[
            overload("timestamp_to_timestamp", "(timestamp): timestamp", to_timestamp),
            overload("int64_to_timestamp", "(int): timestamp", to_timestamp),
            overload("string_to_timestamp", "(string): timestamp", to_timestamp),
        ],
    ),
    function(
        "uint",
        &[
            overload("uint64_to_uint64", "(uint): uint", to_uint),
            overload("double_to_uint64", "(double): uint", to_uint),
            overload("int64_to_uint64", "(int): uint", to_uint),
            overload("string_to_uint64", "(string): uint", to_uint),
        ],
    ),
];
