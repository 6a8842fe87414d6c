//! Equality and order, across the types of numbers.
//!
//! Values of different types are not equal; only what has an order can be compared. A number that is not one equals nothing,
//! not even itself.
//!
//! Upstream: cel-go common/types/{compare,int,uint,double,list,map}.go (v0.26.0).

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use corten_apimachinery::value::{self as tree, Str};

use super::{Field, List, ListEquality, Map, Shape, Value};
use crate::{
    error::EvalError,
    eval::{Context, DEPTH_MAX},
    rules::escape,
    types::Type,
};

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The integer that `number` is, if it is one that fits.
pub(crate) fn double_to_int(number: f64) -> Option<i64> {
    // Lossless: checked to be whole and in range.
    (number.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&number)).then_some(number as i64)
}

/// Beyond the range of integers the double decides; within, the integer is rounded to a double, as upstream does.
fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    if double < -TWO_TO_63 {
        return Some(Ordering::Greater);
    }
    if double > TWO_TO_63 {
        return Some(Ordering::Less);
    }
    (int as f64).partial_cmp(&double)
}

fn uint_with_double(uint: u64, double: f64) -> Option<Ordering> {
    if double < 0.0 {
        return Some(Ordering::Greater);
    }
    if double > TWO_TO_64 {
        return Some(Ordering::Less);
    }
    (uint as f64).partial_cmp(&double)
}

fn int_with_uint(int: i64, uint: u64) -> Ordering {
    u64::try_from(int).map_or(Ordering::Less, |int| int.cmp(&uint))
}

/// The order of two numbers; the outer `None` if one is none, the inner if they have no order.
fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(int_with_uint(*a, *b)),
        (Value::Int(a), Value::Double(b)) => int_with_double(*a, *b),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Int(b)) => Some(int_with_uint(*b, *a).reverse()),
        (Value::Uint(a), Value::Double(b)) => uint_with_double(*a, *b),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => int_with_double(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => uint_with_double(*b, *a).map(Ordering::reverse),
        _ => return None,
    })
}

/// The order of two values: the outer `None` if their types have none together, the inner if one is not a number.
///
/// Errors: bytes cannot be read.
pub(crate) fn compare(
    context: &mut Context<'_>,
    a: &Value<'_>,
    b: &Value<'_>,
) -> Result<Option<Option<Ordering>>, EvalError> {
    if let (Value::Bytes(a), Value::Bytes(b)) = (a, b) {
        return Ok(Some(Some(context.bytes(a)?.cmp(&context.bytes(b)?))));
    }
    Ok(order(a, b))
}

/// The order of two values that are not bytes.
fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => return numbers(a, b),
    })
}

/// Whether two values are equal.
///
/// Errors: bytes cannot be read, or evaluation is over, because the values are too large or too deep to be compared.
pub(crate) fn equal<'a>(context: &mut Context<'_>, a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
    at_depth(context, a, b, 0)
}

fn at_depth<'a>(context: &mut Context<'_>, a: &Value<'a>, b: &Value<'a>, depth: usize) -> Result<bool, EvalError> {
    context.work(1)?;
    if depth > DEPTH_MAX {
        return Err(EvalError::too_large("values are nested too deeply to be compared"));
    }
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::List(a), Value::List(b)) => lists(context, a, b, depth)?,
        (Value::Map(a), Value::Map(b)) => maps(context, a, b, depth)?,
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => at_depth(context, a, b, depth + 1)?,
        (Value::Type(a), Value::Type(b)) => same_type(a, b),
        (Value::Opaque(a), Value::Opaque(b)) => a.equals(&**b),
        (Value::String(a), Value::String(b)) => {
            a.len() == b.len() && {
                context.work_on_text(a.len())?;
                a == b
            }
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            let (a, b) = (context.bytes(a)?, context.bytes(b)?);
            a.len() == b.len() && {
                context.work_on_text(a.len())?;
                a == b
            }
        }
        _ => order(a, b) == Some(Some(Ordering::Equal)),
    })
}

fn same_type(a: &Type, b: &Type) -> bool {
    a.runtime_name() == b.runtime_name()
}

