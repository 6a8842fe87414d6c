//! What every cluster has from its first second: the system namespaces, the roles and bindings, the system's priorities.
//!
//! Each part is level driven: what is there stays, what is missing is made, and a failure is tried again.

mod namespaces;
mod priority_classes;
mod rbac;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use corten_apimachinery::status::Status;
use corten_base::{Backoff, SharedClock, Shutdown, SystemRng};
use corten_client::Client;

pub(crate) use rbac::node_rules;

/// Whether everything has been made. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Notes that everything has been made.
    pub(crate) fn complete(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether everything has been made.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Makes what is missing, until all of it is there.
pub(crate) async fn run(client: Client, clock: SharedClock, progress: Progress, shutdown: Shutdown) {
    let rng = SystemRng::shared();
    let mut backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
    loop {
        match ensure(&client).await {
            Ok(()) => {
                progress.complete();
                return;
            }
            Err(error) => tracing::warn!(err = %error, "Could not make what every cluster has"),
        }
        let delay = backoff.next(&*rng);
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            () = clock.sleep(delay) => {}
        }
    }
}

/// Makes what is missing, once.
pub(crate) async fn ensure(client: &Client) -> Result<(), Status> {
    namespaces::ensure(client).await?;
    rbac::ensure(client).await?;
    priority_classes::ensure(client).await
}
