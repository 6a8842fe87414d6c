//! Makes the service account `default` in every namespace, and makes it again when it is deleted.
//!
//! Flow: namespaces and deletions of service accounts -> queue of namespaces -> create.
//! Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go (v1.35).

mod plan;

use async_trait::async_trait;
use corten_api::core::v1::{Namespace, ServiceAccount};
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::{
    ControllerDescriptor, Enqueue, Key, Predicate, ReconcileError, Reconciler, Requeue, predicate::Change,
};
use corten_informer::{InformerId, Lister};

use crate::{
    Config,
    objects::{from_json, is_namespace_terminating},
    queue_controller::{QueueController, queue_of},
};

/// The name of the account that pods get which ask for none.
const DEFAULT: &str = "default";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "serviceaccount-controller",
    aliases: &["serviceaccount"],
    identity: "service-account-controller",
    feature_gate: None,
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let namespaces = context.informers.informer(&resource_of::<Namespace>());
        namespaces.add_handler(Enqueue::object(&queue).handler());
        // Only the accounts of this one name are of interest; many others exist.
        let id = InformerId::all(&resource_of::<ServiceAccount>()).fields(format!("metadata.name={DEFAULT}"));
        let accounts = context.informers.informer_of(&id);
        let namespace_of = |account: &_, add: &mut dyn FnMut(Key)| add(namespace_key(account));
        accounts.add_handler(
            Enqueue::mapped(&queue, namespace_of)
                .when(Predicate::new(|change| matches!(change, Change::Deleted(_))))
                .handler(),
        );
        let reconciler =
            ServiceAccounts { client: context.client(), namespaces: namespaces.lister(), accounts: accounts.lister() };
        QueueController::boxed(&context, queue, reconciler)
    },
};

fn namespace_key(object: &corten_apimachinery::stored::Stored) -> Key {
    Key::new("", object.namespace.clone())
}

struct ServiceAccounts {
    client: Client,
    namespaces: Lister,
    accounts: Lister,
}

#[async_trait]
impl Reconciler for ServiceAccounts {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(namespace) = self.namespaces.get(key) else { return Ok(Requeue::Never) };
        let namespace: Namespace = decode(&namespace)?;
        let exists = self.accounts.get(&Key::new(key.name.clone(), DEFAULT)).is_some();
        if !plan::is_missing(&namespace, exists) {
            return Ok(Requeue::Never);
        }
        let account = from_json(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT, "namespace": key.name.as_str()},
        }));
        let target = Target::collection(&resource_of::<ServiceAccount>(), key.name.clone());
        match self.client.create(target, account).await {
            Err(status) if !status.is_already_exists() && !is_namespace_terminating(&status) => Err(status.into()),
            _ => Ok(Requeue::Never),
        }
    }
}
