//! What OpenAPI tells of a custom resource: its schema with what every object has, less what v2 cannot say.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/controller/openapi/{builder,v2}, pkg/apiserver/schema/kubeopenapi.go (v1.35).

use super::{
    AdditionalProperties, CustomKind, Extensions, Generic, LIST_META, MetaType, NestedAdditionalProperties,
    NestedValueValidation, Structural, ValidationRule, ValueValidation,
};
use crate::{
    openapi::{Dialect, Options},
    value::{Map, Str, Value, format_str},
};

/// A kind of the core group, of which the words for what all objects have are taken.
const ANY_KIND: &str = "io.k8s.api.core.v1.ConfigMap";
const ANY_LIST: &str = "io.k8s.api.core.v1.PodList";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// The schema of a custom kind. `selectable_fields` are the paths that field selectors can name, as the definition has them.
///
/// In v2 a kind that keeps unknown fields is an object of which nothing is known: clients would take what is said for all.
#[must_use]
pub fn publish(
    schema: Option<&Structural>,
    kind: CustomKind<'_>,
    selectable_fields: &[Str],
    options: Options<'_>,
) -> Value {
    let writer = Writer { options };
    let is_open = |schema: &&Structural| writer.is_v2() && schema.extensions.preserve_unknown_fields;
    let mut published = match schema.filter(|schema| !is_open(schema)) {
        None => Map::from_iter([("type".into(), "object".into())]),
        Some(schema) => {
            let mut published = writer.schema(schema);
            let mut properties = take_properties(&mut published);
            properties.insert("apiVersion", writer.text_property(ANY_KIND, "apiVersion"));
            properties.insert("kind", writer.text_property(ANY_KIND, "kind"));
            properties.insert("metadata", writer.reference(MetaType::NAME, ANY_KIND));
            published.insert("properties", properties);
            published
        }
    };
    add_identity(&mut published, kind, kind.kind, selectable_fields);
    published.into()
}

/// The schema of lists of a custom kind.
#[must_use]
pub fn publish_list(kind: CustomKind<'_>, selectable_fields: &[Str], options: Options<'_>) -> Value {
    let writer = Writer { options };
    let items = [
        ("type", Value::from("array")),
        ("items", Value::object_of([("$ref", writer.path(&kind.schema_name()).into())])),
        ("description", format_str!("List of {}. More info: {CONVENTIONS}", kind.plural).into()),
    ];
    let properties = [
        ("apiVersion", writer.text_property(ANY_LIST, "apiVersion")),
        ("items", Value::object_of(items)),
        ("kind", writer.text_property(ANY_LIST, "kind")),
        ("metadata", writer.reference(LIST_META, ANY_LIST)),
    ];
    let mut published = Map::from_iter([
        ("type".into(), "object".into()),
        ("description".into(), format_str!("{} is a list of {}", kind.list_kind, kind.kind).into()),
        ("required".into(), Value::array([Value::from("items")])),
        ("properties".into(), Value::object_of(properties)),
    ]);
    add_identity(&mut published, kind, kind.list_kind, selectable_fields);
    published.into()
}

fn add_identity(published: &mut Map, kind: CustomKind<'_>, name: &str, selectable_fields: &[Str]) {
    let identity = [("group", kind.group), ("kind", name), ("version", kind.version)];
    let identity = Value::object_of(identity.map(|(key, text)| (key, text.into())));
    published.insert("x-kubernetes-group-version-kind", vec![identity]);
    if !selectable_fields.is_empty() {
        let paths = selectable_fields.iter().map(|path| path.strip_prefix('.').unwrap_or(path));
        let fields = paths.map(|path| Value::object_of([("fieldPath", path.into())]));
        published.insert("x-kubernetes-selectable-fields", fields.collect::<Vec<_>>());
    }
}

fn take_properties(schema: &mut Map) -> Map {
    match schema.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    }
}

struct Writer<'o> {
    options: Options<'o>,
}

