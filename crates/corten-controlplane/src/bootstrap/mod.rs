//! What every cluster has from its first second: the system namespaces.
//!
//! Each part is level driven: what is there stays, what is missing is made, and a failure is tried again.

mod namespaces;

use std::{sync::Arc, time::Duration};

use corten_base::{Backoff, SharedClock, Shutdown, SystemRng};
use corten_client::Client;

/// Makes what is missing, until all of it is there.
pub(crate) async fn run(client: Client, clock: SharedClock, shutdown: Shutdown) {
    let rng = SystemRng::shared();
    let mut backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
    let clock = Arc::clone(&clock);
    loop {
        match namespaces::ensure(&client).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(err = %error, "Could not make the system namespaces"),
        }
        let delay = backoff.next(&*rng);
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            () = clock.sleep(delay) => {}
        }
    }
}
