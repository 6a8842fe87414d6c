//! Conditions and variables: expressions that webhooks and policies share.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
};
use corten_cel::{admission::Variables, rules::is_identifier};

use crate::{
    cel::{self, Gives, Use},
    report::Report,
    tree::{each_at, text_at},
    view::Seen,
};

/// How many conditions there can be.
const CONDITIONS_MAX: usize = 64;

/// The conditions under `matchConditions`, which have names and give truth values.
pub(super) fn match_conditions(owner: &Value, params: bool, path: &Path, errors: &mut ErrorList) {
    let count = owner.items_at(&["matchConditions"]).len();
    if count > CONDITIONS_MAX {
        errors.push(Error::too_many(&path.child("matchConditions"), count, CONDITIONS_MAX));
    }
    let usage = Use { params, authorizer: true, variables: &Variables::default(), gives: Gives::Bool };
    let mut seen = Seen::default();
    for (at, condition) in each_at(owner, "matchConditions", path) {
        let expression = text_at(condition, &["expression"]).trim();
        if errors.require(&at.child("expression"), expression) {
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

/// Each variable in `spec.variables` has a name and an expression, which can name those before it. Gives the types of all.
pub(super) fn validate_variables(spec: &Value, params: bool, path: &Path, errors: &mut ErrorList) -> Variables {
    let mut variables = Variables::empty();
    for (at, variable) in each_at(spec, "variables", path) {
        let (name, expression) = (text_at(variable, &["name"]), text_at(variable, &["expression"]));
        if name.trim().is_empty() {
            errors.required(&at.child("name"), "name is not specified");
        } else if !is_identifier(name) {
            errors.invalid(&at.child("name"), name, "name is not a valid CEL identifier");
        }
        if expression.trim().is_empty() {
            errors.required(&at.child("expression"), "expression is not specified");
        } else {
            let usage = Use { params, authorizer: true, variables: &variables, gives: Gives::Any };
            let ty = cel::check(expression, &usage, &at.child("expression"), errors);
            variables.declare(name, ty.as_ref());
        }
        if errors.is_full() {
            break;
        }
    }
    variables
}
