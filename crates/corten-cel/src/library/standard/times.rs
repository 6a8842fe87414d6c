//! Parts of points and spans of time.
//!
//! Upstream: cel-go common/types/{timestamp,duration}.go (v0.26.0).

use jiff::civil::DateTime;

use super::function;
use crate::{
    error::EvalError,
    eval::Context,
    library::{Function, overload, wrong_types},
    value::Value,
};

const NANOS_IN_MILLISECOND: i64 = 1_000_000;
const NANOS_IN_SECOND: i64 = 1_000_000_000;

/// A part of a date and time of day, in UTC or in the zone that the second argument names.
fn of_time<'a>(
    context: &mut Context<'_>,
    args: &[Value<'a>],
    part: impl Fn(DateTime) -> i64,
) -> Result<Value<'a>, EvalError> {
    let (timestamp, zone) = match args {
        [Value::Timestamp(timestamp)] => (timestamp, "UTC"),
        [Value::Timestamp(timestamp), Value::String(zone)] => (timestamp, &**zone),
        _ => return wrong_types(),
    };
    context.read_text(zone.len())?;
    match timestamp.in_zone(zone) {
        Some(time) => Ok(Value::Int(part(time))),
        None => Err(EvalError::failed(format!("unknown time zone {zone}"))),
    }
}

macro_rules! part_of_time {
    ($name:ident, $part:expr) => {
        fn $name<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
            of_time(context, args, $part)
        }
    };
}

part_of_time!(year, |time| i64::from(time.year()));
part_of_time!(month, |time| i64::from(time.month()) - 1);
part_of_time!(day_of_year, |time| i64::from(time.day_of_year()) - 1);
part_of_time!(day_of_month, |time| i64::from(time.day()) - 1);
part_of_time!(date, |time| i64::from(time.day()));
part_of_time!(day_of_week, |time| i64::from(time.weekday().to_sunday_zero_offset()));

/// A part of a time of day; of a span, how many of `unit_nanos` it is long.
macro_rules! part_of_both {
    ($name:ident, $unit_nanos:expr, $part:expr) => {
        fn $name<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
            match args {
                [Value::Duration(duration)] => Ok(Value::Int(duration.nanos() / $unit_nanos)),
                _ => of_time(context, args, $part),
            }
        }
    };
}

part_of_both!(hours, 3_600 * NANOS_IN_SECOND, |time| i64::from(time.hour()));
part_of_both!(minutes, 60 * NANOS_IN_SECOND, |time| i64::from(time.minute()));
part_of_both!(seconds, NANOS_IN_SECOND, |time| i64::from(time.second()));

/// Of a time of day, and of a span, the milliseconds; of a span, all of them.
fn milliseconds<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Duration(duration)] => Ok(Value::Int(duration.nanos() / NANOS_IN_MILLISECOND)),
        _ => of_time(context, args, |time| i64::from(time.subsec_nanosecond()) / NANOS_IN_MILLISECOND),
    }
}

macro_rules! time_function {
    ($name:literal, $id:literal, $call:ident) => {
        function(
            $name,
            &[
                overload(concat!("timestamp_to_", $id), "timestamp.(): int", $call),
                overload(concat!("timestamp_to_", $id, "_with_tz"), "timestamp.(string): int", $call),
            ],
        )
    };
    ($name:literal, $id:literal, $call:ident, span) => {
        function(
            $name,
            &[
                overload(concat!("timestamp_to_", $id), "timestamp.(): int", $call),
                overload(concat!("timestamp_to_", $id, "_with_tz"), "timestamp.(string): int", $call),
                overload(concat!("duration_to_", $id), "duration.(): int", $call),
            ],
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    time_function!("getFullYear", "year", year),
    time_function!("getMonth", "month", month),
    time_function!("getDayOfYear", "day_of_year", day_of_year),
    time_function!("getDayOfMonth", "day_of_month", day_of_month),
    time_function!("getDate", "day_of_month_1_based", date),
    time_function!("getDayOfWeek", "day_of_week", day_of_week),
    time_function!("getHours", "hours", hours, span),
    time_function!("getMinutes", "minutes", minutes, span),
    time_function!("getSeconds", "seconds", seconds, span),
    time_function!("getMilliseconds", "milliseconds", milliseconds, span),
];
