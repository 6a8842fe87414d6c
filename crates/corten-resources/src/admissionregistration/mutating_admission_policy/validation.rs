//! Rules of mutating admission policies.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};
use corten_cel::admission::Variables;

use crate::{
    admissionregistration::{
        REINVOCATION_POLICIES, expressions,
        policy::{self, Does},
    },
    cel::{self, Gives, Use},
    report::Report,
    tree::{each_at, present, text_at},
};

/// The forms of a change: (patch type, field of its expression, what the expression gives).
const PATCHES: [(&str, &str, Gives); 2] = [
    ("ApplyConfiguration", "applyConfiguration", Gives::ApplyConfiguration),
    ("JSONPatch", "jsonPatch", Gives::JsonPatch),
];

pub(super) fn policy(object: &Value, old: Option<&Value>) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let old = old.map(|old| old.get("spec").unwrap_or(&null));
    let mut errors = ErrorList::new();
    let params = policy::validate(Does::Mutate, spec, old, &mut errors);
    let variables = expressions::validate_variables(spec, params, &path, &mut errors);
    if spec.items_at(&["mutations"]).is_empty() {
        errors.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    for (at, mutation) in each_at(spec, "mutations", &path) {
        one_mutation(mutation, (params, &variables), &at, &mut errors);
    }
    let again = text_at(spec, &["reinvocationPolicy"]);
    errors.require_one_of(&path.child("reinvocationPolicy"), again, REINVOCATION_POLICIES);
    errors
}

fn one_mutation(mutation: &Value, (params, variables): (bool, &Variables), path: &Path, errors: &mut ErrorList) {
    let ty = text_at(mutation, &["patchType"]);
    if !errors.require(&path.child("patchType"), ty) {
        return;
    }
    let Some((_, own, gives)) = PATCHES.into_iter().find(|(known, ..)| *known == ty) else {
        errors.one_of(&path.child("patchType"), ty, &PATCHES.map(|(known, ..)| known));
        return;
    };
    let at = path.child(own);
    if let Some(patch) = present(mutation, &[own]) {
        let (expression, at) = (text_at(patch, &["expression"]).trim(), at.child("expression"));
        if errors.require(&at, expression) {
            cel::check(expression, &Use { params, authorizer: true, variables, gives }, &at, errors);
        }
    } else {
        errors.required(&at, &format!("must be specified when patchType is {ty}"));
    }
    for (_, other, _) in PATCHES {
        if other != own && present(mutation, &[other]).is_some() {
            let detail = format!("must not be specified when patchType is {ty}");
            errors.invalid(&path.child(other), format!("{{{other}}}"), detail);
        }
    }
}
