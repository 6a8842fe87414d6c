//! The rules of `metadata`: names, labels, annotations, finalizers, owners, and what an update may not change.
//!
//! Upstream: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and pkg/apis/meta/v1/validation (v1.35).

use std::collections::BTreeSet;

use super::{field_is_immutable, is_dns1123_label, is_label_value, is_qualified_name};
use crate::{
    field::{Error, ErrorList, Path, quote},
    gvk::GroupVersion,
    meta::ObjectMeta,
    value::{Map, Value},
};

/// All annotations of an object together: 256 KiB.
const ANNOTATIONS_MAX_BYTES: usize = 256 * 1_024;
/// Upstream's limit for the name of a field manager.
const MANAGER_MAX_BYTES: usize = 128;
/// Upstream's limit for the name of a subresource in a managed-fields entry.
const SUBRESOURCE_MAX_BYTES: usize = 256;
/// How many controllers too many are reported: the error of each shows all owners.
const CONTROLLERS_SHOWN_MAX: usize = 16;

/// Every rule that the metadata of a new object breaks; its name has been generated already.
///
/// `name_rule` says why a name (or, if its second argument is true, a prefix of one) is bad: `Strategy::validate_name`.
#[must_use]
pub fn validate_object_meta(
    object: &Value,
    is_namespaced: bool,
    name_rule: &dyn Fn(&str, bool) -> Vec<String>,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, prefix, namespace) = (object.name(), object.generate_name(), object.namespace());
    if !prefix.is_empty() {
        errors.extend(invalids(&path.child("generateName"), prefix, name_rule(prefix, true)));
    }
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), "name or generateName is required"));
    } else {
        errors.extend(invalids(&path.child("name"), name, name_rule(name, false)));
    }
    let at = path.child("namespace");
    match (is_namespaced, namespace.is_empty()) {
        (true, true) => errors.push(Error::required(&at, "")),
        (true, false) => errors.extend(invalids(&at, namespace, is_dns1123_label(namespace))),
        (false, false) => errors.push(Error::forbidden(&at, "not allowed on this type")),
        (false, true) => {}
    }
    if object.generation() < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&path.child("generation"), object.generation(), detail));
    }
    errors.extend(validate_common(object, path));
    errors
}

/// Every rule that the metadata of an update breaks.
#[must_use]
pub fn validate_object_meta_update(new: &Value, old: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if old.deletion_timestamp().is_some() {
        let before: BTreeSet<&str> = old.finalizers().collect();
        let added: BTreeSet<&str> = new.finalizers().filter(|name| !before.contains(name)).collect();
        if !added.is_empty() {
            let added: Vec<String> = added.into_iter().map(quote).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(Error::forbidden(&path.child("finalizers"), detail));
        }
    }
    if new.resource_version().is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    if new.generation() < old.generation() {
        errors.push(Error::invalid(&path.child("generation"), new.generation(), "must not be decremented"));
    }
    let immutable =
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for name in immutable {
        let at = ["metadata", name];
        errors.extend(field_is_immutable(new.at(&at), old.at(&at), &path.child(name)));
    }
    errors.extend(validate_common(new, path));
    errors
}

fn validate_common(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(labels) = object.labels() {
        errors.extend(validate_label_map(labels, &path.child("labels")));
    }
    if let Some(annotations) = object.annotations() {
        errors.extend(validate_annotations(annotations, &path.child("annotations")));
    }
    errors.extend(validate_owners(object, &path.child("ownerReferences")));
    errors.extend(validate_finalizers(object, &path.child("finalizers")));
    errors.extend(validate_managed_fields(object, &path.child("managedFields")));
    errors
}

/// The keys and values of labels.
#[must_use]
pub fn validate_label_map(labels: &Map, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels.iter() {
        if errors.is_full() {
            break;
        }
        errors.extend(validate_label_name(key, path));
        let value = value.as_str().unwrap_or_default();
        errors.extend(invalids(path, value, is_label_value(value)));
    }
    errors
}

/// The key of a label.
#[must_use]
pub fn validate_label_name(name: &str, path: &Path) -> ErrorList {
    invalids(path, name, is_qualified_name(name))
}

