//! What clients may change of a namespace through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, OwnDeletion, Strategy},
    validation,
};

use super::{defaults, deletion, validation as rules};
use crate::rules::keep;

/// The finalizer of the namespace controller, in `spec`.
const KUBERNETES: &str = "kubernetes";

/// The namespace itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        object.set(&["status"], Value::object_of([("phase", "Active".into())]));
        let finalizers = object.items_at(&["spec", "finalizers"]);
        if !finalizers.iter().any(|finalizer| finalizer.as_str() == Some(KUBERNETES)) {
            let mut finalizers = finalizers.to_vec();
            finalizers.push(KUBERNETES.into());
            object.set(&["spec", "finalizers"], finalizers);
        }
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["spec", "finalizers"]);
        keep(object, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        rules::finalizers(object, |path, _| path.clone())
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        self.validate(cx, object)
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        validation::is_dns1123_label_prefixed(name, prefix)
    }

    fn canonicalize(&self, object: &mut Value) {
        defaults::label_with_name(object);
    }

    fn own_deletion(&self) -> Option<OwnDeletion> {
        Some(deletion::mark)
    }

    fn holds_deletion(&self, object: &Value) -> bool {
        !object.items_at(&["spec", "finalizers"]).is_empty()
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        rules::phase(object)
    }

    fn holds_deletion(&self, object: &Value) -> bool {
        Main.holds_deletion(object)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}

/// `finalize`: changes the finalizers in `spec`.
#[derive(Debug)]
pub(super) struct Finalize;

impl Strategy for Finalize {
    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        rules::finalizers(object, Path::index)
    }

    fn holds_deletion(&self, object: &Value) -> bool {
        Main.holds_deletion(object)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}
