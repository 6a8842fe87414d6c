//! Certificates that are renewed while the process runs: a year is shorter than a cluster may be up.
//!
//! Flow: now and then -> `Pki::ensure`, which makes anew what is past two thirds of its life -> the servers that show it, and
//! the kubeconfigs that hold it.

use std::{net::SocketAddr, time::Duration};

use corten_base::{SharedClock, Shutdown, fs};
use corten_component_base::serving::ServerCertificate;
use corten_controlplane::Certificates;

use crate::{
    assembly::kubelet_client,
    blocking::blocking,
    config::Config,
    kubeconfig::{self, Entry},
    pki::Pki,
};

/// How often is looked: a leaf has four months left when it becomes due, so a day more or less does not count. Looking, and
/// not sleeping until then, holds when the machine's clock is set or the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_secs(12 * 3_600);

/// Whoever shows a certificate of the cluster in this process.
pub(crate) struct Renewal {
    /// What the cluster is made with.
    pub(crate) config: Config,
    /// What is shown now.
    pub(crate) pki: Pki,
    /// The API's address on this machine.
    pub(crate) local: SocketAddr,
    /// The API server.
    pub(crate) api_server: Certificates,
    /// The kubelet's server, where there is a node.
    pub(crate) kubelet: Option<ServerCertificate>,
    /// Whether the user's kubeconfig has the context.
    pub(crate) merge_kubeconfig: bool,
}

impl Renewal {
    /// Renews until shutdown. What fails is said, and tried again the next time.
    pub(crate) async fn run(mut self, clock: SharedClock, shutdown: Shutdown) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = clock.sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look(&clock).await {
                tracing::error!(err = format!("{error:#}"), "Could not renew certificates");
            }
        }
    }

    async fn look(&mut self, clock: &SharedClock) -> anyhow::Result<()> {
        let (config, clock) = (self.config.clone(), SharedClock::clone(clock));
        let pki = blocking(move || Pki::ensure(&config, &*clock)).await?;
        if pki == self.pki {
            return Ok(());
        }
        self.api_server.replace(&pki.apiserver, &kubelet_client(&self.config, &pki))?;
        if let Some(kubelet) = &self.kubelet {
            kubelet.replace(&pki.kubelet.certificate, &pki.kubelet.key)?;
        }
        if pki.admin != self.pki.admin {
            let admin = Entry::new(&self.config.places.name, self.local, &pki.authority, &pki.admin);
            let (path, merges) = (self.config.places.admin_kubeconfig(), self.merge_kubeconfig);
            let written = blocking(move || {
                fs::write_atomic(&path, admin.to_text()?.as_bytes(), 0o600)?;
                match kubeconfig::find()?.filter(|_| merges) {
                    Some(file) => file.refresh(&admin),
                    None => Ok(()),
                }
            });
            written.await?;
        }
        self.pki = pki;
        tracing::info!("Renewed certificates");
        Ok(())
    }
}
