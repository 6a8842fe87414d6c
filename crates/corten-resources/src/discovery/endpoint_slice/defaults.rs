//! Defaults of endpoint slices.

use corten_apimachinery::Value;

use crate::defaulting::{each, fill_absent};

pub(super) fn v1(slice: &mut Value) {
    each(slice, &["ports"], |port| {
        fill_absent(port, "name", "");
        fill_absent(port, "protocol", "TCP");
    });
}
