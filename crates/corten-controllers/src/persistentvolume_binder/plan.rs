//! Which volume a claim gets, and what becomes of volumes and claims. Pure.
//!
//! Upstream: pkg/controller/volume/persistentvolume/pv_controller.go, k8s.io/component-helpers/storage/volume (v1.35).

use corten_apimachinery::{meta::ObjectMeta as _, quantity::Quantity, selector::label::Selector, value::Value};
use corten_controller::Key;
use serde_json::json;

use crate::objects::from_json;

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// What one look at a claim asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClaimPlan {
    /// Binds it to this volume.
    Bind(Box<Value>),
    /// It waits for a volume.
    Wait(Report),
    /// Its volume is gone or somebody else's.
    Lose(Report),
}

/// An event about an object; `None` when there is nothing to say.
pub(super) type Report = Option<(Level, &'static str, String)>;

/// Whether a report is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It is.
    Normal,
    /// It is not.
    Warning,
}

/// What is known of the class of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class<'c> {
    /// There is none of that name.
    Missing,
    /// Volumes are made by this provisioner.
    Provisioned {
        /// Its name.
        by: &'c str,
        /// Whether it waits for a pod that uses the claim.
        late: bool,
    },
}

/// The class that a claim or a volume names; empty for none.
pub(super) fn class_of(object: &Value) -> &str {
    let field = object.str_at(&["spec", "storageClassName"]);
    object.annotation(BETA_CLASS).or(field).unwrap_or_default()
}

/// The volume that a claim names; empty for none.
pub(super) fn volume_of(claim: &Value) -> &str {
    claim.str_at(&["spec", "volumeName"]).unwrap_or_default()
}

/// Whether binding the claim has not been finished.
fn is_unbound(claim: &Value) -> bool {
    claim.annotation(BIND_COMPLETED).is_none()
}

/// Whether a claim may get a volume, or get one back: it is not bound.
pub(super) fn is_waiting(claim: &Value) -> bool {
    claim.str_at(&["status", "phase"]) != Some("Bound")
}

/// The part of a volume that `plan_claim` and `kept_for` look at, with the version that it is of.
pub(super) fn offer(volume: &Value) -> Value {
    const PARTS: [&[&str]; 12] = [
        &["metadata", "name"],
        &["metadata", "resourceVersion"],
        &["metadata", "deletionTimestamp"],
        &["metadata", "labels"],
        &["metadata", "annotations", BETA_CLASS],
        &["spec", "accessModes"],
        &["spec", "capacity"],
        &["spec", "claimRef"],
        &["spec", "storageClassName"],
        &["spec", "volumeAttributesClassName"],
        &["spec", "volumeMode"],
        &["status", "phase"],
    ];
    let mut offer = Value::object();
    for part in PARTS {
        if let Some(value) = volume.at(part) {
            offer.set(part, value.clone());
        }
    }
    offer
}

/// The claim that a volume is kept for, whether it exists or not.
pub(super) fn kept_for(volume: &Value) -> Option<Key> {
    is_claimed(volume).then(|| Key::new(claim_ref(volume, "namespace"), claim_ref(volume, "name")))
}

fn claim_ref<'v>(volume: &'v Value, field: &str) -> &'v str {
    volume.str_at(&["spec", "claimRef", field]).unwrap_or_default()
}

/// Whether somebody has claimed the volume.
fn is_claimed(volume: &Value) -> bool {
    volume.at(&["spec", "claimRef"]).is_some_and(|reference| !reference.is_null())
}

/// Whether the volume is kept for this claim: by UID, or by name alone.
fn is_kept_for(volume: &Value, claim: &Value) -> bool {
    let uid = claim_ref(volume, "uid");
    claim_ref(volume, "name") == claim.name()
        && claim_ref(volume, "namespace") == claim.namespace()
        && (uid.is_empty() || uid == claim.uid())
}

fn mode_of(object: &Value) -> &str {
    object.str_at(&["spec", "volumeMode"]).filter(|mode| !mode.is_empty()).unwrap_or("Filesystem")
}

fn attributes_class_of(object: &Value) -> &str {
    object.str_at(&["spec", "volumeAttributesClassName"]).unwrap_or_default()
}

fn capacity_of(volume: &Value) -> Quantity {
    Quantity::from_value(volume.at(&["spec", "capacity", "storage"])).unwrap_or_default()
}

fn is_large_enough(volume: &Value, claim: &Value) -> bool {
    let wanted = Quantity::from_value(claim.at(&["spec", "resources", "requests", "storage"])).unwrap_or_default();
    capacity_of(volume) >= wanted
}

fn has_access_modes(volume: &Value, claim: &Value) -> bool {
    let has = volume.items_at(&["spec", "accessModes"]);
    claim.items_at(&["spec", "accessModes"]).iter().all(|mode| has.contains(mode))
}

