//! The plainest controller: one queue of keys and one reconciler.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_base::Shutdown;
use corten_controller::{Context, Controller, Key, RateLimit, Reconciler, Runner, WorkQueue};

use crate::Config;

/// A queue for the controller that `context` is for.
pub(crate) fn queue_of<K: Ord + Clone + Send>(context: &Context<Config>) -> Arc<WorkQueue<K>> {
    Arc::new(WorkQueue::new(context.name, RateLimit::default(), Arc::clone(&context.clock)))
}

/// Runs `reconciler` over `queue`.
pub(crate) struct QueueController<K = Key>(Runner<K>);

impl<K> QueueController<K>
where
    K: Ord + Clone + Send + Sync + fmt::Display + 'static,
{
    /// With as many workers as the descriptor says.
    pub(crate) fn boxed(
        context: &Context<Config>,
        queue: Arc<WorkQueue<K>>,
        reconciler: impl Reconciler<K>,
    ) -> Box<dyn Controller> {
        let (name, workers) = (context.name, context.workers);
        Box::new(Self(Runner { name, workers, queue, reconciler: Arc::new(reconciler) }))
    }
}

#[async_trait]
impl<K> Controller for QueueController<K>
where
    K: Ord + Clone + Send + Sync + fmt::Display + 'static,
{
    async fn run(self: Box<Self>, shutdown: Shutdown) {
        self.0.run(shutdown).await;
    }
}
