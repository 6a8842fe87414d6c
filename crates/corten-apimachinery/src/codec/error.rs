//! Why bytes cannot be read.

/// Why bytes are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no object of the type asked for. The text is upstream's, for clients show it.
    #[error("{0}")]
    Malformed(String),
    /// They are nested more deeply than is read here. The text is that of the encoding.
    #[error("{0}")]
    TooDeep(&'static str),
    /// They hold more objects than the caller takes, see `objects`.
    #[error("limit is {0} objects in one body")]
    TooManyObjects(usize),
}

impl DecodeError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}
