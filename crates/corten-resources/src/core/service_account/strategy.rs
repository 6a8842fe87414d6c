//! References to secrets keep only the name.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta as _,
    resource::{Context, Strategy},
};

use crate::defaulting::each;

/// The service account itself.
#[derive(Debug)]
pub(super) struct Main;

fn clean_secret_references(object: &mut Value) {
    let is_clean = |secret: &Value| secret.as_object().is_none_or(|map| map.keys().all(|key| key == "name"));
    if object.items_at(&["secrets"]).iter().all(is_clean) {
        return;
    }
    each(object, &["secrets"], |secret| {
        if let Some(map) = secret.as_object_mut() {
            map.retain(|key, _| key == "name");
        }
    });
}

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        clean_secret_references(object);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, _old: &Value) {
        clean_secret_references(object);
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, object: &Value) -> Vec<String> {
        warnings(object)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> Vec<String> {
        warnings(object)
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _object: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Upstream: pkg/registry/core/serviceaccount/strategy.go.
fn warnings(object: &Value) -> Vec<String> {
    let annotation = "kubernetes.io/enforce-mountable-secrets";
    if object.annotation(annotation).is_none() {
        return Vec::new();
    }
    let at = Path::new("metadata").child("annotations").key(annotation);
    vec![format!("{at}: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets")]
}