impl Writer<'_> {
    fn is_v2(&self) -> bool {
        self.options.dialect == Dialect::V2
    }

    fn path(&self, name: &str) -> Str {
        let folder = if self.is_v2() { "#/definitions/" } else { "#/components/schemas/" };
        format_str!("{folder}{name}")
    }

    fn description(&self, ty: &str, field: &str) -> Option<Value> {
        self.options.descriptions.of_field(ty, field).map(Value::from)
    }

    fn text_property(&self, ty: &str, field: &str) -> Value {
        let mut property = Map::from_iter([("type".into(), "string".into())]);
        put(&mut property, "description", self.description(ty, field));
        property.into()
    }

    /// `metadata` of a kind like `ty`. In v3 nothing may stand beside a reference.
    fn reference(&self, name: &str, ty: &str) -> Value {
        let mut property = Map::from_iter([("$ref".into(), self.path(name).into())]);
        if let Some(description) = self.description(ty, "metadata") {
            if !self.is_v2() {
                property = Map::from_iter([("allOf".into(), Value::array([property.into()]))]);
            }
            property.insert("description", description);
        }
        property.into()
    }

    fn schema(&self, schema: &Structural) -> Map {
        let extensions = &schema.extensions;
        // What clients of v2 cannot read is left out: they take null and unknown fields for errors where types are told.
        let (is_v2, is_open) = (self.is_v2(), extensions.preserve_unknown_fields);
        let is_untyped = is_v2 && schema.generic.nullable;
        let hides_parts = is_v2 && (schema.generic.nullable || is_open);
        let mut out = Map::new();
        put_generic(&mut out, &schema.generic);
        let lacks_items = schema.items.is_none() || hides_parts;
        let is_odd = (lacks_items && schema.generic.ty == "array") || (is_open && schema.generic.ty == "object");
        if is_untyped || (is_v2 && is_odd) {
            out.remove("type");
        }
        if is_v2 {
            out.remove("nullable");
        }
        put_extensions(&mut out, extensions);
        if !hides_parts {
            if let Some(items) = &schema.items {
                out.insert("items", self.schema(items));
            }
            if !schema.properties.is_empty() {
                let properties =
                    schema.properties.iter().map(|(name, property)| (name.clone(), self.schema(property).into()));
                out.insert("properties", Value::object_of(properties));
            }
        }
        match &schema.additional_properties {
            None => {}
            Some(AdditionalProperties::Allowed(allowed)) => {
                put(&mut out, "additionalProperties", Some((*allowed).into()))
            }
            Some(AdditionalProperties::Schema(values)) => {
                put(&mut out, "additionalProperties", Some(self.schema(values).into()))
            }
        }
        if let Some(validation) = &schema.validation {
            put_validation(&mut out, validation, !is_v2);
            if is_v2 {
                self.drop_nullable_required(&mut out, schema);
            }
        }
        if extensions.int_or_string && !is_v2 {
            unfold(&mut out);
        }
        if extensions.embedded_resource && !(is_v2 && is_open) {
            self.add_embedded(&mut out);
        }
        out
    }

    /// What may be null has no type in v2, so that it cannot be required either.
    fn drop_nullable_required(&self, out: &mut Map, schema: &Structural) {
        let any_nullable = schema
            .additional_properties
            .as_ref()
            .and_then(AdditionalProperties::schema)
            .is_some_and(|values| values.generic.nullable);
        let shows_properties = !(schema.generic.nullable || schema.extensions.preserve_unknown_fields);
        let is_nullable = |name: &Value| {
            let property = name.as_str().and_then(|name| schema.properties.get(name));
            shows_properties && property.is_some_and(|property| property.generic.nullable)
        };
        let required = out.get("required").and_then(Value::as_array).unwrap_or_default();
        let kept: Vec<Value> = required.iter().filter(|name| !any_nullable && !is_nullable(name)).cloned().collect();
        out.remove("required");
        put_list(out, "required", kept);
    }

    fn add_embedded(&self, out: &mut Map) {
        let mut properties = take_properties(out);
        properties.insert("apiVersion", self.text_property(ANY_KIND, "apiVersion"));
        properties.insert("kind", self.text_property(ANY_KIND, "kind"));
        properties.insert("metadata", self.reference(MetaType::NAME, ANY_KIND));
        out.insert("properties", properties);
        let mut required = out.get("required").and_then(Value::as_array).unwrap_or_default().to_vec();
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|other| other.as_str() == Some(name)) {
                required.push(name.into());
            }
        }
        out.insert("required", required);
    }
}

/// Says the types of a number or text by `anyOf`, which clients know, unless the schema says them itself.
fn unfold(out: &mut Map) {
    let either =
        || Value::array(["integer", "string"].map(|ty| Map::from_iter([("type".into(), ty.into())])).map(Value::from));
    let names_both = |clauses: Option<&Value>| {
        let clauses = clauses.and_then(Value::as_array).unwrap_or_default();
        matches!(clauses, [one, other] if one.str_at(&["type"]) == Some("integer") && other.str_at(&["type"]) == Some("string"))
    };
    let all_of = out.get("allOf").and_then(Value::as_array).unwrap_or_default();
    if names_both(out.get("anyOf")) || names_both(all_of.first().and_then(|clause| clause.get("anyOf"))) {
        return;
    }
    if out.get("anyOf").is_none() {
        out.insert("anyOf", either());
        return;
    }
    let first = Value::object_of([("anyOf", either())]);
    let all_of: Vec<Value> = std::iter::once(first).chain(all_of.iter().cloned()).collect();
    out.insert("allOf", all_of);
}

