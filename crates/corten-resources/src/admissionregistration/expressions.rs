//! Conditions and variables: expressions that webhooks and policies share.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
};

use crate::{
    cel::{self, Gives, Scope, Use, Variable},
    report::Report,
    tree::{each_at, text_at},
    view::Seen,
};

/// How many conditions there can be.
const CONDITIONS_MAX: usize = 64;

/// The expressions of one field in the stored object: they are read as the server that took them read them.
pub(super) type Stored<'v> = BTreeSet<&'v str>;

/// The expressions under `field` of each item.
pub(super) fn stored<'v>(items: &'v [Value], field: &str) -> Stored<'v> {
    items.iter().filter_map(|item| item.str_at(&[field])).filter(|expression| !expression.is_empty()).collect()
}

/// The conditions under `matchConditions`, which have names and give truth values.
pub(super) fn match_conditions(
    owner: &Value,
    (params, stored): (bool, &Stored<'_>),
    path: &Path,
    errors: &mut ErrorList,
) {
    let count = owner.items_at(&["matchConditions"]).len();
    if count > CONDITIONS_MAX {
        errors.push(Error::too_many(&path.child("matchConditions"), count, CONDITIONS_MAX));
    }
    let scope = Scope::Admission { params, authorizer: true, variables: &[] };
    let mut seen = Seen::default();
    for (at, condition) in each_at(owner, "matchConditions", path) {
        let expression = text_at(condition, &["expression"]).trim();
        if errors.require(&at.child("expression"), expression) {
            let usage = Use { scope, gives: Gives::Bool, is_stored: stored.contains(expression) };
            cel::check(expression, &usage, &at.child("expression"), errors);
        }
        let (name, name_at) = (text_at(condition, &["name"]), at.child("name"));
        if errors.require(&name_at, name) {
            errors.invalids(&name_at, name, is_qualified_name(name));
            if !seen.is_new(name) {
                errors.push_with(|| Error::duplicate(&name_at, name));
            }
        }
        if errors.is_full() {
            break;
        }
    }
}

/// The expressions behind the names in `spec.variables`, in order.
pub(super) fn variables(spec: &Value) -> Vec<Variable<'_>> {
    let variable = |item| Variable { name: text_at(item, &["name"]), expression: text_at(item, &["expression"]) };
    spec.items_at(&["variables"]).iter().map(variable).collect()
}

/// Each variable has a name and an expression, which can name those before it.
pub(super) fn validate_variables(
    all: &[Variable<'_>],
    (params, stored): (bool, &Stored<'_>),
    path: &Path,
    errors: &mut ErrorList,
) {
    let path = path.child("variables");
    for (index, variable) in all.iter().enumerate() {
        let at = path.index(index);
        if variable.name.trim().is_empty() {
            errors.required(&at.child("name"), "name is not specified");
        } else if !cel::is_identifier(variable.name) {
            errors.invalid(&at.child("name"), variable.name, "name is not a valid CEL identifier");
        }
        if variable.expression.trim().is_empty() {
            errors.required(&at.child("expression"), "expression is not specified");
        } else {
            let scope = Scope::Admission { params, authorizer: true, variables: &all[..index] };
            let usage = Use { scope, gives: Gives::Any, is_stored: stored.contains(variable.expression) };
            cel::check(variable.expression, &usage, &at.child("expression"), errors);
        }
        if errors.is_full() {
            break;
        }
    }
}
