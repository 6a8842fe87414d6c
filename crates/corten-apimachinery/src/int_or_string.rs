//! A number or a text: ports by number or name, budgets by count or percentage.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/intstr (v1.35).

use std::fmt;

use crate::{
    field::quote,
    value::{Str, Value},
};

/// A number or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A name, or a percentage such as `25%`.
    String(Str),
}

/// Why there is no number in it. The text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for IntOrString: {0}")]
pub struct ScaleError(String);

impl IntOrString {
    /// Reads a node of an object; `None` for anything that is neither, or a number out of range.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => i32::try_from(*number).ok().map(Self::Int),
            Value::String(text) => Some(Self::String(text.clone())),
            _ => None,
        }
    }

    /// The number itself, or the percentage of `total`, rounded up or down.
    ///
    /// Errors: a text that is no percentage.
    pub fn scaled(&self, total: i32, rounds_up: bool) -> Result<i32, ScaleError> {
        let text = match self {
            Self::Int(number) => return Ok(*number),
            Self::String(text) => text,
        };
        let digits =
            text.strip_suffix('%').ok_or_else(|| ScaleError("invalid type: string is not a percentage".to_owned()))?;
        let percent: i64 = digits.parse().map_err(|_| {
            ScaleError(format!(
                "invalid value {}: strconv.Atoi: parsing {}: invalid syntax",
                quote(text),
                quote(digits)
            ))
        })?;
        let product = i128::from(percent) * i128::from(total);
        let quotient = if rounds_up { -(-product).div_euclid(100) } else { product / 100 };
        Ok(quotient.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(text) => f.write_str(text),
        }
    }
}

impl From<IntOrString> for Value {
    fn from(value: IntOrString) -> Self {
        match value {
            IntOrString::Int(number) => Self::Int(number.into()),
            IntOrString::String(text) => Self::String(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: impl Into<Value>, total: i32, up: i32, down: i32) {
        let value = IntOrString::from_value(&value.into()).unwrap();
        assert_eq!((value.scaled(total, true), value.scaled(total, false)), (Ok(up), Ok(down)));
    }

    #[test]
    fn a_percentage_is_of_the_total() {
        check("25%", 10, 3, 2);
        check("0%", 10, 0, 0);
        check("100%", 10, 10, 10);
        check("50%", 10, 5, 5);
        check(7, 10, 7, 7);
    }

    #[test]
    fn other_texts_have_no_number() {
        let scaled = |text: &str| IntOrString::String(text.into()).scaled(1, true).unwrap_err().to_string();
        assert_eq!(scaled("web"), "invalid value for IntOrString: invalid type: string is not a percentage");
        assert_eq!(
            scaled("a%"),
            r#"invalid value for IntOrString: invalid value "a%": strconv.Atoi: parsing "a": invalid syntax"#
        );
    }
}