fn lists<'a>(context: &mut Context<'_>, a: &List<'a>, b: &List<'a>, depth: usize) -> Result<bool, EvalError> {
    let equality = match (a.equality(), b.equality()) {
        (ListEquality::Atomic, other) => other,
        (equality, _) => equality,
    };
    if a.len() != b.len() {
        return Ok(false);
    }
    match equality {
        ListEquality::Atomic => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !at_depth(context, &a, &b, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        ListEquality::Set => all_in(context, a, b, depth, |_, _, _| Ok(true)),
        ListEquality::Map(keys) => all_in(context, a, b, depth, |context, a, b| same_keys(context, keys, a, b, depth)),
    }
}

/// Whether each element of `a` has an equal one in `b`; those that `candidate` refuses are not looked at.
fn all_in<'a>(
    context: &mut Context<'_>,
    a: &List<'a>,
    b: &List<'a>,
    depth: usize,
    candidate: impl Fn(&mut Context<'_>, &Value<'a>, &Value<'a>) -> Result<bool, EvalError>,
) -> Result<bool, EvalError> {
    for (index, item) in a.iter().enumerate() {
        let mut found = false;
        // Most often it stands in the same place.
        for other in (index..b.len()).chain(0..index).filter_map(|index| b.get(index)) {
            if candidate(context, &item, &other)? && at_depth(context, &item, &other, depth + 1)? {
                found = true;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two elements of a list with keys have the same ones.
fn same_keys<'a>(
    context: &mut Context<'_>,
    keys: &'a [Str],
    a: &Value<'a>,
    b: &Value<'a>,
    depth: usize,
) -> Result<bool, EvalError> {
    let (Value::Map(a), Value::Map(b)) = (a, b) else { return Ok(false) };
    for key in keys {
        let (a, b) = (key_of(a, key), key_of(b, key));
        let same = match (a, b) {
            (Some(a), Some(b)) => at_depth(context, &a, &b, depth + 1)?,
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The value of a key, which the object names as JSON does.
fn key_of<'a>(map: &Map<'a>, key: &'a str) -> Option<Value<'a>> {
    match map {
        Map::Tree(entries, _) => entries.get(key).map(Value::of_dynamic),
        Map::Entries(_) => map.field(key),
    }
}

/// The sum of two lists of which one, of an object, is a set or has keys: what the left has stays in its place; of the right,
/// what is new comes behind, and what has the same keys takes the place.
///
/// Upstream: k8s.io/apiserver/pkg/cel/common/values.go, Add of unstructuredSetList and unstructuredMapList (v1.35).
pub(crate) fn merge_lists<'a>(
    context: &mut Context<'_>,
    left: &List<'a>,
    right: &List<'a>,
    equality: &'a ListEquality,
) -> Result<List<'a>, EvalError> {
    if right.is_empty() {
        return Ok(left.clone());
    }
    context.make_items(left.len())?;
    let mut merged: Vec<Value<'a>> = left.iter().collect();
    for item in right.iter() {
        let mut found = None;
        for (index, known) in merged.iter().enumerate() {
            let same = match equality {
                ListEquality::Map(keys) => same_keys(context, keys, known, &item, 0)?,
                _ => at_depth(context, known, &item, 0)?,
            };
            if same {
                found = Some(index);
                break;
            }
        }
        match found {
            Some(index) => merged[index] = item,
            None => {
                context.make_items(1)?;
                merged.push(item);
            }
        }
    }
    Ok(List::Merged(Arc::new(merged), equality))
}

fn maps<'a>(context: &mut Context<'_>, a: &Map<'a>, b: &Map<'a>, depth: usize) -> Result<bool, EvalError> {
    if a.len() != b.len() {
        return Ok(false);
    }
    if let (Map::Tree(a, Shape::Object(_, fields)), Map::Tree(b, _)) = (a, b) {
        return objects(context, fields, a, b, depth);
    }
    for (key, value) in a.iter() {
        let Some(other) = b.get(&key) else { return Ok(false) };
        if !at_depth(context, &value, &other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two objects of one type are equal. A field that is null equals nothing; one that the type does not know has to be
/// the same if both have it.
fn objects<'a>(
    context: &mut Context<'_>,
    fields: &'a BTreeMap<Str, Field>,
    a: &'a tree::Map,
    b: &'a tree::Map,
    depth: usize,
) -> Result<bool, EvalError> {
    for (json, value) in a.iter() {
        let name = escape(json);
        let (shape, other) = match (fields.get(name.as_deref().unwrap_or(json)), b.get(json)) {
            (None, None) => continue,
            (None, Some(other)) => (Shape::DYNAMIC, other),
            (Some(field), Some(other)) if !value.is_null() && !other.is_null() => (&field.shape, other),
            (Some(_), _) => return Ok(false),
        };
        if !at_depth(context, &shape.view(value), &shape.view(other), depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is what its type begins with: empty, zero, false, null.
pub(crate) fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Timestamp(_) | Value::Type(_) | Value::Opaque(_) => false,
        Value::Duration(duration) => duration.nanos() == 0,
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Optional(value) => value.is_none(),
    }
}