/// The keys of annotations and their size.
#[must_use]
pub fn validate_annotations(annotations: &Map, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size_bytes = 0;
    for (key, value) in annotations.iter() {
        if !errors.is_full() {
            errors.extend(invalids(path, key, is_qualified_name(&key.to_lowercase())));
        }
        size_bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size_bytes > ANNOTATIONS_MAX_BYTES {
        errors.push(Error::too_long(path, ANNOTATIONS_MAX_BYTES));
    }
    errors
}

fn validate_owners(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<String> = None;
    let mut other_controllers = 0;
    for owner in object.owner_references() {
        if errors.is_full() {
            break;
        }
        let text = |field: &str| owner.str_at(&[field]).unwrap_or_default();
        let version = GroupVersion::parse(text("apiVersion"));
        if version.as_ref().is_none_or(|version| version.version.is_empty()) {
            let detail = "version must not be empty";
            errors.push(Error::invalid(&path.child("apiVersion"), text("apiVersion"), detail));
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                errors.push(Error::invalid(&path.child(field), "", "must not be empty"));
            }
        }
        if (text("apiVersion"), text("kind")) == ("v1", "Event") {
            errors.push(Error::invalid(path, owner.clone(), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.bool_at(&["controller"]) == Some(true) && other_controllers < CONTROLLERS_SHOWN_MAX {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => {
                    other_controllers += 1;
                    // The list itself, not a copy of it.
                    let all = object.at(&["metadata", "ownerReferences"]).cloned().unwrap_or_default();
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {this}"
                    );
                    errors.push(Error::invalid(path, all, detail));
                }
            }
        }
    }
    errors
}

fn validate_finalizers(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for finalizer in object.finalizers() {
        if errors.is_full() {
            break;
        }
        errors.extend(invalids(path, finalizer, is_qualified_name(finalizer)));
    }
    let has = |name: &str| object.finalizers().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let all = Value::array(object.finalizers().map(Value::from));
        errors.push(Error::invalid(path, all, "finalizer orphan and foregroundDeletion cannot be both set"));
    }
    errors
}

fn validate_managed_fields(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, entry) in object.items_at(&["metadata", "managedFields"]).iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let path = path.index(index);
        let text = |field: &str| entry.str_at(&[field]).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), text("operation"), "must be `Apply` or `Update`"));
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), text("fieldsType"), "must be `FieldsV1`"));
        }
        let manager = text("manager");
        errors.extend(validate_field_manager(manager, &path.child("manager")));
        if text("subresource").len() > SUBRESOURCE_MAX_BYTES {
            errors.push(Error::too_long(&path.child("subresource"), SUBRESOURCE_MAX_BYTES));
        }
    }
    errors
}

/// The name of a field manager.
#[must_use]
pub fn validate_field_manager(manager: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut shown_max = MANAGER_MAX_BYTES;
    if manager.len() > MANAGER_MAX_BYTES {
        errors.push(Error::too_long(path, MANAGER_MAX_BYTES));
        // Each error shows the whole name.
        shown_max = 1;
    }
    let unprintable = manager.char_indices().filter(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' '));
    for (at, c) in unprintable.take(shown_max) {
        errors.push(Error::invalid(
            path,
            manager,
            format!("invalid character U+{:04X} (at position {at})", u32::from(c)),
        ));
    }
    errors
}

fn invalids(path: &Path, value: &str, messages: Vec<String>) -> ErrorList {
    messages.into_iter().map(|message| Error::invalid(path, value, message)).collect()
}

/// Finalizers without a domain that are none of the standard ones, which the built-in kinds refuse. `path` is that of the
/// metadata.
///
/// Upstream: `validateKubeFinalizerName` of pkg/apis/core/validation.
#[must_use]
pub fn validate_standard_finalizers(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = path.child("finalizers");
    for (index, finalizer) in object.finalizers().enumerate() {
        if errors.is_full() {
            break;
        }
        if !finalizer.contains('/') && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion") {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path.index(index), finalizer, detail));
        }
    }
    errors
}
