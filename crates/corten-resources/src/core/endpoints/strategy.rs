//! Endpoints are stored in one form, however they were sent.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::ip_warnings,
    value::semantically_equal,
};

use super::{repack::repack, validation};

/// The endpoints themselves.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::subsets(cx.features, object)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        let errors = validation::subsets(cx.features, object);
        // What was taken under other rules may stay as it is. Compared last: it is rarely needed, and takes long.
        let subsets = ["subsets"];
        let stays = || semantically_equal(object.at(&subsets), old.at(&subsets));
        if !errors.is_empty() && stays() { ErrorList::new() } else { errors }
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
