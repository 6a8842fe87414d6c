//! Makes images present: pull policies, credentials, one transfer for all who wait, back-off, events.
//!
//! Flow: worker -> `ensure` -> `ImageService::{image_status, pull_image}`.
//! Upstream: pkg/kubelet/images/image_manager.go, pkg/kubelet/kuberuntime/kuberuntime_image.go (v1.35). What is not here:
//! the record of which image was pulled with which secret (`KubeletEnsureSecretPulledImages`).

pub mod back_off;
pub mod credentials;
pub mod name;

use std::{collections::HashMap, fmt, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_api::core::v1::{Pod, Secret};
use corten_base::{ErrorChain, SharedClock, timeout};
use corten_client::{Api, Client, events::Recorder};
use corten_cri::{Code, CriError, ImageService, api, error::reason};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{
    interfaces::{ContainerRef, Failure, ImageRef, Images, SharedPod},
    pod_ref::{container_ref, go_duration, pod_ref},
};
use back_off::PullBackOff;
use credentials::Keyring;
use name::ImageName;

/// How many images are transferred at the same time: enough to fill a line, few enough that each gets on.
const PULLS_MAX: usize = 4;
/// How long a transfer may hold one of these places. Its registry says how long it takes, and that may be for ever: then the
/// next one begins beside it. No more than one of each pod runs at a time.
const PLACE_HELD_MAX: Duration = Duration::from_secs(60);
/// How many credentials are tried for one image. Each attempt takes as long as the registry likes.
const CREDENTIALS_MAX: usize = 32;
/// How many pull secrets of a pod are read.
const SECRETS_MAX: usize = 256;

/// The images of one node. Cheap to clone.
#[derive(Clone)]
pub struct ImageManager {
    inner: Arc<Inner>,
}

struct Inner {
    service: Arc<dyn ImageService>,
    client: Client,
    recorder: Recorder,
    clock: SharedClock,
    back_off: Mutex<PullBackOff>,
    running: Mutex<HashMap<PullKey, WeakShared<Pull>>>,
    permits: Semaphore,
}

/// Pulls are shared by those who ask for the same with the same rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PullKey {
    image: String,
    credentials: Vec<(String, String)>,
}

/// A transfer that runs while somebody waits for it.
type Pull = BoxFuture<'static, Result<Duration, PullError>>;

/// Why a pull failed, as events show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct PullError(String);

impl From<CriError> for PullError {
    fn from(error: CriError) -> Self {
        // A code that says nothing is left out, and then the words of `error::reason` are at the beginning.
        Self(if error.code == Code::Unknown { error.message } else { error.to_string() })
    }
}

