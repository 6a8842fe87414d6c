//! How the components become a cluster, in start order: the page to read first.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use corten_apiserver::filters::Limits;
use corten_base::{Shutdown, SystemClock, SystemRng, TaskSet, fs};
use corten_controlplane::{ControlPlane, ServiceAccounts, authentication::service_account::DEFAULT_ISSUER};
use corten_storage_sqlite::SqliteEngine;

use crate::{config::Config, kubeconfig::kubeconfig, pki::Pki};

/// Runs the cluster until `shutdown`.
pub(crate) async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let pki = Pki::ensure(&config, &*clock).context("prepare the certificates")?;

    // The store goes last: everybody else may still write while they end.
    let storage_tasks = TaskSet::new("storage");
    let (stop_storage, storage_shutdown) = Shutdown::new();
    let storage = corten_storage_sqlite::Config::new(config.store());
    let engine = SqliteEngine::open(storage, Arc::clone(&clock), &storage_tasks, &storage_shutdown)
        .await
        .context("open the store")?;

    let control_plane = ControlPlane::build(
        corten_controlplane::Config {
            address: config.listen,
            advertise_address: config.listen,
            services: corten_controlplane::ServiceNetwork::default(),
            serving: pki.apiserver.clone(),
            client_authorities: pki.authority.clone(),
            service_accounts: ServiceAccounts {
                issuer: DEFAULT_ISSUER.to_owned(),
                signing_key: pki.service_account_key.clone(),
                further_keys: vec![pki.service_account_public_key.clone()],
                audiences: Vec::new(),
            },
            event_ttl: Duration::from_secs(3_600),
            limits: Limits::default(),
        },
        Arc::new(engine),
        Arc::clone(&clock),
        rng,
    )
    .await
    .context("start the API server")?;
    let address = control_plane.local_addr().context("read the API server's address")?;
    let admin = kubeconfig(address, &pki.authority, &pki.admin);
    fs::write_atomic(&config.admin_kubeconfig(), admin.as_bytes(), 0o600)?;
    tracing::info!(%address, kubeconfig = %config.admin_kubeconfig().display(), "Started the API server");

    control_plane.run(shutdown).await;
    stop_storage.request();
    storage_tasks.join().await.context("close the store")
}
