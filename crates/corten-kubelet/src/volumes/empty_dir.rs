//! `emptyDir`: a directory that lives as long as its pod.
//!
//! Upstream: pkg/volume/emptydir (v1.35).

use std::collections::BTreeSet;

use async_trait::async_trait;
use corten_api::core::v1::{Pod, Volume};
use corten_apimachinery::quantity::Quantity;

use super::plugin::{Medium, Plan, PlanContext, PlanError, Planned, VolumePlugin};
use crate::{containers::resources, interfaces::containers_of};

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
            "HugePages" => Medium::HugePages(only_page_size(context.pod).map_err(PlanError::SetUp)?),
            other => match other.strip_prefix("HugePages-").and_then(bytes) {
                Some(size) => Medium::HugePages(size),
                None => return Err(PlanError::set_up(format!("unknown storage medium {other:?}"))),
            },
        };
        Ok(Plan::EmptyDir { medium, fs_group: context.fs_group() }.into())
    }
}

/// The one size of huge pages that the pod's containers ask for. Errors: upstream's text.
fn only_page_size(pod: &Pod) -> Result<u64, String> {
    let containers = containers_of(pod);
    let resources = containers.iter().filter_map(|container| container.spec.resources.as_ref());
    let lists = resources.flat_map(|resources| [&resources.requests, &resources.limits]);
    let names = lists.flat_map(|list| list.iter().flat_map(|list| list.keys()));
    let sizes: BTreeSet<u64> = names.filter_map(|name| bytes(name.strip_prefix("hugepages-")?)).collect();
    let mut sizes = sizes.into_iter();
    match (sizes.next(), sizes.next()) {
        (Some(size), None) => Ok(size),
        (Some(_), Some(_)) => Err("medium HugePages can be used only if container uses only one page size".to_owned()),
        (None, _) => Err("hugePages storage requested, but there is no resource request for huge pages".to_owned()),
    }
}

fn bytes(size: &str) -> Option<u64> {
    let size: Quantity = size.parse().ok()?;
    u64::try_from(size.units()).ok().filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(limits: Value, want: Result<u64, &str>) {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(only_page_size(&pod), want.map_err(str::to_owned));
    }

    #[test]
    fn huge_pages_have_the_size_that_the_pod_asks_for() {
        check(json!({"hugepages-2Mi": "4Mi", "cpu": "1"}), Ok(2 << 20));
        let both = json!({"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi"});
        check(both, Err("medium HugePages can be used only if container uses only one page size"));
        check(json!({}), Err("hugePages storage requested, but there is no resource request for huge pages"));
    }
}