impl ImageManager {
    /// Images of a runtime; secrets are read through `client`.
    #[must_use]
    pub fn new(service: Arc<dyn ImageService>, client: Client, recorder: Recorder, clock: SharedClock) -> Self {
        let inner = Inner {
            service,
            client,
            recorder,
            clock,
            back_off: Mutex::default(),
            running: Mutex::default(),
            permits: Semaphore::new(PULLS_MAX),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The image, if it is present, and its size in bytes.
    async fn status(&self, image: &api::ImageSpec) -> Result<Option<(ImageRef, u64)>, CriError> {
        let request = api::ImageStatusRequest { image: Some(image.clone()), verbose: false };
        let found = self.inner.service.image_status(request).await?.image;
        Ok(found.map(|image| {
            let found = ImageRef {
                repo_digest: image.repo_digests.first().unwrap_or(&image.id).clone(),
                id: image.id,
                uid: image.uid.map(|uid| uid.value),
                username: image.username,
            };
            (found, image.size)
        }))
    }

    /// The credentials of the pod's pull secrets for a repository. Secrets that cannot be read are reported and left out:
    /// the image may not need them.
    async fn credentials(&self, pod: &Pod, repository: &str) -> Vec<api::AuthConfig> {
        let secrets = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_deref()).unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Secret> = Api::namespaced(&self.inner.client, namespace);
        let (mut keyring, mut missing) = (Keyring::default(), Vec::new());
        let mut names = secrets.iter().map(|secret| secret.name.as_str()).filter(|name| !name.is_empty());
        for name in names.by_ref().take(SECRETS_MAX) {
            match api.get(name).await {
                Ok(secret) => {
                    if let Err(error) = keyring.add(&secret) {
                        warn!(secret = %format_args!("{namespace}/{name}"), err = %ErrorChain(&error), "Could not use pull secret");
                    }
                }
                Err(error) => {
                    warn!(secret = %format_args!("{namespace}/{name}"), err = %error.message, "Could not read pull secret");
                    missing.push(name.to_owned());
                }
            }
        }
        let unread = names.count();
        if unread > 0 {
            missing.push(format!("{unread} more than the {SECRETS_MAX} that are read"));
        }
        if !missing.is_empty() {
            let text = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            self.inner.recorder.warning(&pod_ref(pod), "FailedToRetrieveImagePullSecret", text);
        }
        keyring.look_up(repository)
    }

    /// Joins the transfer that runs, or starts one.
    fn pull(
        &self,
        image: api::ImageSpec,
        credentials: Vec<api::AuthConfig>,
        sandbox: &api::PodSandboxConfig,
    ) -> Shared<Pull> {
        let key = PullKey {
            image: image.image.clone(),
            credentials: credentials.iter().map(|one| (one.username.clone(), one.password.clone())).collect(),
        };
        let mut running = self.inner.running.lock();
        running.retain(|_, pull| pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        if let Some(pull) = running.get(&key).and_then(WeakShared::upgrade) {
            return pull;
        }
        let (inner, sandbox) = (Arc::clone(&self.inner), sandbox.clone());
        let pull = async move {
            let permit = inner.permits.acquire().await.map_err(|error| PullError(error.to_string()))?;
            let started = inner.clock.monotonic();
            let mut transfer = pin!(transfer(&*inner.service, image, credentials, sandbox));
            let done = timeout(&*inner.clock, PLACE_HELD_MAX, &mut transfer).await;
            drop(permit);
            match done {
                Ok(done) => done?,
                Err(_) => transfer.await?,
            }
            Ok(inner.clock.monotonic().saturating_sub(started))
        };
        let pull = pull.boxed().shared();
        if let Some(weak) = pull.downgrade() {
            running.insert(key, weak);
        }
        pull
    }
}

/// Tries the credentials one after the other; without any, nobody in particular.
async fn transfer(
    service: &dyn ImageService,
    image: api::ImageSpec,
    credentials: Vec<api::AuthConfig>,
    sandbox: api::PodSandboxConfig,
) -> Result<(), PullError> {
    let untried = credentials.len().saturating_sub(CREDENTIALS_MAX);
    let attempts: Vec<Option<api::AuthConfig>> = if credentials.is_empty() {
        vec![None]
    } else {
        credentials.into_iter().take(CREDENTIALS_MAX).map(Some).collect()
    };
    let mut errors: Vec<String> = Vec::new();
    for auth in attempts {
        let (image, sandbox_config) = (Some(image.clone()), Some(sandbox.clone()));
        match service.pull_image(api::PullImageRequest { image, auth, sandbox_config }).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let PullError(text) = error.into();
                if !errors.contains(&text) {
                    errors.push(text);
                }
            }
        }
    }
    if untried > 0 {
        errors.push(format!("{untried} more credentials that fit were not tried"));
    }
    Err(PullError(if errors.len() == 1 { errors.remove(0) } else { format!("[{}]", errors.join(", ")) }))
}

/// The reason and message of the waiting state.
fn waiting(image: &str, error: &PullError) -> Failure {
    let kinds = [
        (reason::REGISTRY_UNAVAILABLE, "the registry is unavailable"),
        (reason::SIGNATURE_VALIDATION_FAILED, "the signature validation failed"),
    ];
    let special = kinds.iter().find_map(|(word, why)| Some((*word, *why, error.0.strip_prefix(word)?)));
    match special {
        Some((word, why, rest)) => Failure::new(word, format!("image pull failed for {image} because {why}{rest}")),
        None => Failure::new("ErrImagePull", error.0.clone()),
    }
}

