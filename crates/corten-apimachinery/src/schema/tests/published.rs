use super::{schema, table, value};
use crate::{
    managed_fields::Typed,
    openapi::{Dialect, NoDescriptions, Options},
    schema::{
        CustomKind, MetaType, Structural, UnknownFields, apply_defaults, prune, prune_nulls_without_defaults, publish,
        publish_list, to_types, validate_value, validate_value_update,
    },
    type_table::{FieldType, ListType, Shape, Type},
    value::Value,
};

const KIND: CustomKind<'static> =
    CustomKind { group: "example.com", version: "v1", kind: "Thing", list_kind: "ThingList", plural: "things" };

#[track_caller]
fn check(of: &str, dialect: Dialect, want: &str) {
    let options = Options { dialect, enums: true, descriptions: &NoDescriptions };
    assert_eq!(publish(Some(&schema(of)), KIND, &[".spec.color".into()], options), value(want));
}

const META_V3: &str = r##""apiVersion": {"type": "string"}, "kind": {"type": "string"},
    "metadata": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}"##;
const IDENTITY: &str = r#""x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Thing"}],
    "x-kubernetes-selectable-fields": [{"fieldPath": "spec.color"}]"#;

#[test]
fn version_3_tells_all_of_a_schema() {
    let spec = r#""spec": {"type": "object", "description": "d", "required": ["a"], "properties": {
        "a": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 2.5, "multipleOf": 0.5, "default": 1, "nullable": true},
        "s": {"type": "string", "pattern": "^a", "maxLength": 3, "enum": ["a", "b"]},
        "p": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "l": {"type": "array", "maxItems": 2, "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
        "m": {"type": "object", "additionalProperties": {"type": "boolean"}, "not": {"required": ["x"]},
            "x-kubernetes-validations": [{"rule": "true", "message": "m", "optionalOldSelf": true}]}
    }}"#;
    check(
        &format!(r#"{{"type": "object", "properties": {{{spec}}}}}"#),
        Dialect::V3,
        &format!(r#"{{"type": "object", "properties": {{{META_V3}, {spec}}}, {IDENTITY}}}"#),
    );
}

#[test]
fn version_2_leaves_out_what_its_clients_cannot_read() {
    let meta = META_V3.replace("components/schemas", "definitions");
    check(
        r#"{"type": "object", "required": ["n", "s"], "anyOf": [{"required": ["a"]}], "properties": {
            "n": {"type": "object", "nullable": true, "properties": {"x": {"type": "string"}}},
            "s": {"type": "string"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"x": {"type": "string"}}},
            "openList": {"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": {"type": "string"}}
        }}"#,
        Dialect::V2,
        &format!(
            r#"{{"type": "object", "required": ["s"], "properties": {{{meta}, "n": {{}}, "s": {{"type": "string"}},
                "open": {{"x-kubernetes-preserve-unknown-fields": true}},
                "openList": {{"x-kubernetes-preserve-unknown-fields": true}}}}, {IDENTITY}}}"#
        ),
    );
    check(
        r#"{"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}}"#,
        Dialect::V2,
        &format!(r#"{{"type": "object", {IDENTITY}}}"#),
    );
}

/// Upstream: `Unfold` in pkg/apiserver/schema/unfold.go.
#[test]
fn a_number_or_text_says_so_in_words_that_clients_know() {
    let either = r#""anyOf": [{"type": "integer"}, {"type": "string"}]"#;
    let said = format!(
        r#""said": {{"x-kubernetes-int-or-string": true, {either}}},
           "within": {{"x-kubernetes-int-or-string": true, "allOf": [{{{either}}}, {{"pattern": "^a"}}]}}"#
    );
    check(
        &format!(
            r#"{{"type": "object", "properties": {{{said}, "bare": {{"x-kubernetes-int-or-string": true}},
                "other": {{"x-kubernetes-int-or-string": true, "anyOf": [{{"pattern": "^a"}}]}}}}}}"#
        ),
        Dialect::V3,
        &format!(
            r#"{{"type": "object", "properties": {{{META_V3}, {said}, "bare": {{"x-kubernetes-int-or-string": true, {either}}},
                "other": {{"x-kubernetes-int-or-string": true, "anyOf": [{{"pattern": "^a"}}], "allOf": [{{{either}}}]}}}},
                {IDENTITY}}}"#
        ),
    );
}

#[test]
fn embedded_objects_have_metadata() {
    check(
        r#"{"type": "object", "properties": {"pod": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true, "required": ["kind"]}}}"#,
        Dialect::V3,
        &format!(
            r#"{{"type": "object", "properties": {{{META_V3}, "pod": {{"type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true, "required": ["kind", "apiVersion"], "properties": {{{META_V3}}}}}}},
                {IDENTITY}}}"#
        ),
    );
}

