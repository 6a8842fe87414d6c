//! Defaults of definitions.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go (v1.35).

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, fill_zero, within};

/// The port of a conversion webhook.
const WEBHOOK_PORT: i64 = 443;

pub(super) fn v1(definition: &mut Value) {
    within(definition, &["spec"], |spec| {
        within(spec, &["names"], |names| {
            let kind = names.str_at(&["kind"]).unwrap_or_default().to_owned();
            if !kind.is_empty() {
                fill_zero(names, "singular", kind.to_lowercase());
                fill_zero(names, "listKind", format!("{kind}List"));
            }
        });
        fill_absent(spec, "conversion", Value::object_of([("strategy", "None".into())]));
        within(spec, &["conversion", "webhook", "clientConfig", "service"], |service| {
            fill_absent(service, "port", WEBHOOK_PORT);
        });
    });
    if definition.items_at(&["status", "storedVersions"]).is_empty()
        && let Some(storage) = storage_version(definition)
    {
        let stored = Value::array([storage.into()]);
        within(definition, &["status"], |status| status.set(&["storedVersions"], stored));
    }
}

/// The name of the first version that objects are stored in.
pub(super) fn storage_version(definition: &Value) -> Option<&str> {
    let versions = definition.items_at(&["spec", "versions"]);
    versions.iter().find(|version| version.bool_at(&["storage"]) == Some(true))?.str_at(&["name"])
}
