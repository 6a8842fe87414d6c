//! Keys of maps that expressions make.

use super::{Text, Value, double_to_int};

/// A key: numbers that are equal are one key, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// Truth value.
    Bool(bool),
    /// A number that fits.
    Int(i64),
    /// A number beyond.
    Uint(u64),
    /// Text.
    String(Text<'a>),
}

impl<'a> Key<'a> {
    /// The key that `value` is when a map is made; `None` if it can be none.
    #[must_use]
    pub fn of(value: &Value<'a>) -> Option<Self> {
        Some(match value {
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Int(number) => Self::Int(*number),
            Value::Uint(number) => i64::try_from(*number).map_or(Self::Uint(*number), Self::Int),
            Value::String(text) => Self::String(text.clone()),
            _ => return None,
        })
    }

    /// The key that `value` finds: numbers with fraction zero find integers, too.
    #[must_use]
    pub fn sought(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Double(number) => match double_to_int(*number) {
                Some(number) => Some(Self::Int(number)),
                None if *number >= 0.0 && number.fract() == 0.0 && *number < 18_446_744_073_709_551_616.0 => {
                    // Lossless: whole and in range.
                    Some(Self::Uint(*number as u64))
                }
                None => None,
            },
            other => Self::of(other),
        }
    }
}
