//! The languages in which a change of an object can be said.

pub mod json;
pub mod merge;
pub mod strategic;
mod work;

/// Why a patch does not lead to an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// It is no patch.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit the object.
    #[error("{0}")]
    Inapplicable(String),
    /// It has too many operations, costs too much, or makes too large an object.
    #[error("{0}")]
    TooLarge(String),
}
