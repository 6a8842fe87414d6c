//! What policies of both kinds share: when they fail, what they are about, by what they are parameterized.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    value::semantically_equal,
};

use super::{FAILURE_POLICIES, expressions, matching, rule};
use crate::{
    defaulting::{fill_absent, within},
    report::Report,
    show,
    tree::{present, text_at},
};

/// A policy that cannot be followed refuses, and is about all versions, unless said otherwise.
pub(super) fn defaults(policy: &mut Value) {
    let spec = policy.at_or_insert(&["spec"]);
    fill_absent(spec, "failurePolicy", "Fail");
    within(spec, &["matchConstraints"], matching::defaults);
}

/// What a policy does with what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// It refuses.
    Validate,
    /// It changes.
    Mutate,
}

/// Whether the match conditions are what they were, parameters and all: then they are not checked again.
fn are_conditions_kept(spec: &Value, old: Option<&Value>) -> bool {
    let same = |old: &Value, field: &str| semantically_equal(spec.get(field), old.get(field));
    old.is_some_and(|old| same(old, "paramKind") && same(old, "matchConditions"))
}

/// Everything up to the variables; `old` is the stored spec. Says whether there is `params`.
pub(super) fn validate(does: Does, spec: &Value, old: Option<&Value>, errors: &mut ErrorList) -> bool {
    let path = &Path::new("spec");
    let at = path.child("failurePolicy");
    match present(spec, &["failurePolicy"]) {
        None => errors.required(&at, ""),
        Some(policy) => errors.one_of(&at, policy.as_str().unwrap_or_default(), FAILURE_POLICIES),
    }
    let param_kind = present(spec, &["paramKind"]);
    if let Some(kind) = param_kind {
        matching::param_kind(kind, &path.child("paramKind"), errors);
    }
    constraints(does, spec, path, errors);
    let params = param_kind.is_some();
    if !are_conditions_kept(spec, old) {
        expressions::match_conditions(spec, params, path, errors);
    }
    params
}

fn constraints(does: Does, spec: &Value, path: &Path, errors: &mut ErrorList) {
    let at = path.child("matchConstraints");
    let Some(constraints) = present(spec, &["matchConstraints"]) else {
        errors.required(&at, "");
        return;
    };
    matching::validate(constraints, &at, errors);
    // Without a rule nobody knows of which types the expressions speak.
    let rules = constraints.items_at(&["resourceRules"]);
    if rules.is_empty() {
        errors.required(&at.child("resourceRules"), "");
    }
    if does == Does::Mutate {
        rule::mutable_operations(rules, &at.child("resourceRules").child("operations"), errors);
    }
}

/// The kind of the objects that parameterize a policy.
pub(super) fn param_kind_cell(policy: &Value) -> Value {
    let shown = present(policy, &["spec", "paramKind"])
        .map(|kind| format!("{}/{}", text_at(kind, &["apiVersion"]), text_at(kind, &["kind"])));
    shown.unwrap_or_else(|| show::UNSET.to_owned()).into()
}
