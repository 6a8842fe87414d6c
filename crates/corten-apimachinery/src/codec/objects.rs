//! How many objects a text becomes, counted while it is read: as bytes they are nothing, as trees they cost hundreds of times
//! as much, so who reads what strangers send has a bound.
//!
//! Those that the type adds count as well: what a null is in a list of structs, and structs that are always written. So
//! what was read once and written in canonical form can be read again under the same bound.
//! Not counted are the sets in `metadata.managedFields`: they stay as they are, and have an object for each field.

use super::DecodeError;

/// How many objects there may still be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objects {
    /// `None` once there were more.
    left: Option<usize>,
    max: usize,
}

impl Objects {
    pub(super) fn at_most(max: usize) -> Self {
        Self { left: Some(max), max }
    }

    /// There is one more, at `place`.
    pub(super) fn count(&mut self, place: Place) -> Result<(), DecodeError> {
        self.count_all(1, place)
    }

    /// There are `more`, at `place`.
    pub(super) fn count_all(&mut self, more: usize, place: Place) -> Result<(), DecodeError> {
        if place != Place::FieldSet {
            self.left = self.left.and_then(|left| left.checked_sub(more));
        }
        self.refusal().map_or(Ok(()), Err)
    }

    /// That there were too many, if there were.
    pub(super) fn refusal(&self) -> Option<DecodeError> {
        self.left.is_none().then_some(DecodeError::TooManyObjects(self.max))
    }
}

/// Where in an object a reader is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Metadata,
    ManagedFields,
    /// One of the managed fields.
    Entry,
    /// The set of one of them, or within it.
    FieldSet,
    Elsewhere,
}

impl Place {
    /// The place of the field `key` of an object here.
    pub(super) fn field(self, key: &str) -> Self {
        match (self, key) {
            (Self::Elsewhere, _) => Self::Elsewhere,
            (Self::Root, "metadata") => Self::Metadata,
            (Self::Metadata, "managedFields") => Self::ManagedFields,
            (Self::Entry, "fieldsV1") | (Self::FieldSet, _) => Self::FieldSet,
            _ => Self::Elsewhere,
        }
    }

