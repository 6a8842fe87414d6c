//! How many requests run at once: reads and writes apart; what lasts is not counted.
//!
//! Nodes and the control plane have further places that nobody else can take, as upstream's priority levels give them, and
//! the highest administrators are never turned away.
//! Upstream: k8s.io/apiserver/pkg/server/filters/maxinflight.go, apis/flowcontrol/bootstrap (v1.35).

use std::sync::Arc;

use corten_apimachinery::{resource::UserInfo, status::Status};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    authorization::SYSTEM_MASTERS,
    request::{Origin, Request},
};

/// The groups of nodes and of the accounts that the control plane runs under. Upstream: the flow schemas of `system` and
/// `workload-high`.
const SYSTEM_GROUPS: [&str; 2] = ["system:nodes", "system:serviceaccounts:kube-system"];

/// The users of the control plane that are no accounts.
const SYSTEM_USERS: [&str; 3] = ["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"];

/// A system user takes one of these places when the others are taken: so many for each of the others, but at least one.
const PLACES_PER_SYSTEM_PLACE: usize = 2;

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
    reads: Places,
    writes: Places,
}

#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    system: Arc<Semaphore>,
}

impl Places {
    fn new(limit: usize) -> Self {
        let system = (limit / PLACES_PER_SYSTEM_PLACE).max(1);
        Self { all: Arc::new(Semaphore::new(limit)), system: Arc::new(Semaphore::new(system)) }
    }

    fn enter(&self, user: &UserInfo) -> Result<Option<OwnedSemaphorePermit>, Status> {
        if let Ok(place) = Arc::clone(&self.all).try_acquire_owned() {
            return Ok(Some(place));
        }
        if is_privileged(user) {
            return Ok(None);
        }
        let place = is_system(user).then(|| Arc::clone(&self.system).try_acquire_owned());
        place.and_then(Result::ok).map(Some).ok_or_else(too_many)
    }
}

impl InFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { reads: Places::new(limits.reads_max), writes: Places::new(limits.writes_max) }
    }

    /// Takes a place, which is given back when the answer is sent, or nobody waits for it any more.
    ///
    /// Errors: `TooManyRequests` if all are taken that `request` may have.
    pub(super) fn enter(&self, request: &Request) -> Result<Option<OwnedSemaphorePermit>, Status> {
        // Components of this process bound themselves, and must not be shut out by clients.
        if request.is_long_running() || matches!(request.origin, Origin::InProcess) {
            return Ok(None);
        }
        let places = if request.is_read() { &self.reads } else { &self.writes };
        places.enter(&request.user)
    }
}

/// What is said to those who come when there is no room.
pub(super) fn too_many() -> Status {
    Status::too_many_requests("too many requests, please try again later", 1)
}

/// Whether somebody is answered however many others there are.
pub(crate) fn is_privileged(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| *group == SYSTEM_MASTERS)
}

fn is_system(user: &UserInfo) -> bool {
    SYSTEM_USERS.iter().any(|name| user.name == *name)
        || user.groups.iter().any(|group| SYSTEM_GROUPS.iter().any(|system| group == system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_keep_the_cluster_running_are_not_shut_out() {
        let user =
            |name: &str, group: &str| UserInfo { name: name.into(), groups: vec![group.into()], ..UserInfo::default() };
        let places = Places::new(2);
        let robot = user("system:serviceaccount:default:robot", "system:serviceaccounts:default");
        let taken = [places.enter(&robot).unwrap(), places.enter(&robot).unwrap()];
        assert_eq!(places.enter(&robot).unwrap_err().code, 429);
        let node = user("system:node:n1", "system:nodes");
        let place = places.enter(&node).unwrap();
        assert!(place.is_some());
        assert_eq!(places.enter(&user("system:kube-scheduler", "")).unwrap_err().code, 429);
        drop(place);
        assert!(places.enter(&user("system:kube-scheduler", "")).unwrap().is_some());
        assert!(places.enter(&user("admin", SYSTEM_MASTERS)).unwrap().is_none());
        drop(taken);
        assert!(places.enter(&robot).unwrap().is_some());
    }
}
