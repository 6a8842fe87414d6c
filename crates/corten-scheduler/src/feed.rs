//! `Feed`: turns what informers see into the scheduler's inputs.
//!
//! The feed's task reads the newest state of what changed and sends it, waiting when the scheduler is busy.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::{stored::Stored, value::Str};
use corten_base::{ErrorChain, Shutdown};
use corten_informer::{Changes, InformerFactory, Key};
use tokio::sync::mpsc;
use tracing::warn;

use crate::{
    cache::{
        ClaimFacts, FactsError, NodeFacts, PodInfo, VolumeFacts,
        affinity::{label_selector, map_selector},
        volumes::binds_late,
    },
    scheduler::Input,
};

/// What is followed, in the order in which the first state is sent: pods last, so that their nodes and claims are
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Node,
    Namespace,
    Service,
    ReplicationController,
    ReplicaSet,
    StatefulSet,
    StorageClass,
    Volume,
    Claim,
    Pod,
}

const SOURCES: [(Source, &str, &str); 10] = [
    (Source::Node, "", "nodes"),
    (Source::Namespace, "", "namespaces"),
    (Source::Service, "", "services"),
    (Source::ReplicationController, "", "replicationcontrollers"),
    (Source::ReplicaSet, "apps", "replicasets"),
    (Source::StatefulSet, "apps", "statefulsets"),
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
    told: Told,
}

impl Feed {
    /// Asks `factory` for the informers it needs; whoever owns the factory starts them. The scheduler has profiles of these names.
    pub fn new(factory: &InformerFactory, profiles: Box<[Str]>, inputs: mpsc::Sender<Input>) -> Self {
        Self { changes: Changes::follow(factory, &SOURCES), inputs, told: Told::new(profiles) }
    }

    /// Sends the first state, `Synced`, and then every change, until shutdown or until the scheduler ends.
    pub async fn run(mut self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
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
    async fn send_noted(&mut self) -> bool {
        for (source, key, object) in self.changes.take() {
            match self.told.input(source, &key, object.as_ref()) {
                Ok(Some(input)) => {
                    if self.inputs.send(input).await.is_err() {
                        return false;
                    }
                }
                Ok(None) => {}
                Err(error) => warn!(object = %key, err = %ErrorChain(&error), "Could not read an object"),
            }
        }
        true
    }
}

/// What the scheduler was told last: what has not changed since then is not read again. Capacity: the pods and nodes there are.
#[derive(Debug)]
struct Told {
    /// The names of the scheduler's profiles.
    profiles: Box<[Str]>,
    pods: BTreeMap<Key, (Arc<Stored>, Arc<PodInfo>)>,
    nodes: BTreeMap<Str, Arc<Stored>>,
}

impl Told {
    /// Nothing yet.
    fn new(profiles: Box<[Str]>) -> Self {
        Self { profiles, pods: BTreeMap::new(), nodes: BTreeMap::new() }
    }

    /// What to tell of an object that changed; nothing if what scheduling needs of it has not.
    fn input(&mut self, source: Source, key: &Key, object: Option<&Arc<Stored>>) -> Result<Option<Input>, FactsError> {
        let Key { namespace, name } = key.clone();
        let json = object.map(|object| &object.json);
        Ok(Some(match source {
            Source::Node => return self.node(name, object),
            Source::Namespace => Input::Namespace(name, object.map(|object| object.facts.labels.clone())),
            Source::Service => Input::Service(namespace, name, json.map(map_selector).transpose()?.flatten()),
            Source::ReplicationController => {
                let selector = json.map(map_selector).transpose()?.flatten();
                Input::Workload("ReplicationController".into(), namespace, name, selector)
            }
            Source::ReplicaSet | Source::StatefulSet => {
                let kind = if source == Source::ReplicaSet { "ReplicaSet" } else { "StatefulSet" };
                let selector = json.map(|json| label_selector(kind, json)).transpose()?;
                Input::Workload(kind.into(), namespace, name, selector)
            }
            Source::StorageClass => Input::StorageClass(name, json.map(binds_late).transpose()?),
            Source::Volume => Input::Volume(name, json.map(VolumeFacts::from_json).transpose()?),
            Source::Claim => Input::Claim(namespace, name, json.map(ClaimFacts::from_json).transpose()?),
            Source::Pod => return self.pod(key, object),
        }))
    }

