//! What every cluster has from its first second: the system namespaces, the roles and bindings, the system's priorities,
//! the shares of the server's attention, its API services, what other API servers have to know, the range of services, and
//! the service that leads to the API, which is kept true while the server runs.
//!
//! Each part is level driven: what is there stays, what is missing is made, and a failure is tried again.

mod api_services;
mod cluster_authentication;
mod flow_control;
pub(crate) mod identity_lease;
mod kubernetes_service;
mod namespaces;
mod priority_classes;
mod rbac;
mod served;
pub(crate) mod service_cidr;

use std::{sync::Arc, time::Duration};

use corten_apimachinery::status::Status;
use corten_base::{Backoff, SharedClock, SharedRng, Shutdown};
use corten_client::{Client, events::Recorder};
use ipnet::IpNet;
use tokio::sync::watch;

use crate::allocators::Repair;
pub(crate) use kubernetes_service::Advertised;
pub(crate) use rbac::node_rules;

/// A part of the start, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Step {
    /// The system namespaces.
    Namespaces = 1,
    /// Roles and bindings.
    Roles = 2,
    /// The system's priority classes.
    PriorityClasses = 4,
    /// The service `kubernetes`, or the first attempt at it.
    KubernetesService = 8,
    /// What components have to know of client certificates.
    ClusterAuthentication = 16,
    /// The range of services.
    ServiceCidr = 32,
    /// Flow schemas and priority levels.
    FlowControl = 64,
    /// API services.
    ApiServices = 128,
    /// The addresses and node ports of services that are there.
    ServiceRepair = 256,
}

impl Step {
    /// All of them, with the names of upstream's hooks that do the same.
    pub(crate) const ALL: [(Self, &'static str); 10] = [
        (Self::FlowControl, "poststarthook/priority-and-fairness-config-producer"),
        (Self::Namespaces, "poststarthook/start-system-namespaces-controller"),
        (Self::ClusterAuthentication, "poststarthook/start-cluster-authentication-info-controller"),
        (Self::ServiceRepair, "poststarthook/start-service-ip-repair-controllers"),
        (Self::Roles, "poststarthook/rbac/bootstrap-roles"),
        (Self::PriorityClasses, "poststarthook/scheduling/bootstrap-system-priority-classes"),
        (Self::KubernetesService, "poststarthook/bootstrap-controller"),
        (Self::ServiceCidr, "poststarthook/start-kubernetes-service-cidr-controller"),
        (Self::ApiServices, "poststarthook/kube-apiserver-autoregistration"),
        (Self::ApiServices, "autoregister-completion"),
    ];
}

/// What has been made so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<watch::Sender<u16>>);

/// Beside the steps: the server is on its way out.
const STOPPING: u16 = 512;

impl Progress {
    /// Notes that a part has been made.
    pub(crate) fn complete(&self, step: Step) {
        self.0.send_modify(|made| *made |= step as u16);
    }

    /// Whether a part has been made.
    pub(crate) fn has(&self, step: Step) -> bool {
        *self.0.borrow() & step as u16 != 0
    }

    /// Completes once a part has been made. Cancel-safe.
    pub(crate) async fn until(&self, step: Step) {
        let made = self.0.subscribe().wait_for(|made| made & step as u16 != 0).await.is_ok();
        assert!(made, "the sender is kept here");
    }

    /// Notes that the server is on its way out.
    fn stop(&self) {
        self.0.send_modify(|made| *made |= STOPPING);
    }

    /// Whether the server is on its way out.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.borrow() & STOPPING != 0
    }
}

/// What is kept of services.
#[derive(Debug)]
pub(crate) struct Services {
    /// The configured ranges.
    pub(crate) ranges: Vec<IpNet>,
    /// What looks after addresses and node ports.
    pub(crate) repair: Repair,
    /// Where to tell of what does not fit.
    pub(crate) recorder: Recorder,
}

