//! Defaults of runtime classes.

use corten_apimachinery::Value;

use crate::{core::pod_spec::defaults::round_to_milli, defaulting::within};

pub(super) fn v1(class: &mut Value) {
    within(class, &["overhead", "podFixed"], round_to_milli);
}
