//! Which of the names that a definition asks for it gets, and the conditions that say so. Pure.
//!
//! Invariant: a name that two definitions of a group ask for is the one's that had it first.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/controller/status/naming_controller.go (v1.35).

use std::collections::BTreeSet;

use corten_apimachinery::{Value, meta::ObjectMeta as _, value::Str};

use super::{
    BuiltIn,
    conditions::{ESTABLISHED, NAMES_ACCEPTED, condition, is_equivalent, is_true, set_condition},
};

/// The names that other definitions of a group have.
#[derive(Debug, Default)]
struct Taken<'a> {
    resources: BTreeSet<&'a str>,
    kinds: BTreeSet<&'a str>,
}

impl<'a> Taken<'a> {
    fn of(group: &str, definitions: impl Iterator<Item = &'a Value>) -> Self {
        let mut taken = Self::default();
        for definition in definitions.filter(|definition| definition.str_at(&["spec", "group"]) == Some(group)) {
            let Some(names) = definition.at(&["status", "acceptedNames"]) else { continue };
            taken.resources.extend(["plural", "singular"].iter().filter_map(|name| names.str_at(&[name])));
            taken.resources.extend(texts(names, "shortNames"));
            taken.kinds.extend(["kind", "listKind"].iter().filter_map(|name| names.str_at(&[name])));
        }
        taken
    }
}

fn texts<'a>(names: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    names.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The definition with the names that it gets and the conditions that say so; `None` if it has them already. `all` are all
/// definitions, this one among them. Nobody gets a name whose objects would be those of a built-in resource.
pub(super) fn named<'a>(definition: &Value, all: impl Iterator<Item = &'a Value>, built_in: &BuiltIn) -> Option<Value> {
    let wanted = definition.at(&["spec", "names"])?;
    let nothing = Value::object();
    let accepted = definition.at(&["status", "acceptedNames"]).unwrap_or(&nothing);
    if wanted == accepted {
        return None;
    }
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let taken = Taken::of(group, all);
    let is_kept = |plural: &str| built_in.keeps(&format!("{group}/{plural}"));
    let mut got = accepted.clone();
    let mut conflict: Option<(&'static str, String)> = None;
    for (field, used, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("shortNames", &taken.resources, "ShortNamesConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        let why = match field {
            "shortNames" => short_names_conflict(wanted, accepted, used),
            _ => {
                let name = wanted.str_at(&[field]).unwrap_or_default();
                let is_ours = accepted.str_at(&[field]).unwrap_or_default() == name;
                let is_anothers = used.contains(name) || (field == "plural" && is_kept(name));
                (!is_ours && is_anothers).then(|| in_use(name))
            }
        };
        // The last conflict is the one that is told.
        match why {
            Some(why) => conflict = Some((reason, why)),
            None => take_over(&mut got, wanted, field),
        }
    }
    take_over(&mut got, wanted, "categories");
    let is_accepted = conflict.is_none();
    let names_accepted = match conflict {
        None => condition(NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found"),
        Some((reason, message)) => condition(NAMES_ACCEPTED, "False", reason, &message),
    };
    if got == *accepted && is_equivalent(definition, &names_accepted) {
        return None;
    }
    let mut named = definition.clone();
    named.set(&["status", "acceptedNames"], got);
    set_condition(&mut named, names_accepted);
    let is_established = is_true(definition, ESTABLISHED);
    if !is_established && is_accepted {
        set_condition(
            &mut named,
            condition(ESTABLISHED, "False", "Installing", "the initial names have been accepted"),
        );
    } else if super::conditions::find_condition(definition, ESTABLISHED).is_none() {
        set_condition(&mut named, condition(ESTABLISHED, "False", "NotAccepted", "not all names are accepted"));
    }
    Some(named)
}

fn take_over(got: &mut Value, wanted: &Value, field: &str) {
    match wanted.get(field) {
        Some(value) => got.set(&[field], value.clone()),
        None => _ = got.unset(&[field]),
    }
}

fn short_names_conflict(wanted: &Value, accepted: &Value, used: &BTreeSet<&str>) -> Option<String> {
    let ours: BTreeSet<&str> = texts(accepted, "shortNames")
        .chain(["plural", "singular"].iter().filter_map(|name| accepted.str_at(&[name])))
        .collect();
    let refused: Vec<String> =
        texts(wanted, "shortNames").filter(|name| !ours.contains(name) && used.contains(name)).map(in_use).collect();
    match &refused[..] {
        [] => None,
        [one] => Some(one.clone()),
        // As Go shows several errors as one.
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn in_use(name: &str) -> String {
    format!("{name:?} is already in use")
}

/// The definition as established; `None` if it is, or must not be yet.
pub(super) fn established(definition: &Value) -> Option<Value> {
    if !is_true(definition, NAMES_ACCEPTED)
        || is_true(definition, ESTABLISHED)
        || definition.deletion_timestamp().is_some()
    {
        return None;
    }
    let mut established = definition.clone();
    let met = condition(ESTABLISHED, "True", "InitialNamesAccepted", "the initial names have been accepted");
    set_condition(&mut established, met);
    Some(established)
}

/// The names of the other definitions of the group, which may get what this one has given up.
pub(super) fn of_group<'a>(group: &'a str, all: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = Str> {
    all.filter(move |definition| definition.str_at(&["spec", "group"]) == Some(group))
        .map(|definition| definition.name().into())
}