    fn pod(&mut self, key: &Key, object: Option<&Arc<Stored>>) -> Result<Option<Input>, FactsError> {
        let Some(object) = object else {
            let was_told = self.pods.remove(key).is_some();
            return Ok(was_told.then(|| Input::PodDeleted(key.namespace.clone(), key.name.clone())));
        };
        if let Some((old, pod)) = self.pods.get_mut(key) {
            *pod = Arc::new(pod.changed(&old.json, &object.json)?);
            *old = Arc::clone(object);
            return Ok(Some(Input::PodApplied(Arc::clone(pod))));
        }
        // Another scheduler's, as long as it waits: neither read nor kept.
        if self.is_for_others(object)? {
            return Ok(None);
        }
        let pod = Arc::new(PodInfo::from_json(&object.json)?);
        self.pods.insert(key.clone(), (Arc::clone(object), Arc::clone(&pod)));
        Ok(Some(Input::PodApplied(pod)))
    }

    fn is_for_others(&self, pod: &Stored) -> Result<bool, FactsError> {
        Ok(PodInfo::addressee(&pod.json)?.is_some_and(|scheduler| !self.profiles.contains(&scheduler)))
    }

    fn node(&mut self, name: Str, object: Option<&Arc<Stored>>) -> Result<Option<Input>, FactsError> {
        let before = self.nodes.remove(&name);
        let Some(object) = object else { return Ok(Some(Input::NodeDeleted(name))) };
        // Nearly all changes of nodes are heartbeats.
        let is_same = before.is_some_and(|old| NodeFacts::is_same(&old.json, &object.json));
        let input = match is_same {
            true => None,
            false => Some(Input::NodeApplied(Box::new(NodeFacts::from_json(&object.json)?))),
        };
        self.nodes.insert(name, Arc::clone(object));
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value, status: Value) -> Option<Arc<Stored>> {
        let json = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec, "status": status});
        Some(object("ns/p", 1).json(&json.to_string()).build())
    }

    /// What a scheduler with the profile `ours` is told of the states of one pod, the last of which is that it is gone.
    #[track_caller]
    fn check(states: &[Option<Arc<Stored>>], want: &[&str]) {
        let mut told = Told::new(Box::new(["ours".into()]));
        let key = Key::new("ns", "p");
        let gone = None;
        let mut inputs = Vec::new();
        for state in states.iter().chain([&gone]) {
            inputs.push(match told.input(Source::Pod, &key, state.as_ref()).unwrap() {
                None => "nothing".to_owned(),
                Some(Input::PodApplied(pod)) => format!("on {:?}", pod.node_name),
                Some(input) => format!("{input:?}"),
            });
        }
        assert_eq!(inputs, want);
        assert!(told.pods.is_empty());
    }

    /// Pods of other schedulers were read in full and kept as long as they waited.
    #[test]
    fn a_pod_of_another_scheduler_is_told_of_once_it_takes_room() {
        let waiting = |scheduler: &str| pod(json!({"schedulerName": scheduler}), json!({}));
        let bound = || pod(json!({"schedulerName": "theirs", "nodeName": "n"}), json!({}));
        let nominated = || pod(json!({"schedulerName": "theirs"}), json!({"nominatedNodeName": "n"}));
        let gone = "PodDeleted(\"ns\", \"p\")";
        check(&[waiting("theirs")], &["nothing", "nothing"]);
        check(&[waiting("theirs"), bound()], &["nothing", "on \"n\"", gone]);
        check(&[nominated(), waiting("theirs")], &["on \"\"", "on \"\"", gone]);
        check(&[waiting("ours"), waiting("theirs")], &["on \"\"", "on \"\"", gone]);
        // Who says nothing means the default one, which is not ours here.
        check(&[pod(json!({}), json!({}))], &["nothing", "nothing"]);
    }

    /// Stateful sets were not followed: their pods were not spread by default.
    #[test]
    fn all_controllers_that_pods_are_spread_by_are_told_of() {
        let set = object("ns/s", 1).json(r#"{"spec":{"selector":{"matchLabels":{"app":"db"}}}}"#).build();
        let controller = object("ns/s", 1).json(r#"{"spec":{"selector":{"app":"db"}}}"#).build();
        let check = |resource: &str, object: &Arc<Stored>, kind: &str| {
            let (source, ..) = SOURCES.into_iter().find(|(_, _, plural)| *plural == resource).unwrap();
            let mut told = Told::new(Box::new([]));
            let input = told.input(source, &Key::new("ns", "s"), Some(object)).unwrap();
            let Some(Input::Workload(told_kind, _, _, Some(selector))) = input else { panic!("{input:?}") };
            assert_eq!((&*told_kind, selector.to_string()), (kind, "app=db".to_owned()));
        };
        check("replicationcontrollers", &controller, "ReplicationController");
        check("replicasets", &set, "ReplicaSet");
        check("statefulsets", &set, "StatefulSet");
    }
}
