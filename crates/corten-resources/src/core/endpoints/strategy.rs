//! Endpoints are stored in one form, however they were sent.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::ip_warnings,
};

use super::{repack::repack, validation};

/// The endpoints themselves.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::subsets(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        validation::subsets(object)
    }

    fn canonicalize(&self, object: &mut Value) {
        repack(object);
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, object: &Value) -> Vec<String> {
        warnings(object)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> Vec<String> {
        warnings(object)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, subset) in object.items_at(&["subsets"]).iter().enumerate() {
        for field in ["addresses", "notReadyAddresses"] {
            for (index, address) in subset.items_at(&[field]).iter().enumerate() {
                let path = Path::new("subsets").index(at).child(field).index(index).child("ip");
                warnings.extend(ip_warnings(&path, address.str_at(&["ip"]).unwrap_or_default()));
            }
        }
    }
    warnings
}