#[async_trait]
impl Images for ImageManager {
    async fn ensure(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        sandbox: &api::PodSandboxConfig,
    ) -> Result<ImageRef, Failure> {
        let inner = &*self.inner;
        let (object, recorder) = (container_ref(pod, container), &inner.recorder);
        let wanted = container.spec.image.as_deref().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let name = ImageName::parse(wanted).map_err(|error| {
            let text = format!(
                "Failed to apply default image tag \"{wanted}\": couldn't parse image name \"{wanted}\": {error}"
            );
            recorder.warning(&object, "InspectFailed", text.clone());
            Failure::new("InvalidImageName", text)
        })?;
        let spec = api::ImageSpec {
            image: name.full.clone(),
            annotations: pod.metadata.annotations.clone().unwrap_or_default(),
            user_specified_image: wanted.to_owned(),
            ..api::ImageSpec::default()
        };
        let inspect = |error: &CriError| {
            let text = format!("Failed to inspect image \"{wanted}\": {error}");
            recorder.warning(&object, "InspectFailed", text.clone());
            Failure::new("ImageInspectError", text)
        };
        let policy = container.spec.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
        let present =
            if policy == "Always" { None } else { self.status(&spec).await.map_err(|error| inspect(&error))? };
        match present {
            Some((present, _)) => {
                let text =
                    format!("Container image \"{wanted}\" already present on machine and can be accessed by the pod");
                recorder.normal(&object, "Pulled", text);
                return Ok(present);
            }
            None if policy == "Never" => {
                let text = format!("Container image \"{wanted}\" is not present with pull policy of Never");
                recorder.warning(&object, "ErrImageNeverPull", text.clone());
                return Err(Failure::new("ErrImageNeverPull", text));
            }
            None => {}
        }

        let last = inner.back_off.lock().waits(uid, wanted, inner.clock.monotonic()).map(str::to_owned);
        if let Some(last) = last {
            let text = format!("Back-off pulling image \"{wanted}\"");
            recorder.normal(&object, "BackOff", text.clone());
            return Err(Failure::new("ImagePullBackOff", format!("{text}: {last}")));
        }
        recorder.normal(&object, "Pulling", format!("Pulling image \"{wanted}\""));
        let started = inner.clock.monotonic();
        let credentials = self.credentials(pod, &name.repository).await;
        let pulled = self.pull(spec.clone(), credentials, sandbox).await;
        let now = inner.clock.monotonic();
        match pulled {
            Ok(transfer) => {
                inner.back_off.lock().succeeded(uid, wanted);
                let (found, size) = self.status(&spec).await.map_err(|error| inspect(&error))?.ok_or_else(|| {
                    let text = format!("Failed to inspect image \"{wanted}\": it is gone after its pull");
                    Failure::new("ImageInspectError", text)
                })?;
                // Whoever joined late has waited less than the transfer took.
                let waited = now.saturating_sub(started);
                let text = format!(
                    "Successfully pulled image \"{wanted}\" in {} ({} including waiting). Image size: {size} bytes.",
                    go_duration(transfer.min(waited)),
                    go_duration(waited)
                );
                recorder.normal(&object, "Pulled", text);
                Ok(found)
            }
            Err(error) => {
                recorder.warning(&object, "Failed", format!("Failed to pull image \"{wanted}\": {error}"));
                let failure = waiting(wanted, &error);
                inner.back_off.lock().failed(uid, wanted, failure.to_string(), now);
                Err(failure)
            }
        }
    }

    fn forget(&self, pod_uid: &str) {
        self.inner.back_off.lock().forget(pod_uid);
    }
}

impl fmt::Debug for ImageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageManager").field("running", &self.inner.running.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
