//! Bytes that are a part of an object, where they stand in base64, or of the program, or were made.
//!
//! To select a field costs a unit, however long its text is. What an object has is therefore read when it is used and not
//! before, and the evaluation pays for that: see [`Context::bytes`](crate::eval::Context::bytes).

use std::sync::Arc;

use base64::{
    DecodeError, Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

use crate::error::EvalError;

/// As Go reads it: bits that the last character has too many do not matter.
///
/// Upstream reads `-` and `_` here, which the format `byte` refuses, in place of `+` and `/`, which it has: expressions can do
/// nothing with bytes that have one of these two. This is not followed.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Bytes.
#[derive(Debug, Clone)]
pub enum Bytes<'a> {
    /// In the object, in base64.
    Encoded(&'a str),
    /// Made by the expression, or a constant of it.
    Decoded(Arc<[u8]>),
}

impl Bytes<'_> {
    /// How many they are. Text that is not base64 is taken for it; whoever reads it is told.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Encoded(text) => {
                let padding = text.bytes().rev().take(2).take_while(|byte| *byte == b'=').count();
                (text.len() / 4 * 3).saturating_sub(padding)
            }
            Self::Decoded(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Decoded(bytes.into())
    }
}

impl From<&[u8]> for Bytes<'_> {
    fn from(bytes: &[u8]) -> Self {
        Self::Decoded(bytes.into())
    }
}

/// What `text` is in base64.
///
/// Errors: it is none. A schema says so before its rules are asked, but not of what was stored before it had the format.
pub(crate) fn decode(text: &str) -> Result<Arc<[u8]>, EvalError> {
    BASE64.decode(text).map(Into::into).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) => at,
            _ => text.len() - text.len() % 4,
        };
        EvalError::failed(format!("Invalid byte formatted string {text}: illegal base64 data at input byte {at}"))
    })
}
