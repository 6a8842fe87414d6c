//! Rules of definitions.
//!
//! Upstream validates another form of a definition, in which what is the same in all versions (schema, subresources,
//! columns, selectable fields) stands once above them: paths of errors are those of that form.
//! What an old definition did not keep, an update need not keep either.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (v1.35).

mod approval;
mod conversion;
mod hoist;
mod map_list;
mod names;
mod ratchet;
pub mod rules;
mod schema;
mod scope;
mod spec;
mod version;

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta as _,
    validation::field_is_immutable,
};

use self::ratchet::Requirements;

/// Every rule that a new definition breaks.
pub(super) fn create(definition: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    name(definition, &mut errors);
    check(definition, None, &Requirements::of_new(), &mut errors);
    errors
}

/// Every rule that a changed definition breaks.
pub(super) fn update(definition: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check(definition, Some(old), &Requirements::of_update(definition, old), &mut errors);
    errors
}

/// Every rule that a changed status breaks.
pub(super) fn update_status(definition: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    accepted_names(definition, &mut errors);
    errors
}

fn check(definition: &Value, old: Option<&Value>, requirements: &Requirements, errors: &mut ErrorList) {
    let empty = Value::object();
    let path = Path::new("spec");
    let new_spec = definition.get("spec").unwrap_or(&empty);
    spec::check(new_spec, requirements, &path, errors);
    if let Some(old) = old {
        let field = |definition: &Value, field: &[&str]| definition.at(field).cloned().unwrap_or_else(|| "".into());
        let mut immutable = |keys: &[&str], path: &Path| {
            let keys: Vec<&str> = ["spec"].into_iter().chain(keys.iter().copied()).collect();
            errors.extend(field_is_immutable(Some(&field(definition, &keys)), Some(&field(old, &keys)), path));
        };
        let names = path.child("names");
        if requirements.immutable_names {
            // They are how objects are stored.
            immutable(&["scope"], &path.child("scope"));
            immutable(&["names", "kind"], &names.child("kind"));
        }
        // They are the name of the definition.
        immutable(&["group"], &path.child("group"));
        immutable(&["names", "plural"], &names.child("plural"));
    }
    accepted_names(definition, errors);
    stored_versions(definition, errors);
    approval::check(definition, old, errors);
    preserve_unknown_fields(definition, old, errors);
}

/// A definition is called as its resource and group.
fn name(definition: &Value, errors: &mut ErrorList) {
    let text = |field: &[&str]| definition.str_at(field).unwrap_or_default();
    let wanted = format!("{}.{}", text(&["spec", "names", "plural"]), text(&["spec", "group"]));
    for (field, value) in [("generateName", definition.generate_name()), ("name", definition.name())] {
        if !value.is_empty() && value != wanted {
            let path = Path::new("metadata").child(field);
            errors.push(Error::invalid(&path, value, "must be spec.names.plural+\".\"+spec.group"));
        }
    }
}

fn accepted_names(definition: &Value, errors: &mut ErrorList) {
    if let Some(accepted) = definition.at(&["status", "acceptedNames"]) {
        names::check(accepted, &Path::new("status").child("acceptedNames"), errors);
    }
}

/// What objects are stored in has to be known to those who read them.
fn stored_versions(definition: &Value, errors: &mut ErrorList) {
    let path = Path::new("status").child("storedVersions");
    let stored = definition.items_at(&["status", "storedVersions"]);
    let all = || Value::array(stored.iter().cloned());
    if stored.is_empty() {
        errors.push(Error::invalid(&path, Value::Null, "must have at least one stored version"));
        return;
    }
    // A name that stands twice is reported once, where it stands last.
    let names = stored.iter().enumerate().filter_map(|(index, name)| Some((name.as_str()?, index)));
    let mut unknown: BTreeMap<&str, usize> = names.collect();
    for version in definition.items_at(&["spec", "versions"]) {
        let name = version.str_at(&["name"]).unwrap_or_default();
        if unknown.remove(name).is_none()
            && version.bool_at(&["storage"]) == Some(true)
            && !stored.iter().any(|stored| stored.as_str() == Some(name))
        {
            errors.push_with(|| Error::invalid(&path, all(), format!("must have the storage version {name}")));
        }
    }
    let mut unknown: Vec<(&str, usize)> = unknown.into_iter().collect();
    unknown.sort_by_key(|(_, index)| *index);
    for (name, index) in unknown {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
             until a storage migration ensures no data remains persisted in {name} and removes {name} from \
             status.storedVersions"
        );
        errors.push(Error::invalid(&path.index(index), name, detail));
    }
}

/// Keeping unknown fields everywhere was a way of v1beta1, which old definitions may go on with.
fn preserve_unknown_fields(definition: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let preserves = |definition: &Value| definition.bool_at(&["spec", "preserveUnknownFields"]) == Some(true);
    if preserves(definition) && !old.is_some_and(preserves) {
        let path = Path::new("spec").child("preserveUnknownFields");
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&path, true, detail));
    }
}
