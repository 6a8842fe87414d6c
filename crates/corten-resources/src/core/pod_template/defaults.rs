//! Defaults of pod templates: those of their pods.

use corten_apimachinery::Value;

use crate::{core::pod_spec, defaulting::within};

pub(super) fn v1(object: &mut Value) {
    within(object, &["template", "spec"], pod_spec::defaults::pod_spec);
}
