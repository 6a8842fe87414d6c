//! `persistentVolumeClaim` and `ephemeral`: a bound claim whose volume is a path of this node.
//!
//! Other persistent volumes (CSI, NFS, ...) are refused with upstream's words for a plugin that is not there.
//! Upstream: pkg/kubelet/volumemanager/populator (v1.35), pkg/volume/local.

use async_trait::async_trait;
use corten_api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};

use super::{
    host_path,
    plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin},
};

pub(super) struct ClaimPlugin;

#[async_trait]
impl VolumePlugin for ClaimPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/local-volume"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
    }

    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        let namespace = context.namespace();
        let name = claim_name(context.pod, volume);
        let failed = |error: String| PlanError::Process(format!("error processing PVC {namespace}/{name}: {error}"));
        let claim = context.objects.claim(namespace, &name).await;
        let claim = claim.map_err(|error| failed(format!("failed to fetch PVC from API server: {}", error.message)))?;
        let volume_name = bound_volume(&claim).map_err(failed)?;
        if volume.ephemeral.is_some() && !is_owned_by(&claim, context.pod) {
            let pod = context.pod.metadata.name.as_deref().unwrap_or_default();
            let text = format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)");
            return Err(PlanError::Process(text));
        }
        let persistent = context.objects.persistent_volume(&volume_name).await;
        let persistent = persistent
            .map_err(|error| failed(format!("failed to fetch PV {volume_name} from API server: {}", error.message)))?;
        let read_only = volume.persistent_volume_claim.as_ref().and_then(|source| source.read_only).unwrap_or(false);
        Ok(plan(context, &claim, &persistent, read_only)?.into())
    }
}

/// The claim of an ephemeral volume is named after the pod and the volume.
fn claim_name(pod: &Pod, volume: &Volume) -> String {
    match &volume.persistent_volume_claim {
        Some(source) => source.claim_name.clone(),
        None => format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name),
    }
}

fn is_owned_by(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    claim.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn bound_volume(claim: &PersistentVolumeClaim) -> Result<String, String> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err("PVC is being deleted".to_owned());
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty());
    volume.filter(|_| phase == Some("Bound")).ok_or_else(|| "PVC is not bound".to_owned())
}

fn plan(
    context: &PlanContext<'_>,
    claim: &PersistentVolumeClaim,
    persistent: &PersistentVolume,
    read_only: bool,
) -> Result<Plan, PlanError> {
    let spec = persistent.spec.clone().unwrap_or_default();
    let name = persistent.metadata.name.clone().unwrap_or_default();
    let bound_to = spec.claim_ref.as_ref().and_then(|claim| claim.uid.clone()).unwrap_or_default();
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    if bound_to != uid {
        let text = format!("PV {name:?} spec.claimRef.UID {bound_to:?} does not match pvc.UID {uid:?}");
        return Err(PlanError::Process(text));
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(PlanError::Process(format!(
            "volume {name} has volumeMode Block, which this kubelet does not support"
        )));
    }
    if let Some(source) = &spec.host_path {
        return host_path::plan(source, read_only);
    }
    let Some(local) = &spec.local else {
        return Err(PlanError::Process("no volume plugin matched".to_owned()));
    };
    let security = context.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let policy = security.and_then(|security| security.fs_group_change_policy.as_deref());
    Ok(Plan::Local {
        path: local.path.clone().into(),
        volume: name,
        fs_group: context.fs_group(),
        on_root_mismatch: policy == Some("OnRootMismatch"),
        read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(claim: serde_json::Value, want: Result<&str, &str>) {
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        assert_eq!(bound_volume(&claim), want.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn only_a_bound_claim_has_a_volume() {
        use serde_json::json;
        check(json!({"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}}), Ok("v"));
        check(json!({"spec": {"volumeName": "v"}, "status": {"phase": "Pending"}}), Err("PVC is not bound"));
        check(json!({"spec": {}, "status": {"phase": "Bound"}}), Err("PVC is not bound"));
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        check(deleted, Err("PVC is being deleted"));
    }
}
