//! What an object is once it was stored: upstream stores messages, which do not tell a list without items from none.
//!
//! Upstream: `Create` and `GuaranteedUpdate` in k8s.io/apiserver/pkg/storage/etcd3/store.go answer what they read of the
//! bytes that they wrote (v1.35).

use crate::{
    type_table::{FieldType, Presence, Shape, TypeId, TypeTable},
    value::Value,
};

/// Makes lists without items what they are when the object is read again: null where they are always written, and absent
/// elsewhere. What stands in an object verbatim stays as it is.
pub fn settle_empty_lists(object: &mut Value, table: &TypeTable, type_id: TypeId) {
    if has_empty_list(object) {
        settle(object, table, &FieldType::Ref(type_id));
    }
}

/// Most objects have none, so they are not looked up in the table, nor copied where they are shared.
fn has_empty_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(has_empty_list),
        Value::Object(map) => map.iter().any(|(_, value)| has_empty_list(value)),
        _ => false,
    }
}

fn settle(value: &mut Value, table: &TypeTable, ty: &FieldType) {
    match ty {
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(target) => settle(value, table, target),
            Shape::Struct(shape) => {
                let Some(map) = value.as_object_mut() else { return };
                map.retain(|key, child| {
                    let Some(field) = shape.field(key) else { return true };
                    if is_empty_list(child, table, &field.ty) {
                        *child = Value::Null;
                        return field.presence == Presence::Always;
                    }
                    settle(child, table, &field.ty);
                    true
                });
            }
            _ => {}
        },
        FieldType::List(item_type) => {
            value.as_array_mut().into_iter().flatten().for_each(|item| settle(item, table, item_type));
        }
        FieldType::Map(item_type) => {
            for (_, item) in value.as_object_mut().into_iter().flat_map(|map| map.iter_mut()) {
                if is_empty_list(item, table, item_type) {
                    *item = Value::Null;
                } else {
                    settle(item, table, item_type);
                }
            }
        }
        _ => {}
    }
}

fn is_empty_list(value: &Value, table: &TypeTable, ty: &FieldType) -> bool {
    value.as_array().is_some_and(<[_]>::is_empty) && is_list(table, ty)
}

fn is_list(table: &TypeTable, ty: &FieldType) -> bool {
    match ty {
        FieldType::List(_) => true,
        FieldType::Ref(id) => matches!(&table.get(*id).shape, Shape::Alias(target) if is_list(table, target)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json as object;

    use super::*;
    use crate::{
        codec::{FieldValidation, json},
        type_table::{Field, Struct, Type},
    };

    fn table() -> (TypeTable, TypeId) {
        let mut table = TypeTable::default();
        let (extra, raw, root) = (table.declare("Extra"), table.declare("Raw"), table.declare("Root"));
        let texts = FieldType::List(Arc::new(FieldType::String));
        let ty = |name: &str, shape| Type { name: name.into(), shape, kinds: Vec::new(), served: false };
        table.define(ty("Extra", Shape::Alias(texts.clone())));
        table.define(ty("Raw", Shape::RawExtension));
        let field = |name: &str, ty, presence| Field { name: name.into(), ty, presence, ..Field::default() };
        let roots = FieldType::List(Arc::new(FieldType::Ref(root)));
        let shape = Struct::new(vec![
            field("always", texts.clone(), Presence::Always),
            field("omitted", texts, Presence::OmitEmpty),
            field("items", roots, Presence::OmitEmpty),
            field("extra", FieldType::Map(Arc::new(FieldType::Ref(extra))), Presence::OmitEmpty),
            field("raw", FieldType::Ref(raw), Presence::OmitEmpty),
            field("text", FieldType::String, Presence::Always),
        ]);
        table.define(ty("Root", Shape::Struct(shape)));
        (table, root)
    }

    #[test]
    fn a_list_without_items_is_none() {
        let (table, root) = table();
        let check = |object: serde_json::Value, want: serde_json::Value| {
            let tree = |value: &serde_json::Value| {
                json::decode(value.to_string().as_bytes(), None, FieldValidation::Ignore).unwrap().value
            };
            let mut object = tree(&object);
            settle_empty_lists(&mut object, &table, root);
            assert_eq!(object, tree(&want));
        };
        check(object!({"always": [], "omitted": []}), object!({"always": null}));
        check(object!({"always": ["a"], "omitted": [""]}), object!({"always": ["a"], "omitted": [""]}));
        check(
            object!({"items": [{"always": []}, {"omitted": [], "items": []}]}),
            object!({"items": [{"always": null}, {}]}),
        );
        check(object!({"extra": {"a": [], "b": ["c"]}}), object!({"extra": {"a": null, "b": ["c"]}}));
        check(object!({"raw": {"always": []}, "text": []}), object!({"raw": {"always": []}, "text": []}));
    }
}
