//! Rules of `openAPIV3Schema`, node by node.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    schema::{AdditionalProperties, MetaType, SCHEMA_DEPTH_MAX, Structural, validate_defaults, validate_structural},
};
use corten_cel::rules::{DefaultRules, RuleTypes};

use super::{
    map_list::{self, item_schema},
    ratchet::Requirements,
    rules::{self, Budget, RuleContext},
    scope::Scope,
};
use crate::report::Report;

/// The types of OpenAPI, sorted.
const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// The type of a schema.
const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What a schema with a status may say at its root, in upstream's words and order.
const ROOT_FIELDS: &[(&str, &str)] = &[
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];

pub(super) fn is_type(ty: &str) -> bool {
    TYPES.contains(&ty)
}

/// Rules of the `schema` of a version.
pub(super) fn check(
    validation: &Value,
    has_status: bool,
    suppresses_cost: bool,
    requirements: &Requirements,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(schema) = validation.get("openAPIV3Schema").filter(|schema| !schema.is_null()) else { return };
    let at = path.child("openAPIV3Schema");
    let before = errors.len();
    if has_status {
        root_fields(schema, &at, errors);
    }
    if schema.bool_at(&["nullable"]) == Some(true) {
        errors.forbidden(&at.child("nullable"), "nullable cannot be true at the root");
    }
    let tree = Structural::from_props(schema);
    let (mut is_structural, mut not_structural) = (false, None);
    if requirements.structural_schema {
        match &tree {
            Err(error) => not_structural = Some(Error::invalid(&at, "", error.to_string())),
            Ok(tree) => {
                let found = structural_rules(tree, requirements, &at);
                is_structural = found.is_empty();
                errors.extend(found);
            }
        }
    }
    let mut budget = Budget::new(suppresses_cost);
    let mut walk = Walk {
        requirements,
        rules: is_structural.then_some(&mut budget),
        schema_errors: ErrorList::new(),
        rule_errors: ErrorList::new(),
    };
    let structural = tree.as_ref().ok();
    // Types cost about as much as the rest, so that those without rules do without.
    let types = structural.filter(|tree| is_structural && tree.has_rules()).and_then(|tree| RuleTypes::of(tree, true));
    let root = Place { schema, path: &at, structural, types, scope: Scope::root(), depth: 0 };
    walk.place(&root);
    let Walk { schema_errors, rule_errors, .. } = walk;
    errors.extend(schema_errors);
    errors.extend(rule_errors);
    // It says again what the walk says, so it is shown alone.
    if errors.len() == before {
        errors.extend(not_structural);
    }
    if is_structural {
        budget.check_total(&at, errors);
    }
}

/// A schema with a status is taken apart, so nothing may stand at its root that would be lost.
fn root_fields(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(fields) = schema.as_object() else { return };
    let is_set = |key: &str, value: &Value| {
        !value.is_null()
            && value.as_str() != Some("")
            && (value.as_bool() != Some(false) || key == "additionalProperties")
    };
    // Upstream looks at the fields in its own order, and three stand before the type.
    let comes_before_type =
        ["id", "$schema", "$ref"].into_iter().any(|key| fields.get(key).is_some_and(|v| is_set(key, v)));
    let ty = schema.str_at(&["type"]).unwrap_or_default();
    if !comes_before_type && !ty.is_empty() && ty != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.invalid(&path.child("type"), ty, detail);
        return;
    }
    let is_allowed = |key: &str| ROOT_FIELDS.iter().any(|(allowed, _)| *allowed == key);
    if fields.iter().any(|(key, value)| is_set(key, value) && !is_allowed(key)) {
        let names: Vec<&str> = ROOT_FIELDS.iter().map(|(_, name)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.invalid_struct(path, SCHEMA, Some(schema), detail);
    }
}

/// What keeps the tree from being a structural schema whose defaults are some.
fn structural_rules(tree: &Structural, requirements: &Requirements, path: &Path) -> ErrorList {
    let errors = validate_structural(path, tree);
    if !errors.is_empty() {
        return errors;
    }
    match MetaType::of(corten_api::types::table()) {
        Some(meta) => {
            let mut rules = DefaultRules::default();
            let mut check = |path: &Path, schema: &Structural, is_resource: bool, default: &Value| {
                rules.check(path, schema, is_resource, default)
            };
            validate_defaults(path, tree, true, requirements.pruned_defaults, meta, &mut check)
        }
        None => Error::internal(path, "the type of metadata is not known").into(),
    }
}

