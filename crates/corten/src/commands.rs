//! What a running process does for `corten status`, `down`, `image` and `backup`.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, status::Reason};
use corten_base::{ErrorChain, Shutdown, ShutdownTrigger};
use corten_client::{Client, Target};
use corten_container_runtime::{ContainerRuntime, images};
use corten_cri::api::{ImageSpec, ListContainersRequest, RemoveImageRequest};
use corten_kubelet::containers::labels::{POD_NAME, POD_NAMESPACE};
use corten_storage::kv::KvEngine;

use crate::{
    archive,
    backup_file::Draft,
    blocking::blocking,
    components::Components,
    config::{Config, Scope},
    control::{Answer, Handler, ImageLine, Report, Request},
    descriptors,
    progress::Progress,
    readiness,
    record::Record,
};

/// How many containers are named that need an image.
const USERS_SHOWN: usize = 3;

/// What the commands work with. During the start some of it is not there yet.
pub(crate) struct Commands {
    config: Config,
    components: Components,
    progress: Progress,
    stop: (ShutdownTrigger, Shutdown),
    parts: OnceLock<Parts>,
    runtime: OnceLock<ContainerRuntime>,
}

/// What is there once the control plane runs.
pub(crate) struct Parts {
    /// The administrator's client.
    pub(crate) client: Client,
    /// The store.
    pub(crate) engine: Arc<dyn KvEngine>,
    /// The port of the API.
    pub(crate) port: u16,
}

#[async_trait]
impl Handler for Commands {
    async fn answer(&self, request: Request) -> Answer {
        let answer = match request {
            Request::Status => Ok(Answer::Status(Box::new(self.report().await))),
            Request::Stop => {
                tracing::info!("Shutdown requested by command");
                self.stop.0.request();
                Ok(Answer::Done(Vec::new()))
            }
            Request::ImportImages(archives) => self.import(archives).await,
            Request::ListImages => self.runtime().map(|runtime| Answer::Images(image_lines(runtime.images()))),
            Request::RemoveImage(name) => self.remove_image(name).await,
            Request::Backup(target) => self.backup(target).await,
        };
        answer.unwrap_or_else(Answer::Failed)
    }
}

impl Commands {
    /// Commands for a cluster that begins to start; `stop` ends the process, and
    /// says whether that was requested.
    pub(crate) fn new(
        config: Config,
        components: Components,
        progress: Progress,
        stop: (ShutdownTrigger, Shutdown),
    ) -> Self {
        Self { config, components, progress, stop, parts: OnceLock::new(), runtime: OnceLock::new() }
    }

    /// The control plane runs. Told once.
    pub(crate) fn cluster_runs(&self, parts: Parts) {
        assert!(self.parts.set(parts).is_ok(), "a control plane starts once");
    }

    /// The container runtime runs. Told once.
    pub(crate) fn runtime_runs(&self, runtime: ContainerRuntime) {
        assert!(self.runtime.set(runtime).is_ok(), "a container runtime starts once");
    }

    fn starting(&self) -> String {
        let step = self.progress.current().unwrap_or("preflight");
        format!("the cluster is starting (at {step:?}): try again in a moment")
    }

    async fn backup(&self, target: PathBuf) -> Result<Answer, String> {
        let parts = self.parts.get().ok_or_else(|| self.starting())?;
        let (places, shown) = (self.config.places.clone(), target.display().to_string());
        let said = |error: anyhow::Error| format!("{error:#}");
        let draft = blocking(move || Draft::begin(target)).await.map_err(said)?;
        let copied = parts.engine.backup(&draft.store()).await;
        let revision = copied.map_err(|error| ErrorChain(&error).to_string())?;
        let config = self.config.clone();
        let finish = move || {
            let record = config.record(Record::read(&places.record())?.as_ref());
            draft.finish(&record, &places.pki())
        };
        blocking(finish).await.map_err(said)?;
        Ok(Answer::Done(vec![format!("wrote revision {revision} to {shown}")]))
    }

    async fn report(&self) -> Report {
        let config = &self.config;
        let port = self.parts.get().map_or(config.listen.port(), |parts| parts.port);
        let mut report = Report {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: config.places.root.clone(),
            starting: self.progress.current().map(str::to_owned),
            stopping: self.stop.1.is_requested(),
            server: format!("https://{}", config.local_server(port)),
            advertise: format!("https://{}:{port}", config.advertise),
            open_files_max: descriptors::allowed(),
            components: self.components.list(),
            ..Report::default()
        };
        if config.scope == Scope::Cluster {
            report.node.clone_from(&config.node_name);
            match self.parts.get() {
                Some(parts) => self.report_node(&parts.client, &mut report).await,
                None => report.node_state = "Unknown (the API server does not run yet)".to_owned(),
            }
        }
        report
    }

