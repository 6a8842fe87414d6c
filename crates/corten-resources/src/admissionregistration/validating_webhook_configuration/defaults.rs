//! Defaults of validating webhook configurations.

use corten_apimachinery::Value;

use crate::{admissionregistration::webhooks, defaulting::each};

pub(super) fn v1(object: &mut Value) {
    each(object, &["webhooks"], webhooks::defaults);
}
