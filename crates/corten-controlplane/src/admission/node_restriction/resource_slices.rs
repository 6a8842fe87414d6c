//! A node publishes and takes back only devices of its own.
//!
//! Other changes are the authorizer's to check, which sees the stored slice; it does not see new ones, nor each of many
//! that are deleted. Upstream: `admitResourceSlice` (v1.35).

use corten_apiserver::admission::{Attributes, Operation};

pub(super) fn resource_slice(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let (slice, what) = match attributes.operation {
        Operation::Create => (&attributes.object, "create"),
        Operation::Delete => (&attributes.old_object, "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    if slice.str_at(&["spec", "nodeName"]) == Some(node) {
        return Ok(());
    }
    Err(format!("can only {what} ResourceSlice with the same NodeName as the requesting node"))
}