    async fn report_node(&self, client: &Client, report: &mut Report) {
        let nodes = GroupVersionResource::new("", "v1", "nodes");
        let node = match client.get(Target::object(&nodes, "", self.config.node_name.as_str())).await {
            Ok(node) => node,
            Err(status) if status.reason == Reason::NotFound => {
                report.node_state = "NotRegistered".to_owned();
                return;
            }
            Err(status) => {
                report.node_state = format!("Unknown ({status})");
                return;
            }
        };
        let Some(node) = readiness::tree(&node) else { return };
        report.node_state = if readiness::is_ready(&node) { "Ready" } else { "NotReady" }.to_owned();
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        report.kubelet_version = text(node.str_at(&["status", "nodeInfo", "kubeletVersion"]));
        let addresses = node.items_at(&["status", "addresses"]);
        report.node_addresses = addresses
            .iter()
            .map(|one| format!("{} {}", text(one.str_at(&["type"])), text(one.str_at(&["address"]))))
            .collect();
    }

    fn runtime(&self) -> Result<&ContainerRuntime, String> {
        self.runtime.get().ok_or_else(|| match self.config.scope {
            Scope::ControlPlane => "the running process is a control plane without a node".to_owned(),
            Scope::Cluster => self.starting(),
        })
    }

    async fn import(&self, archives: Vec<PathBuf>) -> Result<Answer, String> {
        import_images(self.runtime()?, archives).await.map(Answer::Done)
    }

    async fn remove_image(&self, name: String) -> Result<Answer, String> {
        remove_image(self.runtime()?, &name).await.map(|line| Answer::Done(vec![line]))
    }
}

/// Imports archives one after the other; gives a line per image, or says which archive could not be imported and why.
pub(crate) async fn import_images(runtime: &ContainerRuntime, archives: Vec<PathBuf>) -> Result<Vec<String>, String> {
    let store = Arc::clone(runtime.images());
    let work = move || archive::import_all(&store, &archives);
    blocking(work).await.map_err(|error| format!("{error:#}"))
}

/// Removes the image of this name or id under all its names; gives what to tell the user.
pub(crate) async fn remove_image(runtime: &ContainerRuntime, name: &str) -> Result<String, String> {
    let Some(image) = runtime.images().find(name) else {
        return Err(format!("no image is called {name:?}"));
    };
    // Through the runtime, which knows the containers that use it.
    let spec = ImageSpec { image: image.id.to_string(), ..ImageSpec::default() };
    if let Err(error) = runtime.cri().images.remove_image(RemoveImageRequest { image: Some(spec) }).await {
        let users = users_of(runtime, &image.id.to_string()).await?;
        return Err(if users.is_empty() { error.to_string() } else { still_needed(name, &users) });
    }
    Ok(format!("removed {name}"))
}

/// The containers of an image, each as `CONTAINER of pod NAMESPACE/POD`, sorted.
async fn users_of(runtime: &ContainerRuntime, image_id: &str) -> Result<Vec<String>, String> {
    let listed = runtime.cri().runtime.list_containers(ListContainersRequest::default()).await;
    let listed = listed.map_err(|error| error.to_string())?.containers;
    let mut users: Vec<String> = listed
        .into_iter()
        .filter(|container| container.image_id == image_id)
        .map(|container| {
            let label = |key: &str| container.labels.get(key).cloned().unwrap_or_default();
            let name = container.metadata.clone().unwrap_or_default().name;
            format!("{name} of pod {}/{}", label(POD_NAMESPACE), label(POD_NAME))
        })
        .collect();
    users.sort_unstable();
    users.dedup();
    Ok(users)
}

/// Why an image stays. A long list of users is cut: one of them is enough to begin with.
fn still_needed(image: &str, users: &[String]) -> String {
    let more = users.len().saturating_sub(USERS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = users[..users.len().min(USERS_SHOWN)].join(", ");
    let (noun, verb) = if users.len() == 1 { ("container", "needs") } else { ("containers", "need") };
    format!("{noun} {shown}{more} {verb} the image {image:?}: delete the pod first")
}

/// The images of a store, sorted by their first name.
pub(crate) fn image_lines(store: &images::store::ImageStore) -> Vec<ImageLine> {
    let line = |image: &Arc<images::store::Image>| ImageLine {
        id: image.id.to_string(),
        tags: image.tags.iter().cloned().collect(),
        size_bytes: image.size_bytes,
    };
    let mut lines: Vec<ImageLine> = store.list().iter().map(line).collect();
    lines.sort_by(|one, other| one.tags.cmp(&other.tags));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_an_image_is_named() {
        let users = |count: usize| (0..count).map(|n| format!("main of pod default/web-{n}")).collect::<Vec<_>>();
        assert_eq!(
            still_needed("busybox", &users(1)),
            "container main of pod default/web-0 needs the image \"busybox\": delete the pod first"
        );
        assert_eq!(
            still_needed("busybox", &users(5)),
            "containers main of pod default/web-0, main of pod default/web-1, main of pod default/web-2 and 2 more need the \
             image \"busybox\": delete the pod first"
        );
    }
}
