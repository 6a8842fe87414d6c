//! Group apps.

pub mod controller_revision;
pub mod daemon_set;
pub mod deployment;
pub mod replica_set;
pub mod stateful_set;

use corten_apimachinery::{Str, resource::ScalePaths};

/// Where the kinds of this group keep what their `Scale` shows.
const SCALE: ScalePaths = ScalePaths {
    spec_replicas: Str::const_new("spec.replicas"),
    status_replicas: Str::const_new("status.replicas"),
    selector: Str::const_new("spec.selector"),
};
