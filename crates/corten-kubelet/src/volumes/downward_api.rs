//! `downwardAPI`: files with facts about the pod itself.
//!
//! Upstream: pkg/volume/downwardapi (v1.35).

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use corten_api::core::v1::{DownwardAPIVolumeFile, Volume};

use super::{
    payload::{self, Payload, ProjectedFile},
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};
use crate::containers::{field_ref, resource_ref};

pub(super) struct DownwardApiPlugin;

#[async_trait]
impl VolumePlugin for DownwardApiPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/downward-api"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.downward_api.is_some()
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let source = volume.downward_api.clone().unwrap_or_default();
        let items = source.items.unwrap_or_default();
        let payload = collect(context, &items, payload::mode(source.default_mode)).map_err(PlanError::SetUp)?;
        Ok(Plan::Files { payload, in_memory: true, fs_group: context.fs_group() }.into())
    }
}

/// The files that `items` ask for.
pub(super) fn collect(
    context: &PlanContext<'_>,
    items: &[DownwardAPIVolumeFile],
    default_mode: u32,
) -> Result<Payload, String> {
    let (mut payload, mut errors) = (Payload::new(), Vec::new());
    // Many files may show the same field, and all annotations are long.
    let mut fields: BTreeMap<&str, Result<Bytes, String>> = BTreeMap::new();
    for item in items {
        let value = if let Some(field) = &item.field_ref {
            let path = field.field_path.as_str();
            let read = || field_ref::object_field(context.pod, path).map(Bytes::from);
            fields.entry(path).or_insert_with(read).clone()
        } else if let Some(resource) = &item.resource_field_ref {
            resource_ref::by_container_name(context.pod, resource, context.node).map(Bytes::from)
        } else {
            continue;
        };
        match value {
            Ok(value) => {
                let mode = item.mode.map_or(default_mode, |own| payload::mode(Some(own)));
                payload.insert(item.path.clone(), ProjectedFile { data: value, mode, owner: None });
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(payload) } else { Err(aggregate(errors)) }
}

/// Several errors as one text, as upstream joins them.
pub(super) fn aggregate(mut errors: Vec<String>) -> String {
    let mut seen = std::collections::BTreeSet::new();
    errors.retain(|error| seen.insert(error.clone()));
    if errors.len() == 1 { errors.remove(0) } else { format!("[{}]", errors.join(", ")) }
}
