//! Errors of evaluation, in the words that clients see.
//!
//! Upstream: cel-go common/types/err.go, interpreter/interpreter.go (v0.26.0).

use std::borrow::Cow;

/// What an error means for the rest of the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An operation failed: `true || error` is true still.
    Failed,
    /// The expression cost more than it may, or made more than there is memory for.
    CostLimit,
    /// It made something larger, or looked at more, than is allowed.
    TooLarge,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What it means.
    pub kind: ErrorKind,
    message: Cow<'static, str>,
}

impl EvalError {
    /// An operation failed.
    #[must_use]
    pub fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::Failed, message: message.into() }
    }

    pub(crate) fn too_large(message: &'static str) -> Self {
        Self { kind: ErrorKind::TooLarge, message: message.into() }
    }

    pub(crate) fn cost_limit() -> Self {
        let message = "operation cancelled: actual cost limit exceeded".into();
        Self { kind: ErrorKind::CostLimit, message }
    }

    pub(crate) fn no_such_overload() -> Self {
        Self::failed("no such overload")
    }

    pub(crate) fn no_such_key(key: impl std::fmt::Display) -> Self {
        Self::failed(format!("no such key: {key}"))
    }

    pub(crate) fn no_such_attribute(name: &str) -> Self {
        Self::failed(format!("no such attribute(s): {name}"))
    }

    /// Whether evaluation goes no further, whatever the other operand is.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.kind != ErrorKind::Failed
    }
}
