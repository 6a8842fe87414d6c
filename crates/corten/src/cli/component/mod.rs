//! Single components under upstream's names and main flags, against any API server.

pub(super) mod apiserver;
pub(super) mod controller_manager;
pub(super) mod kubelet;
mod not_followed;
pub(super) mod proxy;
pub(super) mod scheduler;

use std::{future::Future, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use corten_base::{SharedClock, SharedRng, Shutdown, SystemClock, SystemRng, TaskSet, fs};
use corten_client::{
    Client,
    kubeconfig::Kubeconfig,
    leader_election::{LeaderElection, Outcome, Timing},
    transport::http::{Credentials, HttpConfig, HttpTransport, Tls},
};
use corten_component_base::logs;

use crate::cli::go_bool::go_bool;

/// What every component that calls an API server is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientOptions {
    /// How to reach the API server; left out inside a pod, whose service account is used.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How much is logged: 0 to 3 what changes, 4 and 5 steps, 6 and more everything.
    #[arg(long, short, default_value_t = 2, value_name = "LEVEL")]
    v: u8,
}

/// Which of several replicas works.
#[derive(Debug, Clone, Args)]
pub(crate) struct LeaderOptions {
    /// Work only while holding the lease, so that one of several replicas does. [default: true]
    #[arg(long, action = clap::ArgAction::Set, value_parser = go_bool, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL")]
    leader_elect: Option<bool>,
    /// The lease's name; the component's if left out.
    #[arg(long, value_name = "NAME")]
    leader_elect_resource_name: Option<String>,
    /// The lease's namespace. [default: kube-system]
    #[arg(long, value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
}

/// The files of a service account in a pod. Upstream: `rest.InClusterConfig`.
const POD_FILES: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a component is built from.
#[derive(Clone)]
struct Base {
    client: Client,
    clock: SharedClock,
    rng: SharedRng,
    tasks: TaskSet,
}

impl ClientOptions {
    /// Sets up logs, and a client whose writes are recorded under `name`.
    fn base(&self, name: &'static str) -> anyhow::Result<Base> {
        init_logs(self.v)?;
        let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), TaskSet::new(name));
        let config = match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read(path).with_context(|| format!("read {}", path.display()))?;
                kubeconfig.resolve(None).with_context(|| format!("use {}", path.display()))?.config
            }
            None => pod_config(name).context("no --kubeconfig was given, and this is no pod with a service account")?,
        };
        let transport = HttpTransport::new(config, Arc::clone(&clock), &tasks).context("set up the client")?;
        Ok(Base { client: Client::new(Arc::new(transport), name), clock, rng, tasks })
    }
}

fn init_logs(v: u8) -> anyhow::Result<()> {
    let level = match v {
        0..=3 => "info",
        4..=5 => "debug",
        _ => "trace",
    };
    Ok(logs::init(level, logs::Format::Text)?)
}

fn pod_config(name: &str) -> anyhow::Result<HttpConfig> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("read the variable {name}"));
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let files = PathBuf::from(POD_FILES);
    Ok(HttpConfig {
        server: format!("https://{host}:{port}"),
        tls: Tls::Pem { authorities: fs::read(&files.join("ca.crt"))?, identity: None, server_name: None },
        credentials: Credentials::TokenFile(files.join("token")),
        user_agent: format!("{name}/{}", env!("CARGO_PKG_VERSION")),
    })
}

impl LeaderOptions {
    /// Runs `work` as the leader, or at once where there is no election.
    ///
    /// Errors: those of `work`; leadership was lost, which has to end the process, because another one leads now.
    async fn lead<F>(
        self,
        name: &'static str,
        base: &Base,
        work: impl FnOnce(Shutdown) -> F,
        shutdown: Shutdown,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        if !self.leader_elect.unwrap_or(true) {
            return work(shutdown).await;
        }
        let lease = self.leader_elect_resource_name.unwrap_or_else(|| name.to_owned());
        let namespace = self.leader_elect_resource_namespace.unwrap_or_else(|| "kube-system".to_owned());
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // Two processes on one host are two replicas.
        let identity = format!("{host}_{}", base.rng.uuid());
        let election = LeaderElection::new(
            base.client.clone(),
            (&namespace, &lease),
            identity,
            Timing::default(),
            Arc::clone(&base.clock),
            Arc::clone(&base.rng),
        );
        let mut worked = Ok(());
        let ended = {
            let worked = &mut worked;
            election.run(|signal| async move { *worked = work(signal).await }, shutdown).await
        };
        match ended {
            Outcome::Lost => anyhow::bail!("leaderelection lost"),
            Outcome::Finished | Outcome::NeverLed => worked,
        }
    }
}
