//! `projected`: files of several sources in one directory, service account tokens among them.
//!
//! Upstream: pkg/volume/projected (v1.35).

use async_trait::async_trait;
use corten_api::core::v1::{ServiceAccountTokenProjection, Volume, VolumeProjection};
use jiff::Timestamp;

use super::{
    downward_api,
    payload::{self, Payload, ProjectedFile, Projection, Source},
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};
use crate::{
    api_objects::{Contents, ObjectKind, TokenRequestKey},
    containers::security,
};

/// What a token lives that says nothing about it: the API server's default, in seconds.
const TOKEN_SECONDS: i64 = 3_600;

/// A token that is given to one user is for nobody else.
const OWNED_TOKEN_MODE: u32 = 0o600;

pub(super) struct ProjectedPlugin;

#[async_trait]
impl VolumePlugin for ProjectedPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/projected"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.projected.is_some()
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let source = volume.projected.clone().unwrap_or_default();
        let default_mode = payload::mode(source.default_mode);
        let (mut payload, mut errors, mut refresh_at) = (Payload::new(), Vec::new(), None);
        let mut contents = context.contents();
        for object in source.sources.iter().flatten().filter_map(|source| object_of(source, default_mode)) {
            object.want(&mut contents);
        }
        for source in source.sources.iter().flatten() {
            match collect(context, source, default_mode, &mut contents, &mut refresh_at).await {
                Ok(files) => payload.extend(files),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(PlanError::SetUp(downward_api::aggregate(errors)));
        }
        let plan = Plan::Files { payload, in_memory: true, fs_group: context.fs_group() };
        Ok(Planned { plan, refresh_at })
    }
}

/// The config map or secret that a source is.
fn object_of(source: &VolumeProjection, default_mode: u32) -> Option<Source<'_>> {
    let of = |kind, name, items, optional: Option<bool>| {
        let projection = Projection { items, default_mode, optional: optional.unwrap_or(false) };
        Some(Source { kind, name, projection })
    };
    if let Some(from) = &source.secret {
        of(ObjectKind::Secret, &from.name, from.items.as_deref(), from.optional)
    } else {
        let from = source.config_map.as_ref()?;
        of(ObjectKind::ConfigMap, &from.name, from.items.as_deref(), from.optional)
    }
}

async fn collect<'a>(
    context: &PlanContext<'_>,
    source: &'a VolumeProjection,
    default_mode: u32,
    contents: &mut Contents<'a>,
    refresh_at: &mut Option<Timestamp>,
) -> Result<Payload, String> {
    if let Some(object) = object_of(source, default_mode) {
        object.read(contents).await
    } else if let Some(from) = &source.downward_api {
        downward_api::collect(context, from.items.as_deref().unwrap_or_default(), default_mode)
    } else if let Some(from) = &source.service_account_token {
        token(context, from, default_mode, refresh_at).await
    } else if source.cluster_trust_bundle.is_some() {
        Err("ClusterTrustBundle projection is not supported by this kubelet".to_owned())
    } else if source.pod_certificate.is_some() {
        Err("PodCertificate projection is not supported by this kubelet".to_owned())
    } else {
        Ok(Payload::new())
    }
}

async fn token(
    context: &PlanContext<'_>,
    source: &ServiceAccountTokenProjection,
    default_mode: u32,
    refresh_at: &mut Option<Timestamp>,
) -> Result<Payload, String> {
    let pod = context.pod;
    let spec = pod.spec.clone().unwrap_or_default();
    let key = TokenRequestKey {
        namespace: context.namespace().to_owned(),
        service_account: spec.service_account_name.unwrap_or_default(),
        audience: source.audience.clone().unwrap_or_default(),
        expiration_seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS),
        pod_name: pod.metadata.name.clone().unwrap_or_default(),
        pod_uid: pod.metadata.uid.clone().unwrap_or_default(),
    };
    let token = context.objects.tokens().token(&key).await?;
    *refresh_at = Some(refresh_at.map_or(token.refresh_at, |earlier| earlier.min(token.refresh_at)));
    let owner = security::common_user(pod);
    let mode = if owner.is_some() || context.fs_group().is_some() { OWNED_TOKEN_MODE } else { default_mode };
    let file = ProjectedFile { data: token.text.into(), mode, owner };
    Ok(Payload::from([(source.path.clone(), file)]))
}
