//! `secret`: files with the values of a secret, in memory only.
//!
//! Upstream: pkg/volume/secret (v1.35).

use async_trait::async_trait;
use corten_api::core::v1::Volume;

use super::{
    payload::{self, Projection, Source},
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};
use crate::api_objects::ObjectKind;

pub(super) struct SecretPlugin;

#[async_trait]
impl VolumePlugin for SecretPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/secret"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.secret.is_some()
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let source = volume.secret.clone().unwrap_or_default();
        let source = Source {
            kind: ObjectKind::Secret,
            name: source.secret_name.as_deref().unwrap_or_default(),
            projection: Projection {
                items: source.items.as_deref(),
                default_mode: payload::mode(source.default_mode),
                optional: source.optional.unwrap_or(false),
            },
        };
        let mut contents = context.contents();
        source.want(&mut contents);
        let payload = source.read(&mut contents).await.map_err(PlanError::SetUp)?;
        Ok(Plan::Files { payload, in_memory: true, fs_group: context.fs_group() }.into())
    }
}