#[test]
fn lists_refer_to_their_items() {
    let options = Options { dialect: Dialect::V2, enums: true, descriptions: &NoDescriptions };
    let list = publish_list(KIND, &[], options);
    assert_eq!(list.str_at(&["description"]), Some("ThingList is a list of Thing"));
    assert_eq!(list.str_at(&["properties", "items", "items", "$ref"]), Some("#/definitions/com.example.v1.Thing"));
    assert_eq!(list.get("required"), Some(&value(r#"["items"]"#)));
}

#[test]
fn types_say_how_fields_merge() {
    let of = schema(
        r#"{"type": "object", "properties": {
            "metadata": {"type": "object"},
            "spec": {"type": "object", "required": ["set"], "properties": {
                "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                    "items": {"type": "object", "properties": {"k": {"type": "string", "default": "d"}, "v": {"type": "integer"}}}},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
                "free": {"type": "object", "additionalProperties": {"type": "string"}},
                "port": {"x-kubernetes-int-or-string": true},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
            }}}}"#,
    );
    let (types, root) = to_types(Some(&of), KIND, &table()).unwrap();
    assert_eq!(types.find_kind("example.com", "v1", "Thing"), Some(root));
    let find = |path: &[&str]| {
        let mut ty = FieldType::Ref(root);
        let mut found = None;
        for name in path {
            let field = types.as_struct(&ty).unwrap().field(name).unwrap().clone();
            ty = field.ty.clone();
            found = Some(field);
        }
        found.unwrap()
    };
    assert_eq!(find(&["metadata"]).ty, FieldType::Ref(types.find(MetaType::NAME).unwrap()));
    assert!(find(&["spec", "set"]).required);
    assert_eq!(find(&["spec", "set"]).list, Some(ListType::Set));
    assert_eq!(find(&["spec", "keyed"]).list, Some(ListType::Map(vec!["k".into()])));
    assert_eq!(find(&["spec", "whole"]).atomic, Some(true));
    assert!(matches!(find(&["spec", "free"]).ty, FieldType::Map(_)));
    assert_eq!(find(&["spec", "port"]).ty, FieldType::Any);
    let FieldType::Ref(open) = find(&["spec", "open"]).ty else { panic!("it is a struct") };
    assert!(matches!(&types.get(open).shape, Shape::Struct(shape) if shape.preserve_unknown));

    let object = value(
        r#"{"spec": {"set": ["a"], "keyed": [{"v": 1}], "whole": {"a": "b"}, "free": {"x": "y"}, "port": 1, "open": {"u": 1}}}"#,
    );
    let set = Typed::new(&types, root).field_set(&object);
    let text = format!("{:?}", set);
    for part in ["\"d\"", "free", "whole", "open"] {
        assert!(text.contains(part), "{text}");
    }
}

/// The later one took the place of the earlier: what was declared in one of them was then not declared in either.
#[test]
fn properties_with_dots_have_types_of_their_own() {
    let inner = |field: &str| format!(r#"{{"type": "object", "properties": {{"{field}": {{"type": "string"}}}}}}"#);
    for (first, second) in [
        (
            format!(r#""a.b": {}"#, inner("x")),
            format!(r#""a": {{"type": "object", "properties": {{"b": {}}}}}"#, inner("y")),
        ),
        (format!(r#""a[]": {}"#, inner("x")), format!(r#""a": {{"type": "array", "items": {}}}"#, inner("y"))),
        (
            format!(r#""a{{}}": {}"#, inner("x")),
            format!(r#""a": {{"type": "object", "additionalProperties": {}}}"#, inner("y")),
        ),
        (format!(r#""a~1b": {}"#, inner("x")), format!(r#""a.b": {}"#, inner("y"))),
    ] {
        let of = schema(&format!(r#"{{"type": "object", "properties": {{{first}, {second}}}}}"#));
        let (types, _) = to_types(Some(&of), KIND, &table()).unwrap();
        let has = |name: &str| {
            let with = |ty: &Type| matches!(&ty.shape, Shape::Struct(shape) if shape.field(name).is_some());
            types.iter().filter(|(_, ty)| with(ty)).count()
        };
        assert_eq!((has("x"), has("y")), (1, 1), "{first} {second}");
    }
}

/// Each level of the schema is one of the object, so the deepest that can be decoded is the deepest that is walked.
#[test]
fn the_deepest_objects_are_walked() {
    let levels = 250;
    let props = (0..levels).fold(value(r#"{"type": "string", "default": "d"}"#), |inner, _| {
        Value::object_of([("type", "object".into()), ("properties", Value::object_of([("a", inner)]))])
    });
    let of = Structural::from_props(&props).unwrap();
    let mut object = (1..levels).fold(Value::object(), |inner, _| Value::object_of([("a", inner)]));
    prune(&mut object, &of, true, &mut UnknownFields::tracked());
    prune_nulls_without_defaults(&mut object, &of);
    apply_defaults(&mut object, &of);
    let path = vec!["a"; levels];
    assert_eq!(object.str_at(&path), Some("d"));
    assert!(validate_value(None, &object, &of).is_empty());
    let mut wrong = object.clone();
    wrong.set(&path, 1_i64);
    assert_eq!(validate_value_update(None, &wrong, &object, &of).len(), 1);
    assert!(validate_value_update(None, &wrong, &wrong, &of).is_empty());
    assert!(to_types(Some(&of), KIND, &table()).is_some());
}
