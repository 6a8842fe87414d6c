//! What holds for every schema and object.

use proptest::prelude::*;

use crate::{
    field::Path,
    schema::{
        Structural, UnknownFields, apply_defaults, prune, prune_nulls_without_defaults, validate_lists, validate_value,
        validate_value_update,
    },
    value::Value,
};

const NAMES: [&str; 4] = ["a", "b", "metadata", "kind"];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..3).prop_map(Value::Int),
        (-3_i32..3).prop_map(|number| Value::Float(f64::from(number) / 2.0)),
        "[ab1]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..4).prop_map(Value::object_of),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let words = (
        prop::sample::select(&["", "string", "integer", "number", "boolean", "object", "array"][..]),
        any::<bool>(),
        prop::option::of(any_value()),
        prop::option::of(-2_i64..3),
        prop::sample::select(&["", "set", "map", "atomic"][..]),
        any::<[bool; 3]>(),
    );
    let leaf = words.prop_map(|(ty, nullable, default, limit, list_type, [preserve, embedded, int_or_string])| {
        let mut schema = Value::object();
        schema.set(&["type"], ty);
        schema.set(&["nullable"], nullable);
        if let Some(default) = default {
            schema.set(&["default"], default);
        }
        if let Some(limit) = limit {
            for key in ["maximum", "minLength", "maxItems", "minProperties", "multipleOf"] {
                schema.set(&[key], limit);
            }
            schema.set(&["enum"], vec![Value::Int(limit), "a".into(), Value::Null]);
        }
        if !list_type.is_empty() {
            schema.set(&["x-kubernetes-list-type"], list_type);
            schema.set(&["x-kubernetes-list-map-keys"], vec![Value::from("a")]);
        }
        if preserve {
            schema.set(&["x-kubernetes-preserve-unknown-fields"], true);
        }
        schema.set(&["x-kubernetes-embedded-resource"], embedded);
        schema.set(&["x-kubernetes-int-or-string"], int_or_string);
        schema
    });
    let leaf = leaf.boxed();
    let more = leaf.clone();
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let properties = prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner.clone(), 0..4);
        let clauses = prop::collection::vec(inner.clone(), 0..3);
        let key = prop::sample::select(&["allOf", "anyOf", "oneOf"][..]);
        (more.clone(), properties, prop::option::of(inner.clone()), prop::option::of(inner), key, clauses).prop_map(
            |(mut schema, properties, items, additional, key, clauses)| {
                schema.set(&["properties"], Value::object_of(properties));
                if let Some(items) = items {
                    schema.set(&["items"], items);
                }
                if let Some(additional) = additional {
                    schema.set(&["additionalProperties"], additional);
                }
                schema.set(&[key], clauses);
                schema
            },
        )
    })
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(schema in any_schema(), object in any_value(), is_root: bool) {
        let schema = Structural::from_props(&schema).unwrap();
        let mut once = object;
        prune(&mut once, &schema, is_root, &mut UnknownFields::tracked());
        let mut twice = once.clone();
        let mut unknown = UnknownFields::tracked();
        prune(&mut twice, &schema, is_root, &mut unknown);
        prop_assert_eq!(once, twice);
        prop_assert_eq!(unknown.into_paths(), Vec::<String>::new());
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(schema in any_schema(), object in any_value()) {
        let schema = Structural::from_props(&schema).unwrap();
        let mut once = object;
        prune_nulls_without_defaults(&mut once, &schema);
        apply_defaults(&mut once, &schema);
        let mut twice = once.clone();
        apply_defaults(&mut twice, &schema);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_has_not_changed_does_not_fail(schema in any_schema(), object in any_value()) {
        let schema = Structural::from_props(&schema).unwrap();
        let _ = validate_value(None, &object, &schema);
        let list_errors = validate_lists(&Path::root(), &schema, &object);
        let errors = validate_value_update(None, &object, &object, &schema);
        // Fields without a schema are not compared, so only where there are none the whole object is as it was.
        let mut pruned = object.clone();
        prune(&mut pruned, &schema, false, &mut UnknownFields::ignored());
        // Items that share their keys, or have none, cannot be told apart.
        let is_told_apart = list_errors.is_empty() && has_keys(&schema, &object);
        if pruned == object && !has_open_objects(&schema) && is_told_apart {
            prop_assert!(errors.is_empty(), "{:?}", errors);
        }
    }
}

/// Whether all items of lists of type `map` are objects, which alone have keys.
fn has_keys(schema: &Structural, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| {
            let is_keyed = schema.extensions.list_type.as_deref() == Some("map");
            (!is_keyed || item.as_object().is_some())
                && schema.items.as_deref().is_none_or(|schema| has_keys(schema, item))
        }),
        Value::Object(map) => {
            map.iter().all(|(name, value)| schema.field(name).is_none_or(|schema| has_keys(schema, value)))
        }
        _ => true,
    }
}

/// Whether fields without a schema stay somewhere.
fn has_open_objects(schema: &Structural) -> bool {
    schema.extensions.preserve_unknown_fields
        || schema.extensions.embedded_resource
        || schema.items.as_deref().is_some_and(has_open_objects)
        || schema.properties.values().any(has_open_objects)
        || schema
            .additional_properties
            .as_ref()
            .and_then(|additional| additional.schema())
            .is_some_and(has_open_objects)
}
