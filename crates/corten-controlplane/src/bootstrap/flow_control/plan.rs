//! What has to be done so that an object of the bootstrap is as it should be. Pure.

use corten_apimachinery::{
    meta::ObjectMeta as _,
    value::{Str, Value, semantically_equal},
};
use corten_base::parse_bool;
use corten_resources::flowcontrol::bootstrap::AUTO_UPDATE;

/// What may become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// Its spec is fixed, but for the shares of level `exempt`.
    Mandatory,
    /// It is an administrator's as soon as he says so, or changes it.
    Suggested,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make it.
    Create(Value),
    /// Put this in its place.
    Update(Value),
    /// Take it away.
    Delete(Str),
}

/// What has to be done so that `current` is `wanted`, as far as the server may.
pub(super) fn plan(wanted: &Value, current: Option<&Value>, upkeep: Upkeep) -> Option<Action> {
    let Some(current) = current else {
        let mut object = wanted.clone();
        object.set(&["metadata", "annotations", AUTO_UPDATE], "true");
        return Some(Action::Create(object));
    };
    let may_update = upkeep == Upkeep::Mandatory || may_update(current);
    let mut object = current.clone();
    if said(current) != Some(may_update) {
        object.set(&["metadata", "annotations", AUTO_UPDATE], if may_update { "true" } else { "false" });
    }
    let spec = spec_of(wanted, current);
    if may_update && !semantically_equal(Some(&spec), current.get("spec")) {
        object.set(&["spec"], spec);
    }
    (object != *current).then_some(Action::Update(object))
}

/// Whether an object was made by a server that knew it, and is still that server's.
pub(super) fn is_stale(object: &Value) -> bool {
    said(object) == Some(true)
}

/// What the annotation says, if it says anything.
fn said(object: &Value) -> Option<bool> {
    object.annotation(AUTO_UPDATE).and_then(parse_bool)
}

/// Without a word, an object that nobody has changed is the server's.
fn may_update(object: &Value) -> bool {
    said(object).unwrap_or_else(|| object.generation() == 1)
}

/// The spec that is wanted, with the shares of level `exempt` that an administrator has given.
fn spec_of(wanted: &Value, current: &Value) -> Value {
    let mut spec = wanted.get("spec").cloned().unwrap_or_default();
    for field in ["nominalConcurrencyShares", "lendablePercent"] {
        if let (true, Some(given)) = (spec.get("exempt").is_some(), current.at(&["spec", "exempt", field])) {
            spec.set(&["exempt", field], given.clone());
        }
    }
    spec
}
