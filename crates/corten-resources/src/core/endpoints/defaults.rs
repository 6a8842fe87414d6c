//! Defaults of endpoints.

use corten_apimachinery::Value;

use crate::defaulting::{each, fill_zero};

pub(super) fn v1(endpoints: &mut Value) {
    each(endpoints, &["subsets"], |subset| each(subset, &["ports"], |port| fill_zero(port, "protocol", "TCP")));
}
