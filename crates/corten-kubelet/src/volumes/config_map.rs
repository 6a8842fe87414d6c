//! `configMap`: files with the values of a config map.
//!
//! Upstream: pkg/volume/configmap (v1.35).

use async_trait::async_trait;
use corten_api::core::v1::Volume;

use super::{
    payload::{self, Projection, Source},
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};
use crate::api_objects::ObjectKind;

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
        let source = Source {
            kind: ObjectKind::ConfigMap,
            name: source.name.as_str(),
            projection: Projection {
                items: source.items.as_deref(),
                default_mode: payload::mode(source.default_mode),
                optional: source.optional.unwrap_or(false),
            },
        };
        let mut contents = context.contents();
        source.want(&mut contents);
        let payload = source.read(&mut contents).await.map_err(PlanError::SetUp)?;
        Ok(Plan::Files { payload, in_memory: false, fs_group: context.fs_group() }.into())
    }
}
