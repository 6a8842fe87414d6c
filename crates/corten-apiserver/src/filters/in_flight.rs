//! How many requests run at once: reads and writes apart; what lasts is not counted.
//!
//! Upstream: k8s.io/apiserver/pkg/server/filters/maxinflight.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::status::Status;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::request::{Origin, Request};

/// How many requests may run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Reads. Upstream: `--max-requests-inflight`.
    pub reads_max: usize,
    /// Writes. Upstream: `--max-mutating-requests-inflight`.
    pub writes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reads_max: 400, writes_max: 200 }
    }
}

/// The requests that run.
#[derive(Debug)]
pub struct InFlight {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl InFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { reads: Arc::new(Semaphore::new(limits.reads_max)), writes: Arc::new(Semaphore::new(limits.writes_max)) }
    }

    /// Takes a place, which is given back when the answer is sent, or nobody waits for it any more.
    ///
    /// Errors: `TooManyRequests` if all are taken.
    pub(super) fn enter(&self, request: &Request) -> Result<Option<OwnedSemaphorePermit>, Status> {
        // Components of this process bound themselves, and must not be shut out by clients.
        if request.is_long_running() || matches!(request.origin, Origin::InProcess) {
            return Ok(None);
        }
        let reads = matches!(&*request.info.verb, "get" | "list");
        let places = if reads { &self.reads } else { &self.writes };
        Arc::clone(places)
            .try_acquire_owned()
            .map(Some)
            .map_err(|_| Status::too_many_requests("too many requests, please try again later", 1))
    }
}
