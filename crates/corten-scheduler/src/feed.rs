//! `Feed`: turns what informers see into the scheduler's inputs.
//!
//! The feed's task reads the newest state of what changed and sends it, waiting when the scheduler is busy.

use std::sync::Arc;

use corten_apimachinery::stored::Stored;
use corten_base::{ErrorChain, Shutdown};
use corten_informer::{Changes, InformerFactory, Key};
use tokio::sync::mpsc;
use tracing::warn;

use crate::{
    cache::{
        ClaimFacts, FactsError, NodeFacts, PodInfo, VolumeFacts,
        affinity::{map_selector, replica_set_selector},
        volumes::binds_late,
    },
    scheduler::Input,
};

/// What is followed, in the order in which the first state is sent: pods last, so that their nodes and claims are
/// known.
///
/// StatefulSets, by which upstream spreads by default too, join when the API server serves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Node,
    Namespace,
    Service,
    ReplicationController,
    ReplicaSet,
    StorageClass,
    Volume,
    Claim,
    Pod,
}

const SOURCES: [(Source, &str, &str); 9] = [
    (Source::Node, "", "nodes"),
    (Source::Namespace, "", "namespaces"),
    (Source::Service, "", "services"),
    (Source::ReplicationController, "", "replicationcontrollers"),
    (Source::ReplicaSet, "apps", "replicasets"),
    (Source::StorageClass, "storage.k8s.io", "storageclasses"),
    (Source::Volume, "", "persistentvolumes"),
    (Source::Claim, "", "persistentvolumeclaims"),
    (Source::Pod, "", "pods"),
];

/// Follows informers on behalf of a scheduler.
#[derive(Debug)]
pub struct Feed {
    changes: Changes<Source>,
    inputs: mpsc::Sender<Input>,
}

impl Feed {
    /// Asks `factory` for the informers it needs; whoever owns the factory starts them.
    #[must_use]
    pub fn new(factory: &InformerFactory, inputs: mpsc::Sender<Input>) -> Self {
        Self { changes: Changes::follow(factory, &SOURCES), inputs }
    }

    /// Sends the first state, `Synced`, and then every change, until shutdown or until the scheduler ends.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        self.changes.synced().await;
        if !self.send_noted().await || self.inputs.send(Input::Synced).await.is_err() {
            return;
        }
        loop {
            self.changes.wait().await;
            if !self.send_noted().await {
                return;
            }
        }
    }

    /// Sends the newest state of what is noted; says whether the scheduler still listens.
    async fn send_noted(&self) -> bool {
        for (source, key, object) in self.changes.take() {
            match input(source, &key, object.as_deref()) {
                Ok(input) => {
                    if self.inputs.send(input).await.is_err() {
                        return false;
                    }
                }
                Err(error) => warn!(object = %key, err = %ErrorChain(&error), "Could not read an object"),
            }
        }
        true
    }
}

fn input(source: Source, key: &Key, object: Option<&Stored>) -> Result<Input, FactsError> {
    let Key { namespace, name } = key.clone();
    let json = object.map(|object| &*object.json);
    Ok(match source {
        Source::Node => match json {
            Some(json) => Input::NodeApplied(Box::new(NodeFacts::from_json(json)?)),
            None => Input::NodeDeleted(name),
        },
        Source::Namespace => Input::Namespace(name, object.map(|object| object.facts.labels.clone())),
        Source::Service => Input::Service(namespace, name, json.map(map_selector).transpose()?.flatten()),
        Source::ReplicationController => {
            let selector = json.map(map_selector).transpose()?.flatten();
            Input::Workload("ReplicationController".into(), namespace, name, selector)
        }
        Source::ReplicaSet => {
            Input::Workload("ReplicaSet".into(), namespace, name, json.map(replica_set_selector).transpose()?)
        }
        Source::StorageClass => Input::StorageClass(name, json.map(binds_late).transpose()?),
        Source::Volume => Input::Volume(name, json.map(VolumeFacts::from_json).transpose()?),
        Source::Claim => Input::Claim(namespace, name, json.map(ClaimFacts::from_json).transpose()?),
        Source::Pod => match json {
            Some(json) => Input::PodApplied(Arc::new(PodInfo::from_json(json)?)),
            None => Input::PodDeleted(namespace, name),
        },
    })
}
