//! What clients may change of a claim through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::keep;

/// The claim itself.
#[derive(Debug)]
pub(super) struct Main;

/// A source of data said in one of both fields is said in the other too, as far as the older one can say it.
fn normalize_data_sources(claim: &mut Value) {
    let (old, new) = (["spec", "dataSource"], ["spec", "dataSourceRef"]);
    let is_set = |claim: &Value, path: &[&str]| claim.at(path).is_some_and(|source| !source.is_null());
    let has_namespace = claim.str_at(&["spec", "dataSourceRef", "namespace"]).is_some_and(|name| !name.is_empty());
    if is_set(claim, &old) && !is_set(claim, &new) {
        let source = claim.at(&old).cloned().unwrap_or_default();
        claim.set(&new, source);
    } else if is_set(claim, &new) && !is_set(claim, &old) && !has_namespace {
        let mut source = claim.at(&new).cloned().unwrap_or_default();
        source.unset(&["namespace"]);
        claim.set(&old, source);
    }
}

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, claim: &mut Value) {
        claim.set(&["status"], Value::object_of([("phase", "Pending".into())]));
        normalize_data_sources(claim);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, claim: &mut Value, old: &Value) {
        keep(claim, old, &["status"]);
        normalize_data_sources(claim);
    }

    fn validate(&self, _cx: &Context<'_>, claim: &Value) -> ErrorList {
        validation::create(claim)
    }

    fn validate_update(&self, _cx: &Context<'_>, claim: &Value, old: &Value) -> ErrorList {
        validation::update(claim, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, claim: &mut Value, old: &Value) {
        keep(claim, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _claim: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, claim: &Value, _old: &Value) -> ErrorList {
        validation::status(claim)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
