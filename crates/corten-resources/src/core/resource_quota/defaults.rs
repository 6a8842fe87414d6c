//! Defaults of resource quotas.

use corten_apimachinery::Value;

use crate::{core::pod_spec::defaults::round_to_milli, defaulting::within};

pub(super) fn v1(quota: &mut Value) {
    for list in [["spec", "hard"], ["status", "hard"], ["status", "used"]] {
        within(quota, &list, round_to_milli);
    }
}
