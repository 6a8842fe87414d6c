//! What informers leave for the proxy: the latest state of each object that changed.
//!
//! Putting in never blocks, as informer handlers must not; a newer state of an object replaces the one that waits, so
//! the inbox is never larger than the number of objects, and what waits while a sync runs is one batch afterwards.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    change_tracker::{ServiceFacts, SliceFacts},
    names::ObjectName,
};

/// Something the proxy is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A Service appeared or changed.
    Service(ServiceFacts),
    /// A Service went away.
    ServiceDeleted(ObjectName),
    /// An EndpointSlice appeared or changed.
    EndpointSlice(SliceFacts),
    /// An EndpointSlice went away.
    EndpointSliceDeleted(ObjectName),
    /// All objects that existed at the start have been told. Nothing is written before, or the first sync would take
    /// away what an earlier run of the proxy had put in place.
    Synced,
}

/// See the module. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Batch>,
    arrival: Notify,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Nothing stands for "deleted".
    pub(crate) services: BTreeMap<ObjectName, Option<ServiceFacts>>,
    pub(crate) slices: BTreeMap<ObjectName, Option<SliceFacts>>,
    pub(crate) synced: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.services.is_empty() && self.slices.is_empty() && !self.synced
    }
}

impl Inbox {
    /// An empty inbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts something in. Never blocks.
    pub fn put(&self, input: Input) {
        let mut waiting = self.shared.waiting.lock();
        match input {
            Input::Service(facts) => {
                waiting.services.insert(facts.name.clone(), Some(facts));
            }
            Input::ServiceDeleted(name) => {
                waiting.services.insert(name, None);
            }
            Input::EndpointSlice(facts) => {
                waiting.slices.insert(facts.name.clone(), Some(facts));
            }
            Input::EndpointSliceDeleted(name) => {
                waiting.slices.insert(name, None);
            }
            Input::Synced => waiting.synced = true,
        }
        drop(waiting);
        self.shared.arrival.notify_one();
    }

    /// Waits until something is there and takes all of it. For one reader. Cancel-safe.
    pub(crate) async fn take(&self) -> Batch {
        loop {
            let batch = std::mem::take(&mut *self.shared.waiting.lock());
            if !batch.is_empty() {
                return batch;
            }
            self.shared.arrival.notified().await;
        }
    }
}
