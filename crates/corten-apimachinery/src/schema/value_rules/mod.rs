//! Holds values against the value validations of a schema, and reports in the words that clients of upstream know.
//!
//! An update forgives what it did not change: what fails and is as it was before fails no more (ratcheting).
//! The work is bounded by the product of both trees, and by `WORK_MAX` in the end; depth by that of the schema, which
//! `Structural::from_props` bounds.
//! Upstream: k8s.io/kube-openapi/pkg/validation/validate, k8s.io/apiextensions-apiserver/pkg/apiserver/validation (v1.35).

mod formats;
mod junctors;
mod node;
mod outcome;
mod scalars;

pub use formats::{is_known_format, unrecognized_formats};

use std::collections::BTreeMap;

use self::{
    node::{Additional, Node},
    outcome::{At, Failure, Kind, Outcome, Step},
};
use super::{Correlation, Structural};
use crate::{
    field::{ErrorList, Path},
    value::Value,
};

/// How many nodes of a schema are held against nodes of a value: seconds of work. An honest object needs some ten thousand.
const WORK_MAX: u64 = 20_000_000;

/// Everything in `value` that `schema` does not allow. `path` is the place of the value; `None` for a whole object.
#[must_use]
pub fn validate_value(path: Option<&Path>, value: &Value, schema: &Structural) -> ErrorList {
    let mut validator = Validator::default();
    validator.place(Node::Structural(schema), value, &At::root(), None).into_errors(path)
}

/// Everything in `value` that `schema` does not allow and that was not so in `old`.
#[must_use]
pub fn validate_value_update(path: Option<&Path>, value: &Value, old: &Value, schema: &Structural) -> ErrorList {
    let mut validator = Validator::default();
    let correlation = Correlation::new(value, Some(old), schema);
    validator.place(Node::Structural(schema), value, &At::root(), Some(correlation)).into_errors(path)
}

struct Validator {
    work_left: u64,
    /// Whether a value is as it was, by the addresses of what is compared: branches of junctors ask for the same again.
    unchanged: BTreeMap<[usize; 3], bool>,
}

impl Default for Validator {
    fn default() -> Self {
        Self { work_left: WORK_MAX, unchanged: BTreeMap::new() }
    }
}

impl Validator {
    /// Holds the value of a place of its own (the object, a field, an item) against its schema: what fails there is forgiven
    /// if it is as it was.
    fn place(&mut self, node: Node<'_>, value: &Value, at: &At<'_>, correlation: Option<Correlation<'_>>) -> Outcome {
        let mut outcome = self.node(node, value, at, correlation);
        if let Some(correlation) = correlation
            && !outcome.is_valid()
            && *self.unchanged.entry(correlation.addresses()).or_insert_with(|| correlation.is_unchanged())
        {
            outcome.failures.clear();
        }
        outcome
    }

    /// Holds a value against one schema.
    fn node(&mut self, node: Node<'_>, value: &Value, at: &At<'_>, correlation: Option<Correlation<'_>>) -> Outcome {
        let mut outcome = Outcome::default();
        if !self.spend(1, at, &mut outcome) {
            return outcome;
        }
        let is_null = value.is_null();
        if is_null || scalars::type_applies(node) {
            outcome.merge(scalars::type_of(node, value, at));
            outcome.matches += u64::from(!is_null);
        }
        let validation = node.validation();
        if is_null {
            if let Some(validation) = validation {
                outcome.merge(scalars::enumeration(validation, value, at));
            }
            return outcome;
        }
        if let Some(validation) = validation {
            outcome.merge(self.junctors(validation, value, at, correlation));
            outcome.matches += 1;
            outcome.merge(scalars::of_type(node, validation, value, at));
        }
        if let Value::Array(items) = value {
            outcome.merge(self.list(node, items, at, correlation));
            outcome.matches += 1;
        }
        if let Some(validation) = validation
            && self.spend(validation.enum_values.len() as u64, at, &mut outcome)
        {
            outcome.merge(scalars::enumeration(validation, value, at));
        }
        outcome.matches += 1;
        if let Value::Object(map) = value {
            outcome.merge(self.object(node, map, at, correlation));
            outcome.matches += 1;
        }
        outcome.matches += 1;
        outcome
    }

    fn list(&mut self, node: Node<'_>, items: &[Value], at: &At<'_>, correlation: Option<Correlation<'_>>) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(schema) = node.items() {
            let old_items = correlation.and_then(Correlation::old_items);
            for (index, item) in items.iter().enumerate() {
                let correlation = old_items.as_ref().and_then(|old| old.of(item));
                outcome.merge(self.place(schema, item, &at.step(Step::Index(index)), correlation));
                if outcome.is_full() {
                    break;
                }
            }
        }
        if let Some(validation) = node.validation() {
            scalars::item_count(validation, items, at, &mut outcome);
        }
        outcome.matches += 1;
        outcome
    }

    fn object(
        &mut self,
        node: Node<'_>,
        map: &crate::value::Map,
        at: &At<'_>,
        correlation: Option<Correlation<'_>>,
    ) -> Outcome {
        let validation = node.validation();
        if let Some(failure) = validation.and_then(|validation| scalars::property_count(validation, map.len(), at)) {
            return failure.into();
        }
        let mut outcome = Outcome::default();
        for (name, value) in map.iter().filter(|(name, _)| node.property(name).is_none()) {
            match node.additional() {
                Additional::Any => break,
                Additional::None => outcome.fail(Failure {
                    path: at.render(),
                    message: format!("{}.{name} in body is a forbidden property", at.render()),
                    kind: Kind::Invalid(name.into()),
                }),
                Additional::Schema(schema) => {
                    let correlation = correlation.and_then(|correlation| correlation.field(name));
                    outcome.merge(self.place(schema, value, &at.step(Step::Additional(name)), correlation));
                }
            }
            if outcome.is_full() {
                return outcome;
            }
        }
        for (name, value) in map.iter() {
            let Some(schema) = node.property(name) else { continue };
            // What an object is must always hold.
            let is_exempt = at.is_root() && super::prune::is_meta_field(name);
            let correlation = correlation.filter(|_| !is_exempt).and_then(|correlation| correlation.field(name));
            outcome.merge(self.place(schema, value, &at.step(Step::Property(name)), correlation));
        }
        for name in validation.into_iter().flat_map(|validation| &validation.required) {
            if !map.contains_key(name) {
                let path = format!("{}.{name}", at.render());
                outcome.fail(Failure { message: format!("{path} in body is required"), path, kind: Kind::Required });
            }
        }
        outcome
    }

    /// Notes work. `false` if there was too much of it, which is a failure then.
    fn spend(&mut self, work: u64, at: &At<'_>, outcome: &mut Outcome) -> bool {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                true
            }
            None => {
                self.work_left = 0;
                let message = "validation takes too long: schema and object are too large together".to_owned();
                outcome.fail(Failure { path: at.render(), message, kind: Kind::Internal });
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
