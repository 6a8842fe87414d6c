//! What Go calls the type of a value, in messages that clients know.

use super::Value;

impl Value {
    /// The type that Go's decoder gives it, as `%T` prints that.
    #[must_use]
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int64",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Array(_) => "[]interface {}",
            Self::Object(_) | Self::Raw(_) => "map[string]interface {}",
        }
    }

    /// What Go's decoder of JSON calls it where it cannot stand.
    #[must_use]
    pub fn go_json_type(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) | Self::Raw(_) => "object",
        }
    }
}
