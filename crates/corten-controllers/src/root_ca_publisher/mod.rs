//! Puts the certificate authority of the API server into every namespace, as config map `kube-root-ca.crt`, and repairs
//! it when somebody changes it.
//!
//! Flow: namespaces and config maps of that name -> queue of namespaces -> create or update.
//! Upstream: pkg/controller/certificates/rootcacertpublisher (v1.35).

mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::core::v1::{ConfigMap, Namespace};
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::{InformerId, Lister};

use self::plan::{Action, DATA_KEY, DESCRIPTION, DESCRIPTION_ANNOTATION, NAME};
use crate::{
    Config,
    objects::{from_json, is_namespace_terminating, tree},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "root-ca-certificate-publisher-controller",
    aliases: &["root-ca-cert-publisher"],
    identity: "root-ca-cert-publisher",
    feature_gate: None,
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let namespaces = context.informers.informer(&resource_of::<Namespace>());
        namespaces.add_handler(Enqueue::object(&queue).handler());
        let id = InformerId::all(&resource_of::<ConfigMap>()).fields(format!("metadata.name={NAME}"));
        let maps = context.informers.informer_of(&id);
        maps.add_handler(Enqueue::mapped(&queue, |map, add| add(Key::new("", map.namespace.clone()))).handler());
        let reconciler = Publisher {
            client: context.client(),
            config: Arc::clone(&context.config),
            namespaces: namespaces.lister(),
            maps: maps.lister(),
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Publisher {
    client: Client,
    config: Arc<Config>,
    namespaces: Lister,
    maps: Lister,
}

#[async_trait]
impl Reconciler for Publisher {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(namespace) = self.namespaces.get(key) else { return Ok(Requeue::Never) };
        let namespace: Namespace = decode(&namespace)?;
        let stored = self.maps.get(&Key::new(key.name.clone(), NAME));
        let map = stored.as_deref().map(decode::<ConfigMap>).transpose()?;
        let resource = resource_of::<ConfigMap>();
        let outcome = match (plan::plan(&namespace, map.as_ref(), &self.config.root_ca), stored) {
            (Action::Create, _) => {
                let map = from_json(&serde_json::json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {
                        "name": NAME,
                        "namespace": key.name.as_str(),
                        "annotations": {DESCRIPTION_ANNOTATION: DESCRIPTION},
                    },
                    "data": {DATA_KEY: self.config.root_ca},
                }));
                self.client.create(Target::collection(&resource, key.name.clone()), map).await
            }
            (Action::Repair, Some(stored)) => {
                let mut map = tree(&stored)?;
                map.set(&["data"], from_json(&serde_json::json!({DATA_KEY: self.config.root_ca})));
                map.set(&["metadata", "annotations", DESCRIPTION_ANNOTATION], DESCRIPTION);
                self.client.update(Target::object(&resource, key.name.clone(), NAME), map).await
            }
            _ => return Ok(Requeue::Never),
        };
        match outcome {
            // Gone, or going: nothing to publish to.
            Err(status) if status.is_not_found() || is_namespace_terminating(&status) => Ok(Requeue::Never),
            // Made by somebody else meanwhile; its event brings the namespace back.
            Err(status) if status.is_already_exists() => Ok(Requeue::Never),
            Err(status) => Err(status.into()),
            Ok(_) => Ok(Requeue::Never),
        }
    }
}
