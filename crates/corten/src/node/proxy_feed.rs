//! Hands services and endpoint slices from informers to the service proxy.

use std::sync::Arc;

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_base::{ErrorChain, Shutdown};
use corten_informer::{Handler, InformerFactory};
use corten_proxy::{
    Inbox, Input,
    change_tracker::{ServiceFacts, SliceFacts},
    names::ObjectName,
};
use tracing::warn;

/// What a handler follows.
#[derive(Debug, Clone, Copy)]
enum Source {
    Service,
    Slice,
}

/// Puts every change into the inbox, which never blocks.
struct Putting {
    source: Source,
    inbox: Inbox,
}

impl Putting {
    fn put(&self, object: &Stored) {
        let input = match self.source {
            Source::Service => ServiceFacts::from_json(&object.json).map(Input::Service),
            Source::Slice => SliceFacts::from_json(&object.json).map(Input::EndpointSlice),
        };
        match input {
            Ok(input) => self.inbox.put(input),
            Err(error) => {
                let object = format!("{}/{}", object.namespace, object.name);
                warn!(source = ?self.source, object, err = %ErrorChain(&error), "Could not read an object for the proxy");
            }
        }
    }
}

impl Handler for Putting {
    fn on_add(&self, object: &Arc<Stored>) {
        self.put(object);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.put(new);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        let name = ObjectName::new(object.namespace.as_str(), object.name.as_str());
        self.inbox.put(match self.source {
            Source::Service => Input::ServiceDeleted(name),
            Source::Slice => Input::EndpointSliceDeleted(name),
        });
    }
}

/// Follows `factory`'s informers on behalf of a proxy; whoever owns the factory starts them afterwards.
pub(crate) fn follow(factory: &InformerFactory, inbox: &Inbox) {
    let put = |source, group: &str, resource: &str| {
        let informer = factory.informer(&GroupVersionResource::new(group, "v1", resource));
        informer.add_handler(Arc::new(Putting { source, inbox: inbox.clone() }));
    };
    put(Source::Service, "", "services");
    put(Source::Slice, "discovery.k8s.io", "endpointslices");
}

/// Tells the proxy that it has seen everything, once it has.
pub(crate) async fn tell_synced(factory: InformerFactory, inbox: Inbox, shutdown: Shutdown) {
    tokio::select! {
        biased;
        () = shutdown.requested() => {}
        () = factory.synced() => inbox.put(Input::Synced),
    }
}