/// Makes what is missing, and keeps the service `kubernetes`, the range of services, their addresses, the system's
/// namespaces, the flow schemas and the API services of custom resources until shutdown.
pub(crate) async fn run(
    client: Client,
    (clock, rng): (SharedClock, SharedRng),
    progress: Progress,
    advertised: Advertised,
    services: Services,
    client_authorities: String,
    shutdown: Shutdown,
) {
    let Services { ranges: service_ranges, repair, recorder } = services;
    let reports = service_cidr::Reports::new(&recorder);
    let work = async {
        retry((&clock, &rng), "Could not make what every cluster has", || {
            ensure(&client, &clock, &progress, (&service_ranges, &reports), &client_authorities)
        })
        .await;
        let service = async {
            loop {
                retry((&clock, &rng), "Could not keep the service kubernetes", || async {
                    if !progress.has(Step::KubernetesService) {
                        let made = kubernetes_service::ensure(&client, &advertised).await;
                        // As upstream's, the server is ready whether this could be written or not: on a full disk it reads.
                        progress.complete(Step::KubernetesService);
                        made?;
                    }
                    kubernetes_service::keep(&client, &advertised).await
                })
                .await;
            }
        };
        let namespaces = async {
            loop {
                retry((&clock, &rng), "Could not keep the system's namespaces", || namespaces::keep(&client)).await;
            }
        };
        let range = async {
            loop {
                retry((&clock, &rng), "Could not keep the range of services", || {
                    service_cidr::keep(&client, &clock, &service_ranges, &reports)
                })
                .await;
            }
        };
        let addresses = async {
            loop {
                retry((&clock, &rng), "Could not keep the addresses of services", || {
                    repair.keep(|| progress.complete(Step::ServiceRepair))
                })
                .await;
            }
        };
        let flow_control = async {
            loop {
                retry((&clock, &rng), "Could not keep flow schemas and priority levels", || {
                    flow_control::keep(&client)
                })
                .await;
            }
        };
        let api_services = async {
            loop {
                retry((&clock, &rng), "Could not keep the API services of custom resources", || {
                    api_services::keep_custom(&client)
                })
                .await;
            }
        };
        futures::join!(service, namespaces, range, addresses, flow_control, api_services);
    };
    tokio::select! {
        biased;
        () = shutdown.requested() => progress.stop(),
        () = work => {}
    }
}

/// Does `work` until it succeeds, more and more slowly.
async fn retry<F: Future<Output = Result<(), Status>>>(
    (clock, rng): (&SharedClock, &SharedRng),
    failure: &'static str,
    mut work: impl FnMut() -> F,
) {
    let mut backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
    while let Err(error) = work().await {
        tracing::warn!(err = %error, "{failure}");
        clock.sleep(backoff.next(&**rng)).await;
    }
}

/// Makes what is missing, once; all but the service `kubernetes`.
/// `client_authorities` (PEM): whose client certificates count.
pub(crate) async fn ensure(
    client: &Client,
    clock: &SharedClock,
    progress: &Progress,
    (service_ranges, reports): (&[IpNet], &service_cidr::Reports),
    client_authorities: &str,
) -> Result<(), Status> {
    namespaces::ensure(client).await?;
    progress.complete(Step::Namespaces);
    rbac::ensure(client).await?;
    progress.complete(Step::Roles);
    priority_classes::ensure(client).await?;
    progress.complete(Step::PriorityClasses);
    cluster_authentication::ensure(client, client_authorities).await?;
    progress.complete(Step::ClusterAuthentication);
    service_cidr::ensure(client, clock, service_ranges, reports).await?;
    progress.complete(Step::ServiceCidr);
    flow_control::ensure(client).await?;
    progress.complete(Step::FlowControl);
    api_services::ensure(client).await?;
    progress.complete(Step::ApiServices);
    Ok(())
}

#[cfg(test)]
mod tests;
