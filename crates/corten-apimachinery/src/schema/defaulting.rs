//! Fills in the defaults of a schema, and takes away nulls that stand for nothing.
//!
//! Order, as upstream: `prune_nulls_without_defaults`, then `apply_defaults`.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/{algorithm,prunenulls}.go (v1.35).

use super::{AdditionalProperties, Structural};
use crate::value::{Map, Str, Value};

/// Fills in what is absent and has a default, from the top down: a default is filled in further by the defaults below it. A
/// null that may not be null is replaced by its default.
pub fn apply_defaults(value: &mut Value, schema: &Structural) {
    match value {
        Value::Object(map) => {
            fill_in(map, schema);
            let additional = schema.additional_properties.as_ref().and_then(AdditionalProperties::schema);
            if map.is_empty() || (schema.properties.is_empty() && additional.is_none()) {
                return;
            }
            for (name, child) in map.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    apply_defaults(child, property);
                } else if let Some(additional) = additional {
                    replace_null(child, additional);
                    apply_defaults(child, additional);
                }
            }
        }
        Value::Array(_) => {
            let Some(items) = &schema.items else { return };
            for item in value.as_array_mut().into_iter().flatten() {
                replace_null(item, items);
                apply_defaults(item, items);
            }
        }
        _ => {}
    }
}

/// Puts the defaults of absent fields in, in one pass: one by one, each would move those behind it.
fn fill_in(map: &mut Map, schema: &Structural) {
    let missing: Vec<(Str, Value)> = schema
        .properties
        .iter()
        .filter_map(|(name, property)| {
            let default = property.generic.default.as_ref()?;
            let is_missing = match map.get(name) {
                None => true,
                Some(value) => value.is_null() && !property.generic.nullable,
            };
            is_missing.then(|| (name.clone(), default.clone()))
        })
        .collect();
    if missing.is_empty() {
        return;
    }
    let edited =
        std::mem::take(map).edit(missing.into_iter(), |_, _, default| Ok::<_, std::convert::Infallible>(Some(default)));
    match edited {
        Ok(edited) => *map = edited,
        Err(never) => match never {},
    }
}

fn replace_null(value: &mut Value, schema: &Structural) {
    if value.is_null()
        && !schema.generic.nullable
        && let Some(default) = &schema.generic.default
    {
        *value = default.clone();
    }
}

/// Takes away fields that are null where they may not be, and have no default that would take their place.
pub fn prune_nulls_without_defaults(value: &mut Value, schema: &Structural) {
    match value {
        Value::Object(map) => map.retain(|name, child| {
            let Some(schema) = schema.field(name) else { return true };
            if child.is_null() && !schema.generic.nullable && schema.generic.default.is_none() {
                return false;
            }
            prune_nulls_without_defaults(child, schema);
            true
        }),
        Value::Array(_) => {
            let Some(items) = &schema.items else { return };
            for item in value.as_array_mut().into_iter().flatten() {
                prune_nulls_without_defaults(item, items);
            }
        }
        _ => {}
    }
}