fn put(out: &mut Map, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key, value);
    }
}

fn put_text(out: &mut Map, key: &str, text: &Str) {
    put(out, key, (!text.is_empty()).then(|| text.clone().into()));
}

fn put_flag(out: &mut Map, key: &str, is_on: bool) {
    put(out, key, is_on.then(|| true.into()));
}

fn put_list(out: &mut Map, key: &str, items: Vec<Value>) {
    put(out, key, (!items.is_empty()).then(|| items.into()));
}

fn texts(items: &[Str]) -> Vec<Value> {
    items.iter().cloned().map(Value::from).collect()
}

fn put_generic(out: &mut Map, generic: &Generic) {
    put_text(out, "description", &generic.description);
    put_text(out, "type", &generic.ty);
    put_text(out, "title", &generic.title);
    put(out, "default", generic.default.clone());
    put_flag(out, "nullable", generic.nullable);
    put(out, "externalDocs", generic.external_docs.clone());
}

fn put_extensions(out: &mut Map, extensions: &Extensions) {
    put_flag(out, "x-kubernetes-preserve-unknown-fields", extensions.preserve_unknown_fields);
    put_flag(out, "x-kubernetes-embedded-resource", extensions.embedded_resource);
    put_flag(out, "x-kubernetes-int-or-string", extensions.int_or_string);
    put_list(out, "x-kubernetes-list-map-keys", texts(&extensions.list_map_keys));
    put(out, "x-kubernetes-list-type", extensions.list_type.clone().map(Value::from));
    put(out, "x-kubernetes-map-type", extensions.map_type.clone().map(Value::from));
    put_list(out, "x-kubernetes-validations", extensions.validations.iter().map(rule).collect());
}

fn rule(rule: &ValidationRule) -> Value {
    let mut out = Map::from_iter([("rule".into(), rule.rule.clone().into())]);
    put_text(&mut out, "message", &rule.message);
    put_text(&mut out, "messageExpression", &rule.message_expression);
    put(&mut out, "reason", rule.reason.clone().map(Value::from));
    put_text(&mut out, "fieldPath", &rule.field_path);
    put(&mut out, "optionalOldSelf", rule.optional_old_self.map(Value::from));
    out.into()
}

/// A number as it was written: whole ones without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "only what is whole and exact is written as an integer")]
fn number(number: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX { Value::Int(number as i64) } else { Value::Float(number) }
}

fn put_validation(out: &mut Map, validation: &ValueValidation, with_junctors: bool) {
    put_text(out, "format", &validation.format);
    put(out, "maximum", validation.maximum.map(number));
    put_flag(out, "exclusiveMaximum", validation.exclusive_maximum);
    put(out, "minimum", validation.minimum.map(number));
    put_flag(out, "exclusiveMinimum", validation.exclusive_minimum);
    put(out, "maxLength", validation.max_length.map(Value::from));
    put(out, "minLength", validation.min_length.map(Value::from));
    put(out, "pattern", validation.pattern.as_ref().map(|pattern| pattern.text().into()));
    put(out, "maxItems", validation.max_items.map(Value::from));
    put(out, "minItems", validation.min_items.map(Value::from));
    put_flag(out, "uniqueItems", validation.unique_items);
    put(out, "multipleOf", validation.multiple_of.map(number));
    put_list(out, "enum", validation.enum_values.clone());
    put(out, "maxProperties", validation.max_properties.map(Value::from));
    put(out, "minProperties", validation.min_properties.map(Value::from));
    put_list(out, "required", texts(&validation.required));
    if with_junctors {
        for (key, clauses) in
            [("allOf", &validation.all_of), ("oneOf", &validation.one_of), ("anyOf", &validation.any_of)]
        {
            put_list(out, key, clauses.iter().map(|clause| nested(clause).into()).collect());
        }
        put(out, "not", validation.not.as_ref().map(|clause| nested(clause).into()));
    }
}

fn nested(clause: &NestedValueValidation) -> Map {
    let mut out = Map::new();
    put_generic(&mut out, &clause.forbidden_generics);
    put_extensions(&mut out, &clause.forbidden_extensions);
    put_validation(&mut out, &clause.validation, true);
    put(&mut out, "items", clause.items.as_ref().map(|items| nested(items).into()));
    if !clause.properties.is_empty() {
        let properties = clause.properties.iter().map(|(name, property)| (name.clone(), nested(property).into()));
        out.insert("properties", Value::object_of(properties));
    }
    match &clause.additional_properties {
        None => {}
        Some(NestedAdditionalProperties::Allowed(allowed)) => {
            put(&mut out, "additionalProperties", Some((*allowed).into()))
        }
        Some(NestedAdditionalProperties::Schema(values)) => {
            put(&mut out, "additionalProperties", Some(nested(values).into()));
        }
    }
    out
}
