//! `emptyDir`: a directory that lives as long as its pod.
//!
//! Upstream: pkg/volume/emptydir (v1.35).

use async_trait::async_trait;
use corten_api::core::v1::Volume;

use super::plugin::{Medium, Plan, PlanContext, PlanError, Planned, VolumePlugin};
use crate::containers::resources;

pub(super) struct EmptyDirPlugin;

#[async_trait]
impl VolumePlugin for EmptyDirPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/empty-dir"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.empty_dir.is_some()
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let source = volume.empty_dir.clone().unwrap_or_default();
        let medium = match source.medium.as_deref().unwrap_or_default() {
            "" => Medium::Disk,
            "Memory" => {
                let limit = source.size_limit.as_ref().map(resources::units).filter(|bytes| *bytes > 0);
                let of_pod = resources::pod_memory_limit_bytes(context.pod);
                Medium::Memory(limit.into_iter().chain(of_pod).min())
            }
            other => return Err(PlanError::set_up(format!("unknown storage medium {other:?}"))),
        };
        Ok(Plan::EmptyDir { medium, fs_group: context.fs_group() }.into())
    }
}
