//! What a name means: variables of loops, of the caller, types. A container's names need no prefix.
//!
//! Upstream: cel-go checker/env.go, common/containers/container.go (v0.26.0).

use std::sync::Arc;

use super::{Checker, Reference};
use crate::{
    environment::{Declarations, FunctionDeclaration},
    types::{OPTIONAL, Type},
    value::Value,
};

/// The names that `name` may be short for in `container`, the longest first. With a leading dot it is short for nothing.
fn candidates(container: &str, name: &str) -> Vec<String> {
    if let Some(absolute) = name.strip_prefix('.') {
        return vec![absolute.to_owned()];
    }
    let mut found = Vec::new();
    let mut prefix = container;
    while !prefix.is_empty() {
        found.push(format!("{prefix}.{name}"));
        prefix = prefix.rsplit_once('.').map_or("", |(shorter, _)| shorter);
    }
    found.push(name.to_owned());
    found
}

impl Checker<'_> {
    /// The type of what `name` refers to, and that.
    pub(super) fn look_up(&self, name: &str) -> Option<(Type, Reference)> {
        if let Some((variable, found)) = self.scopes.iter().rev().find(|(variable, _)| &**variable == name) {
            return Some((found.clone(), Reference::Ident { name: variable.clone(), constant: None }));
        }
        candidates(&self.declarations.container, name).iter().find_map(|name| {
            if let Some(found) = self.declarations.variables.get(name.as_str()) {
                return Some((found.clone(), Reference::Ident { name: name.as_str().into(), constant: None }));
            }
            let found = type_named(self.declarations, name)?;
            let constant = Some(Value::Type(found.clone()));
            Some((Type::of_type(found), Reference::Ident { name: name.as_str().into(), constant }))
        })
    }

    pub(super) fn function(&self, name: &str) -> Option<Arc<FunctionDeclaration>> {
        candidates(&self.declarations.container, name)
            .iter()
            .find_map(|name| self.declarations.functions.get(name.as_str()).cloned())
    }
}

fn type_named(declarations: &Declarations, name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null_type" => Type::Null,
        "type" => Type::Type(None),
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        OPTIONAL if declarations.syntax.optionals => Type::optional(Type::Dyn),
        name if declarations.opaque_types.contains(&name) => Type::Opaque(name.into(), [].into()),
        name if declarations.provider.has_type(name) => Type::object(name),
        _ => return None,
    })
}
