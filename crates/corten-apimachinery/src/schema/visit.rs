//! Walks an object along its schema to every rule in CEL, with what was there before: where a compiler of such rules plugs in.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go, the walk of Validator (v1.35).

use std::{collections::BTreeMap, ops::ControlFlow, ptr};

use super::{AdditionalProperties, Correlation, Structural};
use crate::{field::Path, value::Value};

/// A place in the object whose schema has rules.
#[derive(Debug, Clone, Copy)]
pub struct RuleSite<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its schema: `extensions.validations` has the rules.
    pub schema: &'a Structural,
    /// The value: `self`.
    pub value: &'a Value,
    /// What it was: `oldSelf`. `None` where nothing was, or nobody can tell what.
    pub old: Option<&'a Value>,
    /// Whether the value is correlated and as it was: what fails then is a warning, unless the rule is about the change.
    pub is_unchanged: bool,
    /// Whether this is a whole object, so that `self` has `apiVersion`, `kind` and parts of `metadata`.
    pub is_resource: bool,
}

/// Calls `visit` for each place in `value` whose schema has rules, from the root down. Ends early if that says so: when the
/// cost of the rules has used up its budget.
pub fn visit_rules(
    path: &Path,
    value: &Value,
    old: Option<&Value>,
    schema: &Structural,
    visit: &mut dyn FnMut(RuleSite<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    Walk { visit, with_rules: BTreeMap::new() }.place(path, Correlation::new(value, old, schema), true)
}

struct Walk<'f> {
    visit: &'f mut dyn FnMut(RuleSite<'_>) -> ControlFlow<()>,
    /// Which schemas have rules in them, by address: asked once for each, not once for each item of a list.
    with_rules: BTreeMap<usize, bool>,
}

impl Walk<'_> {
    fn has_rules(&mut self, schema: &Structural) -> bool {
        *self.with_rules.entry(ptr::from_ref(schema).addr()).or_insert_with(|| schema.has_rules())
    }

    fn place(&mut self, path: &Path, at: Correlation<'_>, is_root: bool) -> ControlFlow<()> {
        let (schema, value) = (at.schema(), at.value());
        if !schema.extensions.validations.is_empty() {
            (self.visit)(RuleSite {
                path,
                schema,
                value,
                old: at.old(),
                is_unchanged: at.old().is_some() && at.is_unchanged(),
                is_resource: is_root || schema.extensions.embedded_resource,
            })?;
        }
        match value {
            Value::Object(map) => {
                let additional = schema.additional_properties.as_ref().and_then(AdditionalProperties::schema);
                for (name, child) in map.iter() {
                    let (path, field) = match (schema.properties.get(name), additional) {
                        (Some(field), _) => (path.child(name), field),
                        (None, Some(field)) => (path.key(name), field),
                        (None, None) => continue,
                    };
                    if self.has_rules(field) {
                        let old = at.old().and_then(|old| old.get(name));
                        self.place(&path, Correlation::new(child, old, field), false)?;
                    }
                }
            }
            Value::Array(items) => {
                let Some(item_schema) = schema.items.as_deref().filter(|items| self.has_rules(items)) else {
                    return ControlFlow::Continue(());
                };
                let old_items = at.old_items();
                for (index, item) in items.iter().enumerate() {
                    let correlated = old_items.as_ref().and_then(|old| old.of(item));
                    let at = correlated.unwrap_or_else(|| Correlation::new(item, None, item_schema));
                    self.place(&path.index(index), at, false)?;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
