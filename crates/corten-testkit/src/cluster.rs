//! A control plane in memory, in simulated time.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{FieldValidation, json},
    gvk::GroupVersionResource,
    resource::UserInfo,
    stored::Stored,
    value::Value,
};
use corten_base::{SharedClock, SharedRng, SimClock, SimRng};
use corten_client::{Client, ListOptions, Target};
use corten_controller::ClientFactory;
use corten_controlplane::testing;

/// A running control plane: the API server with its store in memory, bootstrap objects included.
#[derive(Debug)]
pub struct Cluster {
    inner: Arc<testing::Cluster>,
    rng: SharedRng,
}

impl Cluster {
    /// Starts one at the beginning of 2026.
    pub async fn start() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().expect("a constant time"));
        Self { inner: Arc::new(testing::Cluster::start_at(clock).await), rng: SimRng::shared(42) }
    }

    /// Its time, which stands still until it is advanced.
    #[must_use]
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.inner.clock)
    }

    /// Its time, for components.
    #[must_use]
    pub fn shared_clock(&self) -> SharedClock {
        Arc::clone(&self.inner.clock) as _
    }

    /// Randomness that is the same in every run.
    #[must_use]
    pub fn rng(&self) -> SharedRng {
        Arc::clone(&self.rng)
    }

    /// A client under an identity.
    #[must_use]
    pub fn client(&self, user: UserInfo) -> Client {
        self.inner.client(user)
    }

    /// A client that may do everything.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.client(testing::admin())
    }

    /// Clients of controllers: `system:serviceaccount:kube-system:<identity>`, with the roles that bootstrap gave them.
    #[must_use]
    pub fn clients(&self) -> Arc<dyn ClientFactory> {
        Arc::new(Clients(Arc::clone(&self.inner)))
    }

    /// Makes an object from JSON.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn create(&self, resource: &GroupVersionResource, object: serde_json::Value) -> Arc<Stored> {
        let object = tree(&object);
        let namespace = object.get("metadata").and_then(|meta| meta.get("namespace")).and_then(Value::as_str);
        let target = Target::collection(resource, namespace.unwrap_or_default());
        self.admin().create(target, object).await.expect("the object is valid")
    }

    /// All objects of a resource, in every namespace.
    ///
    /// # Panics
    /// If the server refuses the list.
    pub async fn list(&self, resource: &GroupVersionResource) -> Vec<Arc<Stored>> {
        let list = self.admin().list(Target::collection(resource, ""), &ListOptions::default()).await;
        list.expect("an administrator may list").items
    }

    /// Waits until `wanted` holds for all objects of a resource, looking anew after every change, and gives them.
    /// Simulated time does not move meanwhile.
    ///
    /// # Panics
    /// If the server refuses the list or the watch.
    pub async fn wait_for(
        &self,
        resource: &GroupVersionResource,
        wanted: impl Fn(&[Arc<Stored>]) -> bool,
    ) -> Vec<Arc<Stored>> {
        use futures::StreamExt as _;
        let client = self.admin();
        loop {
            let list = client.list(Target::collection(resource, ""), &ListOptions::default()).await;
            let list = list.expect("an administrator may list");
            if wanted(&list.items) {
                return list.items;
            }
            let options = corten_client::WatchOptions {
                resource_version: list.revision.to_string(),
                ..corten_client::WatchOptions::default()
            };
            let watch = client.watch(Target::collection(resource, ""), &options).await;
            let mut watch = watch.expect("an administrator may watch");
            // One event is enough to look again; what comes between is seen by the list.
            let _ = watch.next().await;
        }
    }

    /// Ends everything.
    ///
    /// # Panics
    /// If clients' factories are still held, or a task has panicked.
    pub async fn stop(self) {
        let inner = Arc::into_inner(self.inner).expect("no component holds the cluster any more");
        inner.stop().await;
    }
}

/// JSON as a tree.
///
/// # Panics
/// Never: what `json!` made is JSON.
#[must_use]
pub fn tree(json: &serde_json::Value) -> Value {
    let bytes = bytes::Bytes::from(json.to_string());
    json::decode(&bytes, None, FieldValidation::Ignore).expect("serde_json writes JSON").value
}

#[derive(Debug)]
struct Clients(Arc<testing::Cluster>);

impl ClientFactory for Clients {
    fn client(&self, identity: &str) -> Client {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        let user = testing::user(&format!("system:serviceaccount:kube-system:{identity}"), &groups);
        self.0.client(user).with_field_manager("kube-controller-manager")
    }
}
