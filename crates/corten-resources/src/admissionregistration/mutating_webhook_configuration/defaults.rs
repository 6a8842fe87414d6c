//! Defaults of mutating webhook configurations.

use corten_apimachinery::Value;

use crate::{
    admissionregistration::webhooks,
    defaulting::{each, fill_absent},
};

pub(super) fn v1(object: &mut Value) {
    each(object, &["webhooks"], |hook| {
        webhooks::defaults(hook);
        fill_absent(hook, "reinvocationPolicy", "Never");
    });
}
