use std::sync::Arc;

use super::*;
use crate::{
    Value,
    type_table::{Field, FieldType, ListType, Presence, Shape, Struct, Type, TypeTable},
};

struct Words;

impl Descriptions for Words {
    fn of_type(&self, _name: &str) -> Option<&str> {
        None
    }

    fn of_field(&self, _type_name: &str, field: &str) -> Option<&str> {
        (field == "described").then_some("Words.")
    }
}

fn field(name: &str, ty: FieldType) -> Field {
    Field { name: name.into(), ty, ..Field::default() }
}

/// The property `field` of a struct in a table that also has `Other` (a struct) and `Names` (another name of a list).
#[track_caller]
fn check(dialect: Dialect, enums: bool, make: impl Fn(FieldType, FieldType) -> Field, want: &str) {
    let mut table = TypeTable::default();
    let mut define =
        |name: &str, shape| table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true });
    let other = FieldType::Ref(define("Other", Shape::Struct(Struct::default())));
    let names = FieldType::Ref(define("Names", Shape::Alias(FieldType::List(Arc::new(FieldType::String)))));
    let field = make(other, names);
    let name = field.name.clone();
    let id = define("Owner", Shape::Struct(Struct::new(vec![field])));
    let schema = definition(&table, table.get(id), Options { dialect, enums, descriptions: &Words });
    let property = schema.at(&["properties", &name]).expect("the struct has the property");
    assert_eq!(format!("{property:?}"), want);
}

#[test]
fn puts_references_with_words_or_defaults_into_all_of_in_v3_only() {
    check(
        Dialect::V2,
        false,
        |other, _| field("described", other),
        r##"{"$ref": "#/definitions/Other", "description": "Words."}"##,
    );
    check(
        Dialect::V3,
        false,
        |other, _| field("described", other),
        r##"{"allOf": [{"$ref": "#/components/schemas/Other"}], "description": "Words."}"##,
    );
    check(
        Dialect::V3,
        false,
        |other, _| Field { presence: Presence::Always, ..field("a", other) },
        r##"{"allOf": [{"$ref": "#/components/schemas/Other"}], "default": {}}"##,
    );
    check(Dialect::V3, false, |other, _| field("a", other), r##"{"$ref": "#/components/schemas/Other"}"##);
}

#[test]
fn writes_other_names_of_lists_out() {
    check(
        Dialect::V3,
        false,
        |_, names| Field { list: Some(ListType::Set), ..field("a", names) },
        r#"{"items": {"default": "", "type": "string"}, "type": "array", "x-kubernetes-list-type": "set"}"#,
    );
}

#[test]
fn lists_enums_of_values_and_of_items_if_asked() {
    let phase = |ty| Field { enum_values: vec!["A".into(), "B".into()], ..field("a", ty) };
    check(Dialect::V2, false, |_, _| phase(FieldType::String), r#"{"type": "string"}"#);
    check(Dialect::V2, true, |_, _| phase(FieldType::String), r#"{"enum": ["A", "B"], "type": "string"}"#);
    check(
        Dialect::V2,
        true,
        |_, _| phase(FieldType::List(Arc::new(FieldType::String))),
        r#"{"items": {"enum": ["A", "B"], "type": "string"}, "type": "array"}"#,
    );
}

#[test]
fn defines_all_that_the_roots_refer_to_also_in_circles() {
    let mut table = TypeTable::default();
    let inner = table.declare("Inner");
    let outer = table.declare("Outer");
    let refers = |to| Shape::Struct(Struct::new(vec![field("a", FieldType::Map(Arc::new(FieldType::Ref(to))))]));
    for (name, to) in [("Inner", outer), ("Outer", inner)] {
        table.define(Type { name: name.into(), shape: refers(to), kinds: Vec::new(), served: true });
    }
    table.declare("Unused");
    let options = Options { dialect: Dialect::V3, enums: false, descriptions: &NoDescriptions };
    let found = definitions(&table, [outer], options);
    assert_eq!(found.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["Inner", "Outer"]);
    assert_eq!(found["Outer"].at(&["type"]), Some(&Value::from("object")));
}
