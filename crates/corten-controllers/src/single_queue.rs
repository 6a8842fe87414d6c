//! A controller with one queue: nothing but its runner.

use async_trait::async_trait;
use corten_base::Shutdown;
use corten_controller::{Controller, Key, Runner};

/// Runs one runner.
pub(crate) struct SingleQueue(pub(crate) Runner<Key>);

#[async_trait]
impl Controller for SingleQueue {
    async fn run(self: Box<Self>, shutdown: Shutdown) {
        self.0.run(shutdown).await;
    }
}
