//! Defaults of volume attachments.

use corten_apimachinery::Value;

use crate::{core::persistent_volume::source_defaults, defaulting::within};

pub(super) fn v1(attachment: &mut Value) {
    within(attachment, &["spec", "source", "inlineVolumeSpec"], source_defaults);
}