/// Errors: why a volume that the claim names is not for it.
fn satisfies(volume: &Value, claim: &Value) -> Result<(), &'static str> {
    let checks = [
        (is_large_enough(volume, claim), "requested PV is too small"),
        (class_of(volume) == class_of(claim), "storageClassName does not match"),
        (attributes_class_of(volume) == attributes_class_of(claim), "volumeAttributesClassName does not match"),
        (mode_of(volume) == mode_of(claim), "incompatible volumeMode"),
        (has_access_modes(volume, claim), "incompatible accessMode"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
}

/// The volume for a claim that names none: the one kept for it, else the smallest that is large enough. With `late`,
/// only one that is kept for it: the scheduler chooses among the others.
fn best<'v>(volumes: &'v [Value], claim: &Value, late: bool) -> Option<&'v Value> {
    let usable = |volume: &&Value| {
        volume.deletion_timestamp().is_none() && mode_of(volume) == mode_of(claim) && is_large_enough(volume, claim)
    };
    let kept = volumes.iter().filter(usable).find(|volume| is_claimed(volume) && is_kept_for(volume, claim));
    if kept.is_some() || late {
        return kept;
    }
    let selector = claim.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
    let selector = selector.map_or_else(|| Ok(Selector::everything()), Selector::from_object).ok()?;
    let fits = |volume: &&Value| {
        !is_claimed(volume)
            && volume.str_at(&["status", "phase"]) == Some("Available")
            && satisfies(volume, claim).is_ok()
            && selector.matches_by(|key| volume.str_at(&["metadata", "labels", key]))
    };
    // Of several of one size the first by name, so that the choice does not depend on the order of the cache.
    volumes
        .iter()
        .filter(usable)
        .filter(fits)
        .min_by(|a, b| capacity_of(a).cmp(&capacity_of(b)).then_with(|| a.name().cmp(b.name())))
}

