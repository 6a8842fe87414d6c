//! Group apps.

pub mod controller_revision;
pub mod deployment;
pub mod replica_set;

use corten_apimachinery::resource::ScalePaths;

/// Where the kinds of this group keep what their `Scale` shows.
const SCALE: ScalePaths = ScalePaths {
    spec_replicas: &["spec", "replicas"],
    status_replicas: &["status", "replicas"],
    selector: &["spec", "selector"],
};
