//! What defaults must be like: values that the schema takes, without fields that it does not know, and metadata that is some.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/{validation,prune,surroundingobject}.go (v1.35).

use std::sync::Arc;

use super::{
    MetaType, Structural, UnknownFields, coerce_object_meta, prune, prune::is_meta_field, validate_embedded,
    validate_value,
};
use crate::{
    field::{Error, ErrorList, Path, aggregate},
    value::Value,
};

/// Checks a default at a path, which is as the rest of its schema says, against rules in CEL. The truth value is whether it is
/// a whole object.
pub type CheckRules<'f> = &'f mut dyn FnMut(&Path, &Structural, bool, &Value) -> ErrorList;

/// Every default in `schema` that is none. `require_pruned`: fields that the schema does not know are errors.
#[must_use]
pub fn validate_defaults(
    path: &Path,
    schema: &Structural,
    is_resource_root: bool,
    require_pruned: bool,
    meta: MetaType<'_>,
    rules: CheckRules<'_>,
) -> ErrorList {
    let mut checker = Checker { meta, require_pruned, rules, errors: ErrorList::new() };
    checker.check(path, schema, schema, &mut Vec::new(), false, is_resource_root);
    checker.errors
}

/// Takes out of the defaults of `schema` what it does not know, and what does not fit in metadata.
pub fn prune_defaults(schema: &mut Structural, is_resource_root: bool, meta: MetaType<'_>) {
    prune_within(schema, &mut Vec::new(), false, is_resource_root, meta);
}

/// Whether a default in `schema` is not as `prune_defaults` leaves it.
#[must_use]
pub fn has_unpruned_defaults(schema: &Structural, is_resource_root: bool, meta: MetaType<'_>) -> bool {
    let mut pruned = schema.clone();
    prune_defaults(&mut pruned, is_resource_root, meta);
    pruned != *schema
}

/// A step from a whole object down to a default.
#[derive(Debug, Clone)]
enum Step {
    Field(crate::value::Str),
    Item,
}

/// The whole object that a default deep in its metadata makes, if there is nothing else.
fn surrounded(default: &Value, steps: &[Step]) -> Value {
    let mut object = steps.iter().rev().fold(default.clone(), |inner, step| match step {
        Step::Field(name) => Value::object_of([(name.clone(), inner)]),
        Step::Item => Value::array([inner]),
    });
    for (name, value) in [("apiVersion", "validation/v1"), ("kind", "Validation")] {
        if object.get(name).is_none() {
            object.set(&[name], value);
        }
    }
    object
}

/// What has become of the default in the object that `surrounded` made.
fn taken_out(object: &Value, steps: &[Step]) -> Option<Value> {
    let found = steps.iter().try_fold(object, |node, step| match step {
        Step::Field(name) => node.get(name),
        Step::Item => node.as_array()?.first(),
    });
    found.cloned()
}

struct Checker<'t> {
    meta: MetaType<'t>,
    require_pruned: bool,
    rules: CheckRules<'t>,
    errors: ErrorList,
}

impl Checker<'_> {
    fn check(
        &mut self,
        path: &Path,
        schema: &Structural,
        root: &Structural,
        steps: &mut Vec<Step>,
        inside_meta: bool,
        is_resource_root: bool,
    ) {
        let is_resource = is_resource_root || schema.extensions.embedded_resource;
        if is_resource && !steps.is_empty() {
            return self.check(path, schema, schema, &mut Vec::new(), false, is_resource_root);
        }
        let inside_meta = inside_meta && !is_resource;
        if let Some(default) = &schema.generic.default {
            let path = path.child("default");
            if inside_meta {
                self.check_in_meta(&path, default, schema, root, steps);
            } else {
                self.check_value(&path, default, schema, is_resource);
            }
        }
        // Below additional properties defaults are forbidden within metadata, and upstream does not look elsewhere.
        if let Some(items) = &schema.items {
            steps.push(Step::Item);
            self.check(&path.child("items"), items, root, steps, inside_meta, false);
            steps.pop();
        }
        for (name, property) in &schema.properties {
            let inside_meta = inside_meta || (is_resource && is_meta_field(name));
            steps.push(Step::Field(name.clone()));
            self.check(&path.child("properties").key(name), property, root, steps, inside_meta, false);
            steps.pop();
        }
    }

    fn check_in_meta(&mut self, path: &Path, default: &Value, schema: &Structural, root: &Structural, steps: &[Step]) {
        let mut object = surrounded(default, steps);
        let ignored = &mut UnknownFields::ignored();
        let detail = |why: String| format!("must result in valid metadata: {why}");
        if let Err(error) = coerce_object_meta(&Path::root(), &mut object, root, true, self.meta, false, ignored) {
            self.errors.push(Error::invalid(path, default.clone(), detail(error.to_string())));
            return;
        }
        let errors = validate_embedded(&Path::root(), &object, root, true, self.meta);
        if errors.is_empty() {
            self.check_by_schema(path, default, schema, false);
        } else {
            self.errors.push(Error::invalid(path, default.clone(), detail(aggregate(&errors))));
        }
    }

    fn check_value(&mut self, path: &Path, default: &Value, schema: &Structural, is_resource: bool) {
        let ignored = &mut UnknownFields::ignored();
        if self.require_pruned {
            let mut pruned = default.clone();
            prune(&mut pruned, schema, is_resource, ignored);
            if pruned != *default {
                self.errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
            }
        }
        let mut coerced = default.clone();
        if let Err(error) = coerce_object_meta(path, &mut coerced, schema, is_resource, self.meta, false, ignored) {
            self.errors.push(error);
            return;
        }
        let errors = validate_embedded(path, &coerced, schema, is_resource, self.meta);
        if errors.is_empty() {
            self.check_by_schema(path, &coerced, schema, is_resource);
        } else {
            self.errors.extend(errors);
        }
    }

    fn check_by_schema(&mut self, path: &Path, default: &Value, schema: &Structural, is_resource: bool) {
        let errors = validate_value(Some(path), default, schema);
        let errors = if errors.is_empty() { (self.rules)(path, schema, is_resource, default) } else { errors };
        self.errors.extend(errors);
    }
}

fn prune_within(
    schema: &mut Structural,
    steps: &mut Vec<Step>,
    inside_meta: bool,
    is_resource_root: bool,
    meta: MetaType<'_>,
) {
    let is_resource = is_resource_root || schema.extensions.embedded_resource;
    if is_resource && !steps.is_empty() {
        return prune_within(schema, &mut Vec::new(), false, is_resource_root, meta);
    }
    let inside_meta = inside_meta && !is_resource;
    if let Some(mut default) = schema.generic.default.take() {
        let ignored = &mut UnknownFields::ignored();
        // With invalid fields dropped there is nothing left to refuse.
        if inside_meta {
            let mut object = surrounded(&default, steps);
            let _ = coerce_object_meta(&Path::root(), &mut object, &Structural::default(), true, meta, true, ignored);
            schema.generic.default = taken_out(&object, steps);
        } else {
            prune(&mut default, schema, is_resource, ignored);
            let _ = coerce_object_meta(&Path::root(), &mut default, schema, is_resource, meta, true, ignored);
            schema.generic.default = Some(default);
        }
    }
    if let Some(items) = &mut schema.items {
        steps.push(Step::Item);
        prune_within(Arc::make_mut(items), steps, inside_meta, false, meta);
        steps.pop();
    }
    for (name, property) in &mut schema.properties {
        let inside_meta = inside_meta || (is_resource && is_meta_field(name));
        steps.push(Step::Field(name.clone()));
        prune_within(property, steps, inside_meta, false, meta);
        steps.pop();
    }
}
