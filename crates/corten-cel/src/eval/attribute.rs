//! Selections, indexes and presence tests.
//!
//! Upstream: cel-go interpreter/attributes.go (v0.26.0).

use std::sync::Arc;

use super::{
    plan::{Base, Part, Qualifier},
    run::Run,
};
use crate::{
    error::EvalError,
    value::{List, Map, Value, double_to_int},
};

impl<'a> Run<'a, '_, '_> {
    /// What `qualifiers` take out of `base`. Costs one for each, and one for itself if it stands alone.
    pub(super) fn attribute(
        &mut self,
        base: &'a Base,
        qualifiers: &'a [Qualifier],
        test_only: bool,
        alone: bool,
    ) -> Result<Value<'a>, EvalError> {
        let mut value = self.base(base)?;
        let mut optional = false;
        for (index, qualifier) in qualifiers.iter().enumerate() {
            let tested = test_only && index + 1 == qualifiers.len();
            if let Value::Optional(inner) = value {
                optional = true;
                match inner {
                    Some(inner) => value = Arc::unwrap_or_clone(inner),
                    None => {
                        self.finish(base, alone, test_only)?;
                        return Ok(absent(test_only));
                    }
                }
            }
            optional |= qualifier.optional;
            let found = self.qualify(&value, &qualifier.part)?;
            self.context.charge(1)?;
            match found {
                _ if tested => {
                    self.finish(base, alone, true)?;
                    return Ok(Value::Bool(found.is_ok()));
                }
                Ok(found) => value = found,
                Err(_) if optional => {
                    self.finish(base, alone, test_only)?;
                    return Ok(absent(test_only));
                }
                Err(missing) => return Err(missing),
            }
        }
        self.finish(base, alone, false)?;
        Ok(if optional { Value::some(value) } else { value })
    }

    /// Charges the attribute itself. A choice between two has no cost of its own, and a test is not charged at all.
    fn finish(&mut self, base: &Base, alone: bool, test_only: bool) -> Result<(), EvalError> {
        if alone && !matches!(base, Base::Conditional { .. }) {
            self.context.charge(1)?;
        }
        if test_only {
            self.context.refund(1);
        }
        Ok(())
    }

    /// What is found, or, inside, why it is missing.
    ///
    /// Errors: `value` has no parts, or the part cannot be evaluated.
    fn qualify(&mut self, value: &Value<'a>, part: &'a Part) -> Result<Result<Value<'a>, EvalError>, EvalError> {
        match part {
            Part::Field(name) => match value {
                Value::Map(map) => Ok(map.field(name).ok_or_else(|| EvalError::no_such_key(&**name))),
                Value::List(_) => Err(EvalError::no_such_overload()),
                _ => Err(EvalError::no_such_key(&**name)),
            },
            Part::Constant(key) => index(value, key),
            Part::Step(step) => {
                let key = self.within_attribute(*step)?;
                // A key that is not there is named, whether somebody hears of it or not.
                self.context.work_on_text(key.as_str().map_or(0, str::len))?;
                index(value, &key)
            }
        }
    }
}

fn absent(test_only: bool) -> Value<'static> {
    if test_only { Value::Bool(false) } else { Value::Optional(None) }
}

/// The element of `value` at `key`, or, inside, why it is missing.
pub(crate) fn index<'a>(value: &Value<'a>, key: &Value<'a>) -> Result<Result<Value<'a>, EvalError>, EvalError> {
    match value {
        Value::Map(map) => in_map(map, key),
        Value::List(list) => in_list(list, key),
        Value::Null | Value::Bool(_) | Value::Int(_) => Err(EvalError::no_such_key(display(key))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn in_map<'a>(map: &Map<'a>, key: &Value<'a>) -> Result<Result<Value<'a>, EvalError>, EvalError> {
    match key {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_) => {
            Ok(map.get(key).ok_or_else(|| EvalError::no_such_key(display(key))))
        }
        _ => Err(EvalError::failed(format!("unsupported key type: {}", key.runtime_type().runtime_name()))),
    }
}

fn in_list<'a>(list: &List<'a>, key: &Value<'a>) -> Result<Result<Value<'a>, EvalError>, EvalError> {
    let at = match key {
        Value::Int(at) => Some(*at),
        Value::Uint(at) => i64::try_from(*at).ok(),
        Value::Double(at) => {
            Some(double_to_int(*at).ok_or_else(|| EvalError::failed(format!("invalid index value: {at}")))?)
        }
        _ => return Err(EvalError::failed(format!("invalid list index: {}", key.runtime_type().runtime_name()))),
    };
    let found = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| list.get(at));
    Ok(found.ok_or_else(|| EvalError::failed(format!("index out of bounds: {}", display(key)))))
}

/// A key in a message.
fn display(key: &Value<'_>) -> String {
    match key {
        Value::String(text) => text.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        other => other.runtime_type().to_string(),
    }
}
