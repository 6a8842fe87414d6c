//! Rules of mutating admission policies.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::{
    admissionregistration::{
        REINVOCATION_POLICIES,
        expressions::{self, Stored},
        policy::{self, Does},
    },
    cel::{self, Gives, Scope, Use, Variable},
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
    let variables = expressions::variables(spec);
    let stored = policy::stored(old, "variables", "expression");
    expressions::validate_variables(&variables, (params, &stored), &path, &mut errors);
    if spec.items_at(&["mutations"]).is_empty() {
        errors.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    let stored = stored_patches(old);
    for (at, mutation) in each_at(spec, "mutations", &path) {
        one_mutation(mutation, (params, &variables, &stored), &at, &mut errors);
    }
    let again = text_at(spec, &["reinvocationPolicy"]);
    errors.require_one_of(&path.child("reinvocationPolicy"), again, REINVOCATION_POLICIES);
    errors
}

fn stored_patches(old: Option<&Value>) -> Stored<'_> {
    let mutations = old.map(|old| old.items_at(&["mutations"])).unwrap_or_default();
    let expressions = |mutation| PATCHES.map(|(_, field, _)| text_at(mutation, &[field, "expression"]).trim());
    mutations.iter().flat_map(expressions).filter(|expression| !expression.is_empty()).collect()
}

fn one_mutation(
    mutation: &Value,
    (params, variables, stored): (bool, &[Variable<'_>], &Stored<'_>),
    path: &Path,
    errors: &mut ErrorList,
) {
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
            let scope = Scope::Admission { params, authorizer: true, variables };
            cel::check(expression, &Use { scope, gives, is_stored: stored.contains(expression) }, &at, errors);
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
