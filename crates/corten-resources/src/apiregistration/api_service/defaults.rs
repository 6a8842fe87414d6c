//! Defaults of API services.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, within};

pub(super) fn v1(object: &mut Value) {
    within(object, &["spec", "service"], |service| fill_absent(service, "port", 443_i64));
}
