//! Rules against objects, and what definitions are told.

mod checked;
mod costs;
mod defined;
mod names;

use std::sync::Arc;

use corten_apimachinery::{
    Value as Tree,
    codec::{FieldValidation, json},
    schema::Structural,
};

use super::{Checked, Findings, RuleSet, RuleTypes};

/// A value in JSON.
fn tree(text: &str) -> Tree {
    json::decode(text.as_bytes(), None, FieldValidation::Strict).unwrap_or_else(|error| panic!("{text}: {error}")).value
}

/// A schema in JSON.
fn schema(text: &str) -> Structural {
    Structural::from_props(&tree(text)).expect("a structural schema")
}

/// What is said of the rules at the root of a schema, which is not that of whole objects.
fn findings(text: &str) -> Vec<Findings> {
    let schema = schema(text);
    RuleTypes::of(&schema, false).expect("a type").examine(&schema)
}

fn check(of: &str, object: &str, old: Option<&str>) -> Checked {
    let rules = RuleSet::new(Arc::new(schema(of))).expect("rules");
    rules.check(&tree(object), old.map(tree).as_ref())
}

/// The errors as texts.
fn errors(of: &str, object: &str, old: Option<&str>) -> Vec<String> {
    check(of, object, old).errors.iter().map(ToString::to_string).collect()
}

/// The schema of an object whose `spec` is as `spec` says.
fn with_spec(spec: &str) -> String {
    format!(r#"{{"type": "object", "properties": {{"spec": {spec}}}}}"#)
}

/// An object with this `spec`.
fn object(spec: &str) -> String {
    format!(r#"{{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {{"name": "a"}}, "spec": {spec}}}"#)
}
