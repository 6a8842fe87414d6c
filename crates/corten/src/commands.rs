//! What a running process does for `corten status`, `down`, `image` and `backup`.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, status::Reason};
use corten_base::{ErrorChain, ShutdownTrigger};
use corten_client::{Client, Target};
use corten_container_runtime::{ContainerRuntime, images};
use corten_cri::api::{ImageSpec, RemoveImageRequest};
use corten_storage::kv::KvEngine;

use crate::{
    components::Components,
    config::{Config, Scope},
    control::{Answer, Handler, ImageLine, Report, Request},
    readiness,
};

/// What the commands work with.
pub(crate) struct Commands {
    /// What runs.
    pub(crate) config: Config,
    /// The parts and their states.
    pub(crate) components: Components,
    /// The administrator's client.
    pub(crate) client: Client,
    /// The store.
    pub(crate) engine: Arc<dyn KvEngine>,
    /// The container runtime, where there is a node.
    pub(crate) runtime: Option<ContainerRuntime>,
    /// Ends the process.
    pub(crate) stop: ShutdownTrigger,
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
                self.stop.request();
                Ok(Answer::Done(Vec::new()))
            }
            Request::ImportImages(archives) => self.import(archives).await,
            Request::ListImages => self.runtime().map(|runtime| Answer::Images(image_lines(runtime.images()))),
            Request::RemoveImage(name) => self.remove_image(name).await,
            Request::Backup(target) => match self.engine.backup(&target).await {
                Ok(revision) => Ok(Answer::Done(vec![format!("wrote revision {revision} to {}", target.display())])),
                Err(error) => Err(ErrorChain(&error).to_string()),
            },
        };
        answer.unwrap_or_else(Answer::Failed)
    }
}

impl Commands {
    async fn report(&self) -> Report {
        let config = &self.config;
        let mut report = Report {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: config.places.root.clone(),
            server: format!("https://{}", config.local_server(self.port)),
            advertise: format!("https://{}:{}", config.advertise, self.port),
            components: self.components.list(),
            ..Report::default()
        };
        if config.scope == Scope::Cluster {
            report.node.clone_from(&config.node_name);
            self.report_node(&mut report).await;
        }
        report
    }

    async fn report_node(&self, report: &mut Report) {
        let nodes = GroupVersionResource::new("", "v1", "nodes");
        let node = match self.client.get(Target::object(&nodes, "", self.config.node_name.as_str())).await {
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
        self.runtime.as_ref().ok_or_else(|| "the running process is a control plane without a node".to_owned())
    }

    async fn import(&self, archives: Vec<PathBuf>) -> Result<Answer, String> {
        import_images(self.runtime()?, archives).await.map(Answer::Done)
    }

    async fn remove_image(&self, name: String) -> Result<Answer, String> {
        let runtime = self.runtime()?;
        if runtime.images().find(&name).is_none() {
            return Err(format!("no image is called {name:?}"));
        }
        // Through the runtime, which knows the containers that use it.
        let image = ImageSpec { image: name.clone(), ..ImageSpec::default() };
        let removed = runtime.cri().images.remove_image(RemoveImageRequest { image: Some(image) }).await;
        removed.map_err(|error| error.to_string())?;
        Ok(Answer::Done(vec![format!("removed {name}")]))
    }
}

/// Imports archives one after the other; gives a line per image, or says which archive could not be imported and why.
pub(crate) async fn import_images(runtime: &ContainerRuntime, archives: Vec<PathBuf>) -> Result<Vec<String>, String> {
    let store = Arc::clone(runtime.images());
    let work = move || {
        let mut lines = Vec::new();
        for archive in &archives {
            let imported = images::import::import(&store, archive)
                .map_err(|error| format!("import {}: {}", archive.display(), ErrorChain(&error)))?;
            lines.extend(imported.iter().map(|image| {
                let names: Vec<&str> = image.tags.iter().map(String::as_str).collect();
                let name = if names.is_empty() { image.id.to_string() } else { names.join(", ") };
                format!("imported {name}")
            }));
        }
        Ok(lines)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
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