    /// The place of an item of a list here.
    pub(super) fn item(self) -> Self {
        match self {
            Self::ManagedFields => Self::Entry,
            Self::FieldSet => Self::FieldSet,
            _ => Self::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        codec::{DecodeError, FieldValidation, cbor, json, protobuf, yaml},
        type_table::{Field, FieldType, Presence, Shape, Struct, Type, TypeId, TypeTable},
        value::Value,
    };

    fn tree(mut value: Value) -> Value {
        value.expand_raw();
        value
    }

    /// A body of 3 MB with a million empty containers cost gigabytes; then it was refused, but only when it was a tree.
    #[test]
    fn objects_are_counted_in_every_encoding_but_for_sets_of_managed_fields() {
        #[track_caller]
        fn check(text: &str, max: usize) {
            let value = tree(json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value);
            let (block, binary) = (yaml::encode(&value), cbor::encode(&value));
            let all = |max: usize| {
                [
                    json::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, max),
                    yaml::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, max),
                    yaml::decode_bounded(&block, None, FieldValidation::Warn, max),
                    cbor::decode_bounded(&binary, None, FieldValidation::Warn, max),
                ]
            };
            for decoded in all(max) {
                assert_eq!(tree(decoded.unwrap().value), value, "{text}");
            }
            for decoded in all(max - 1) {
                assert_eq!(decoded.unwrap_err(), DecodeError::TooManyObjects(max - 1), "{text}");
            }
        }
        check("{}", 1);
        check(r#"[{}, [{"a": {}}], {}]"#, 4);
        check(r#"{"a": {"b": {}}, "c": [{}, 1, {"d": {}}]}"#, 6);
        check(r#"{"metadata": {"managedFields": [{"fieldsV1": {"f:a": {"f:b": {}}, "x": [{}]}}, {}]}}"#, 4);
        check(r#"{"spec": {"metadata": {"managedFields": [{"fieldsV1": {"f:a": {"f:b": {}}}}]}}}"#, 7);
        check(r#"{"metadata": {"managedFields": {"fieldsV1": {"f:a": {}}}}}"#, 5);
        check(r#"[{"metadata": {"managedFields": [{"fieldsV1": {"f:a": {}}}]}}]"#, 5);
    }

    /// It was read to its end before it was refused, in nine seconds.
    #[test]
    fn what_comes_behind_too_many_objects_is_not_read() {
        let text = format!("[{}\u{1}", "{},".repeat(1_000));
        let refused = Err(DecodeError::TooManyObjects(2));
        assert_eq!(json::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, 2), refused);
        assert_eq!(yaml::decode_bounded(text.as_bytes(), None, FieldValidation::Warn, 2), refused);
        assert_eq!(cbor::decode_bounded(b"\x84\xa0\xa0\xa0", None, FieldValidation::Warn, 2), refused);
    }

    /// A list and a map of structs that always have a struct with a struct in it.
    fn typed() -> (TypeTable, TypeId) {
        let mut table = TypeTable::default();
        let field = |name: &str, number: u32, presence: Presence, ty: &FieldType| Field {
            name: name.into(),
            ty: ty.clone(),
            numbers: [number].into_iter().collect(),
            presence,
            ..Field::default()
        };
        let mut define = |name: &str, fields: Vec<Field>| {
            let shape = Shape::Struct(Struct::new(fields));
            table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true })
        };
        let inner = FieldType::Ref(define("Inner", Vec::new()));
        let outer = FieldType::Ref(define("Outer", vec![field("inner", 1, Presence::Always, &inner)]));
        let item = FieldType::Ref(define("Item", vec![field("outer", 1, Presence::Always, &outer)]));
        let (list, map) = (FieldType::List(Arc::new(item.clone())), FieldType::Map(Arc::new(item)));
        let (list, map) = (field("list", 1, Presence::OmitEmpty, &list), field("map", 2, Presence::OmitEmpty, &map));
        let root = define("Root", vec![list, map]);
        (table, root)
    }

    /// Nulls in a list of containers were not counted, and became whole containers: 3 MiB of them passed the bound.
    #[test]
    fn objects_that_the_type_makes_are_counted() {
        #[track_caller]
        fn check(text: &str, max: usize) {
            let (table, root) = typed();
            let ty = Some((&table, root));
            let tree = json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
            let (block, binary) = (yaml::encode(&tree), cbor::encode(&tree));
            let all = |max: usize| {
                [
                    json::decode_bounded(text.as_bytes(), ty, FieldValidation::Warn, max),
                    yaml::decode_bounded(&block, ty, FieldValidation::Warn, max),
                    cbor::decode_bounded(&binary, ty, FieldValidation::Warn, max),
                ]
            };
            for decoded in all(max - 1) {
                assert_eq!(decoded.unwrap_err(), DecodeError::TooManyObjects(max - 1), "{text}");
            }
            for decoded in all(max) {
                // What is written then is read under the same bound.
                let value = decoded.unwrap().value;
                let canonical = json::encode(&value, None);
                assert_eq!(json::decode_bounded(&canonical, ty, FieldValidation::Warn, max).unwrap().value, value);
            }
        }
        check(r#"{"list": [null]}"#, 4);
        check(r#"{"list": [{}]}"#, 4);
        check(r#"{"list": [null, {"outer": null}, {"outer": {}}, {"outer": {"inner": {}}}]}"#, 13);
        check(r#"{"map": {"a": null, "b": {}}}"#, 8);
    }

    #[test]
    fn objects_that_the_type_makes_are_counted_in_protobuf() {
        let (table, root) = typed();
        let check = |message: &[u8], max: usize| {
            // The envelope: a type without name, then the message as its field 2.
            let len = u8::try_from(message.len()).unwrap();
            let bytes = [b"k8s\0\x0a\x00\x12", &[len][..], message].concat();
            let refused = Err(DecodeError::TooManyObjects(max - 1));
            assert_eq!(protobuf::decode_bounded(&bytes, &table, root, max - 1), refused);
            protobuf::decode_bounded(&bytes, &table, root, max).unwrap();
        };
        // Items that are empty; an entry of the map without a value, and one with an empty value before it.
        check(b"\x0a\x00\x0a\x00", 7);
        check(b"\x12\x00", 5);
        check(b"\x12\x02\x12\x00\x12\x00", 8);
    }

    /// JSON within protobuf was read without a bound: a body of 3 MB became a million objects.
    #[test]
    fn objects_in_json_within_protobuf_are_counted() {
        let check = |shape: Shape, text: &str, max: usize| {
            let mut table = TypeTable::default();
            let mut define = |name: &str, shape: Shape| {
                table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true })
            };
            let raw = FieldType::Ref(define("Raw", shape));
            let field = Field { name: "data".into(), ty: raw, numbers: [1].into_iter().collect(), ..Field::default() };
            let root = define("Root", Shape::Struct(Struct::new(vec![field])));
            let put = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
            let bytes = [b"k8s\0".as_slice(), &put(0x12, &put(0x0a, &put(0x0a, text.as_bytes())))].concat();
            if max > 1 {
                let refused = Err(DecodeError::TooManyObjects(max - 1));
                assert_eq!(protobuf::decode_bounded(&bytes, &table, root, max - 1), refused, "{text}");
            }
            let read = protobuf::decode_bounded(&bytes, &table, root, max).unwrap();
            let data = json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
            assert_eq!(read.get("data").cloned().map(tree), Some(tree(data)));
        };
        for shape in [Shape::RawExtension, Shape::Json] {
            check(shape.clone(), r#"[{}, {"a": {}}]"#, 4);
            check(shape, r#"{"metadata": {"managedFields": [{"fieldsV1": {"f:a": {}}}]}}"#, 6);
        }
        // Sets of managed fields are not counted anywhere.
        check(Shape::FieldsV1, r#"{"f:a": {"f:b": {}}}"#, 1);
    }
}