/// Decides about a claim. `class`: of the class that the claim names, if it names one.
pub(super) fn plan_claim(claim: &Value, volumes: &[Value], class: Option<Class<'_>>) -> ClaimPlan {
    let name = volume_of(claim);
    let named = volumes.iter().find(|volume| volume.name() == name);
    let warn = |reason, text: &str| Some((Level::Warning, reason, text.to_owned()));
    if !is_unbound(claim) {
        if name.is_empty() {
            let text = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return ClaimPlan::Lose(warn("ClaimLost", text));
        }
        return match named {
            None => {
                let text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
                ClaimPlan::Lose(warn("ClaimLost", text))
            }
            Some(volume) if !is_claimed(volume) || claim_ref(volume, "uid") == claim.uid() => {
                ClaimPlan::Bind(Box::new(volume.clone()))
            }
            Some(_) => {
                let text = "Two claims are bound to the same volume, this one is bound incorrectly";
                ClaimPlan::Lose(warn("ClaimMisbound", text))
            }
        };
    }
    if !name.is_empty() {
        return match named {
            None => ClaimPlan::Wait(None),
            Some(volume) if !is_claimed(volume) => match satisfies(volume, claim) {
                Ok(()) => ClaimPlan::Bind(Box::new(volume.clone())),
                Err(why) => {
                    let text = format!("Cannot bind to requested volume \"{name}\": {why}");
                    ClaimPlan::Wait(warn("VolumeMismatch", &text))
                }
            },
            Some(volume) if is_kept_for(volume, claim) => ClaimPlan::Bind(Box::new(volume.clone())),
            Some(_) => {
                let text = format!("volume \"{name}\" already bound to a different claim.");
                ClaimPlan::Wait(warn("FailedBinding", &text))
            }
        };
    }
    let late = matches!(class, Some(Class::Provisioned { late: true, .. }));
    if let Some(volume) = best(volumes, claim, late) {
        return ClaimPlan::Bind(Box::new(volume.clone()));
    }
    let say = |reason, text: &str| Some((Level::Normal, reason, text.to_owned()));
    ClaimPlan::Wait(match class {
        None => say("FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        Some(Class::Missing) => {
            let text = format!("storageclass.storage.k8s.io \"{}\" not found", class_of(claim));
            warn("ProvisioningFailed", &text)
        }
        Some(Class::Provisioned { late: true, .. }) => {
            say("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        }
        Some(Class::Provisioned { by, .. }) if by.starts_with("kubernetes.io/") => {
            warn("ProvisioningFailed", &format!("no volume plugin matched name: {by}"))
        }
        Some(Class::Provisioned { by, .. }) => {
            let text = format!(
                "Waiting for a volume to be created either by the external provisioner '{by}' or manually by the system \
                 administrator. If volume creation is delayed, please verify that the provisioner is running and \
                 correctly registered."
            );
            say("ExternalProvisioning", &text)
        }
    })
}

/// The volume, kept for the claim; `None` if it is.
pub(super) fn volume_for(volume: &Value, claim: &Value) -> Option<Value> {
    let is_kept = is_claimed(volume) && is_kept_for(volume, claim);
    if is_kept && claim_ref(volume, "uid") == claim.uid() {
        return None;
    }
    let mut bound = volume.clone();
    bound.set(
        &["spec", "claimRef"],
        from_json(&json!({
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.namespace(), "name": claim.name(),
            "uid": claim.uid(), "resourceVersion": claim.resource_version(),
        })),
    );
    if !is_kept {
        bound.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
    }
    Some(bound)
}

/// The claim, bound to the volume; `None` if it is.
pub(super) fn claim_with(claim: &Value, volume: &str) -> Option<Value> {
    if volume_of(claim) == volume && !is_unbound(claim) {
        return None;
    }
    let mut bound = claim.clone();
    if volume_of(claim) != volume {
        bound.set(&["spec", "volumeName"], volume);
        bound.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
    }
    bound.set(&["metadata", "annotations", BIND_COMPLETED], "yes");
    Some(bound)
}

/// The claim with this phase, and with what `volume` gives it; `None` if it says so.
pub(super) fn claim_in_phase(claim: &Value, phase: &str, volume: Option<&Value>) -> Option<Value> {
    let mut changed = claim.clone();
    changed.set(&["status", "phase"], phase);
    match volume {
        Some(volume) => {
            changed.set(&["status", "accessModes"], volume.items_at(&["spec", "accessModes"]).to_vec());
            // What a file system has grown to is for those to say who have resized it.
            if claim.str_at(&["status", "phase"]) != Some("Bound") || claim.at(&["status", "capacity"]).is_none() {
                changed.set(&["status", "capacity"], volume.at(&["spec", "capacity"]).cloned().unwrap_or_default());
            }
        }
        None => {
            changed.unset(&["status", "accessModes"]);
            changed.unset(&["status", "capacity"]);
        }
    }
    (changed != *claim).then_some(changed)
}

/// The volume in this phase; `None` if it is: what others have written into its status beside that is not touched.
pub(super) fn volume_in_phase(volume: &Value, phase: &str, message: &str) -> Option<Value> {
    if volume.str_at(&["status", "phase"]) == Some(phase) {
        return None;
    }
    let mut changed = volume.clone();
    changed.set(&["status", "phase"], phase);
    if message.is_empty() {
        changed.unset(&["status", "message"]);
    } else {
        changed.set(&["status", "message"], message);
    }
    Some(changed)
}

/// What one look at a volume asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum VolumePlan {
    /// Nothing: binding it goes on with its claim.
    Nothing,
    /// It has this phase, and perhaps an event says why.
    Phase(&'static str, Report),
    /// It is not kept for its claim any more, which has got another.
    Release(Box<Value>),
}

/// Decides about a volume. `claim`: the one it is kept for, if that exists.
pub(super) fn plan_volume(volume: &Value, claim: Option<&Value>) -> VolumePlan {
    if !is_claimed(volume) || claim_ref(volume, "uid").is_empty() {
        return VolumePlan::Phase("Available", None);
    }
    let Some(claim) = claim.filter(|claim| claim.uid() == claim_ref(volume, "uid")) else {
        return released(volume);
    };
    let name = volume_of(claim);
    if name == volume.name() {
        return VolumePlan::Phase("Bound", None);
    }
    if name.is_empty() {
        return VolumePlan::Nothing;
    }
    let mut free = volume.clone();
    if volume.annotation(BOUND_BY_CONTROLLER).is_some() {
        free.unset(&["spec", "claimRef"]);
        free.unset(&["metadata", "annotations", BOUND_BY_CONTROLLER]);
    } else {
        // Its user has kept it for a claim of this name.
        free.unset(&["spec", "claimRef", "uid"]);
        free.unset(&["spec", "claimRef", "resourceVersion"]);
    }
    VolumePlan::Release(Box::new(free))
}

/// The claim is gone. Volumes of others are taken away by those who made them; nobody here can delete or empty one.
fn released(volume: &Value) -> VolumePlan {
    let failed = |reason, text: String| VolumePlan::Phase("Failed", Some((Level::Warning, reason, text)));
    let is_settled = volume.str_at(&["status", "phase"]) == Some("Failed");
    match volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) {
        Some("Delete") if volume.annotation(PROVISIONED_BY).is_none() && volume.at(&["spec", "csi"]).is_none() => {
            let name = volume.name();
            let text = format!(
                "error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"
            );
            failed("VolumeFailedDelete", text)
        }
        Some("Recycle") => failed("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned()),
        _ if is_settled => VolumePlan::Nothing,
        _ => VolumePlan::Phase("Released", None),
    }
}

#[cfg(test)]
mod tests;
