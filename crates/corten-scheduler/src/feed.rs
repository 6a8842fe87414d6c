//! `Feed`: turns what informers see into the scheduler's inputs.
//!
//! Handlers only note which object changed; the feed's task reads its newest state and sends it, waiting when the
//! scheduler is busy. Notes are a set, so that they never outnumber the objects.

use std::{collections::BTreeSet, sync::Arc};

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_base::{ErrorChain, Shutdown};
use corten_informer::{Handler, InformerFactory, Key, Lister};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
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

/// Objects to look at.
#[derive(Debug, Default)]
struct Notes {
    changed: Mutex<BTreeSet<(Source, Key)>>,
    wake: Notify,
}

struct Noting {
    source: Source,
    notes: Arc<Notes>,
}

impl Noting {
    fn note(&self, object: &Stored) {
        self.notes.changed.lock().insert((self.source, Key::of(object)));
        self.notes.wake.notify_one();
    }
}

impl Handler for Noting {
    fn on_add(&self, object: &Arc<Stored>) {
        self.note(object);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.note(new);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.note(object);
    }
}

/// Follows informers on behalf of a scheduler.
#[derive(Debug)]
pub struct Feed {
    notes: Arc<Notes>,
    listers: Vec<(Source, Lister)>,
    factory: InformerFactory,
    inputs: mpsc::Sender<Input>,
}

impl Feed {
    /// Asks `factory` for the informers it needs; whoever owns the factory starts them.
    #[must_use]
    pub fn new(factory: &InformerFactory, inputs: mpsc::Sender<Input>) -> Self {
        let notes = Arc::new(Notes::default());
        let listers = SOURCES.iter().map(|(source, group, resource)| {
            let informer = factory.informer(&GroupVersionResource::new(*group, "v1", *resource));
            informer.add_handler(Arc::new(Noting { source: *source, notes: Arc::clone(&notes) }));
            (*source, informer.lister())
        });
        Self { listers: listers.collect(), notes, factory: factory.clone(), inputs }
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
        self.factory.synced().await;
        if !self.send_noted().await || self.inputs.send(Input::Synced).await.is_err() {
            return;
        }
        loop {
            self.notes.wake.notified().await;
            if !self.send_noted().await {
                return;
            }
        }
    }

    /// Sends the newest state of what is noted; says whether the scheduler still listens.
    async fn send_noted(&self) -> bool {
        let noted = std::mem::take(&mut *self.notes.changed.lock());
        for (source, key) in noted {
            let (_, lister) = self.listers.iter().find(|(of, _)| *of == source).expect("every source has a lister");
            match input(source, &key, lister.get(&key).as_deref()) {
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
