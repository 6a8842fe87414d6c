//! What the checker asks about types that are not the language's own.

use super::Type;

/// Knows the fields of object types, such as those that come from the schema of a custom resource.
///
/// The values of an object's fields are read at evaluation through a [`Shape`](crate::value::Shape), which has to agree.
pub trait TypeProvider: Send + Sync {
    /// Whether there is an object type of this name.
    fn has_type(&self, name: &str) -> bool;

    /// The type of a field; `None` if the type has no such field.
    fn field(&self, type_name: &str, field: &str) -> Option<Type>;
}

/// No object types.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTypes;

impl TypeProvider for NoTypes {
    fn has_type(&self, _: &str) -> bool {
        false
    }

    fn field(&self, _: &str, _: &str) -> Option<Type> {
        None
    }
}
