//! Defaults of namespaces.

use corten_apimachinery::{Value, meta::ObjectMeta};

use crate::defaulting::fill_zero;

/// The label by which selectors find a namespace by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Fills in the phase and the name's label.
pub(super) fn v1(object: &mut Value) {
    label_with_name(object);
    fill_zero(object.at_or_insert(&["status"]), "phase", "Active");
}

/// Sets the name's label; a name that is still to be generated is labelled once it is known.
pub(super) fn label_with_name(object: &mut Value) {
    let name = object.name();
    if !name.is_empty() && object.label(NAME_LABEL) != Some(name) {
        let name = name.to_owned();
        object.set(&["metadata", "labels", NAME_LABEL], name);
    }
}