struct Place<'p> {
    schema: &'p Value,
    path: &'p Path,
    /// `None` where rules in CEL do not run: in logical junctors, and in schemas that can never be structural.
    structural: Option<&'p Structural>,
    /// What rules see; `None` where nothing above is anything to them.
    types: Option<RuleTypes>,
    scope: Scope,
    depth: usize,
}

struct Walk<'w> {
    requirements: &'w Requirements,
    rules: Option<&'w mut Budget>,
    schema_errors: ErrorList,
    rule_errors: ErrorList,
}

impl Walk<'_> {
    /// Checks a node, then those below it, then what it says of them. Says whether the schema is sound from here down.
    fn place(&mut self, at: &Place<'_>) {
        if at.depth > SCHEMA_DEPTH_MAX || self.schema_errors.is_full() {
            return;
        }
        let before = self.schema_errors.len();
        self.fields(at);
        self.additional_properties(at);
        self.properties(at);
        self.junctors(at);
        self.items(at);
        self.dependencies(at);
        let (schema, path) = (at.schema, at.path);
        if schema.bool_at(&["x-kubernetes-preserve-unknown-fields"]) == Some(false) {
            let at = path.child("x-kubernetes-preserve-unknown-fields");
            self.schema_errors.invalid(&at, false, "must be true or undefined");
        }
        map_list::check(schema, self.requirements.atomic_set_items, path, &mut self.schema_errors);
        if self.requirements.map_and_set_items {
            map_list::check_items(schema, path, &mut self.schema_errors);
        }
        if schema.items_at(&["x-kubernetes-validations"]).is_empty() {
            return;
        }
        rules::check_texts(schema, at.structural, path, &mut self.schema_errors);
        // Rules are not compiled against a schema that is wrong.
        if self.schema_errors.len() == before
            && let (Some(budget), Some(structural)) = (self.rules.as_deref_mut(), at.structural)
        {
            let context = RuleContext {
                structural,
                cardinality: at.scope.cardinality,
                uncorrelatable: at.scope.uncorrelatable.as_ref(),
            };
            let is_resource = at.scope.is_root || structural.extensions.embedded_resource;
            let own = || RuleTypes::of(structural, is_resource);
            let types = at.types.clone().or_else(own);
            rules::check_compiled(types.as_ref(), &context, budget, path, &mut self.rule_errors);
        }
    }

    /// What a node may not say.
    fn fields(&mut self, at: &Place<'_>) {
        let (schema, path, errors) = (at.schema, at.path, &mut self.schema_errors);
        let is_set = |key: &str| schema.get(key).is_some_and(|value| !value.is_null());
        let has_entries = |key: &str| schema.get(key).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        let ty = schema.str_at(&["type"]).unwrap_or_default();
        if self.requirements.valid_types && !ty.is_empty() {
            errors.one_of(&path.child("type"), ty, TYPES);
        }
        if is_set("default")
            && let Some(reason) = &at.scope.no_defaults
        {
            errors.forbidden(&path.child("default"), format!("must not be set {reason}"));
        }
        let unsupported = [
            ("id", !schema.str_at(&["id"]).unwrap_or_default().is_empty()),
            ("additionalItems", is_set("additionalItems")),
            ("patternProperties", has_entries("patternProperties")),
            ("definitions", has_entries("definitions")),
            ("dependencies", is_set("dependencies")),
            ("$ref", is_set("$ref")),
        ];
        for (field, _) in unsupported.iter().filter(|(_, is_set)| *is_set) {
            errors.forbidden(&path.child(field), format!("{field} is not supported"));
        }
        if ty == "null" {
            errors.forbidden(&path.child("type"), "type cannot be set to null, use nullable as an alternative");
        }
        if !schema.items_at(&["items"]).is_empty() {
            errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
        }
        if at.scope.inside_meta && schema.bool_at(&["x-kubernetes-embedded-resource"]) == Some(true) {
            errors.forbidden(&path.child("x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
        }
        if schema.bool_at(&["uniqueItems"]) == Some(true) {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            errors.forbidden(&path.child("uniqueItems"), detail);
        }
    }

    fn additional_properties(&mut self, at: &Place<'_>) {
        let Some(additional) = at.schema.get("additionalProperties").filter(|value| !value.is_null()) else { return };
        let path = at.path.child("additionalProperties");
        let has_properties = at.schema.get("properties").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        if has_properties && additional.as_bool() != Some(true) {
            self.schema_errors.forbidden(&path, "additionalProperties and properties are mutual exclusive");
        }
        if !matches!(additional, Value::Object(_)) {
            return;
        }
        let mut scope = at.scope.below().times(at.schema.i64_at(&["maxProperties"]));
        if scope.inside_meta {
            // Which of them would be pruned cannot be told without an object.
            scope.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        let structural = at
            .structural
            .and_then(|structural| structural.additional_properties.as_ref())
            .and_then(AdditionalProperties::schema);
        let types = at.types.as_ref().and_then(RuleTypes::elements);
        self.place(&Place { schema: additional, path: &path, structural, types, scope, depth: at.depth + 1 });
    }

    fn properties(&mut self, at: &Place<'_>) {
        let Some(properties) = at.schema.get("properties").and_then(Value::as_object) else { return };
        let path = at.path.child("properties");
        // A third type of map could not be correlated.
        let is_correlatable =
            at.schema.str_at(&["x-kubernetes-map-type"]).is_none_or(|ty| matches!(ty, "granular" | "atomic"));
        let is_embedded = at.schema.bool_at(&["x-kubernetes-embedded-resource"]) == Some(true);
        for (name, property) in properties.iter() {
            let mut scope = at.scope.below();
            if !is_correlatable {
                scope = scope.uncorrelatable(at.path);
            }
            if (at.scope.is_root || is_embedded) && matches!(name, "metadata" | "kind" | "apiVersion") {
                scope.inside_meta = true;
                if at.scope.is_root {
                    scope.no_defaults = Some(format!("in top-level {name}"));
                }
            }
            let structural = at.structural.and_then(|structural| structural.properties.get(name));
            let types = at.types.as_ref().and_then(|types| types.property(name));
            let path = path.key(name);
            self.place(&Place { schema: property, path: &path, structural, types, scope, depth: at.depth + 1 });
        }
    }

    fn junctors(&mut self, at: &Place<'_>) {
        let mut branch = |schema: &Value, path: &Path| {
            let scope = at.scope.below();
            self.place(&Place { schema, path, structural: None, types: None, scope, depth: at.depth + 1 });
        };
        if let Some(not) = at.schema.get("not").filter(|not| !not.is_null()) {
            branch(not, &at.path.child("not"));
        }
        for key in ["allOf", "oneOf", "anyOf"] {
            for (index, clause) in at.schema.items_at(&[key]).iter().enumerate() {
                branch(clause, &at.path.child(key).index(index));
            }
        }
        self.by_name(at, "definitions");
    }

    fn items(&mut self, at: &Place<'_>) {
        let mut scope = at.scope.below().times(at.schema.i64_at(&["maxItems"]));
        // Only the items of maps are known again.
        if at.schema.str_at(&["x-kubernetes-list-type"]) != Some("map") {
            scope = scope.uncorrelatable(at.path);
        }
        let path = at.path.child("items");
        if let Some(items) = item_schema(at.schema) {
            let structural = at.structural.and_then(|structural| structural.items.as_deref());
            let types = at.types.as_ref().and_then(RuleTypes::elements);
            self.place(&Place { schema: items, path: &path, structural, types, scope, depth: at.depth + 1 });
            return;
        }
        for (index, schema) in at.schema.items_at(&["items"]).iter().enumerate() {
            let (path, scope) = (path.index(index), scope.clone());
            self.place(&Place { schema, path: &path, structural: None, types: None, scope, depth: at.depth + 1 });
        }
    }

    fn dependencies(&mut self, at: &Place<'_>) {
        self.by_name(at, "dependencies");
    }

    fn by_name(&mut self, at: &Place<'_>, key: &str) {
        let Some(schemas) = at.schema.get(key).and_then(Value::as_object) else { return };
        for (name, schema) in schemas.iter().filter(|(_, schema)| matches!(schema, Value::Object(_))) {
            let (path, scope) = (at.path.child(key).key(name), at.scope.below());
            self.place(&Place { schema, path: &path, structural: None, types: None, scope, depth: at.depth + 1 });
        }
    }
}
