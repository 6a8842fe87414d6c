//! References to secrets keep only the name.

use corten_apimachinery::{
    Value,
    field::ErrorList,
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

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _object: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }
}
