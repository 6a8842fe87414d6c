//! `configMap`: files with the values of a config map.
//!
//! Upstream: pkg/volume/configmap (v1.35).

use async_trait::async_trait;
use corten_api::core::v1::Volume;

use super::{
    payload::{self, Payload, Projection},
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};

pub(super) struct ConfigMapPlugin;

#[async_trait]
impl VolumePlugin for ConfigMapPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/configmap"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.config_map.is_some()
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let source = volume.config_map.clone().unwrap_or_default();
        let projection = Projection {
            items: source.items.as_deref(),
            default_mode: payload::mode(source.default_mode),
            optional: source.optional.unwrap_or(false),
        };
        let payload = read(context, &source.name, projection).await.map_err(PlanError::SetUp)?;
        Ok(Plan::Files { payload, in_memory: false, fs_group: context.fs_group() }.into())
    }
}

/// The files of the config map `name`; none if it is absent and optional.
pub(super) async fn read(context: &PlanContext<'_>, name: &str, projection: Projection<'_>) -> Result<Payload, String> {
    match context.objects.config_map(context.namespace(), name).await {
        Ok(map) => payload::of_config_map(&map, projection),
        Err(error) if error.is_not_found() && projection.optional => Ok(Payload::new()),
        Err(error) => Err(error.to_string()),
    }
}
