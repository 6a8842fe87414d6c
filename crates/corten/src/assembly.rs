//! How the components become a cluster, in start order: the page to read first.
//!
//! Each part runs on a [`Floor`]: floors are built upwards, and torn down from the top when the process ends, so that
//! nobody loses what it stands on: first what uses the API, then the API server, then the store.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use corten_apiserver::filters::Limits;
use corten_base::{SharedClock, SharedRng, Shutdown, ShutdownTrigger, TaskSet, fs};
use corten_client::{
    Client,
    events::{EventWriter, Recorder},
};
use corten_component_base::{feature_gates::FeatureGates, serving::ServerCertificate};
use corten_container_runtime::ContainerRuntime;
use corten_controllers::{Controllers, config::SigningAuthority};
use corten_controlplane::{
    ControlPlane, KubeletClient, RuntimeConfig, ServiceAccounts, ServiceNetwork,
    authentication::service_account::DEFAULT_ISSUER, compactor,
};
use corten_informer::{InformerFactory, InitialList};
use corten_kubelet::Agent;
use corten_net::netns::Netns;
use corten_proxy::{HealthServers, Inbox, Proxy, ProxyMode, backend::nftables::NftablesBackend};
use corten_scheduler::{ApiCluster, Feed, Scheduler};
use corten_storage::kv::KvEngine;
use corten_storage_sqlite::SqliteEngine;
use ipnet::IpNet;
use tokio::sync::watch;

use crate::{
    addons,
    blocking::blocking,
    commands::{Commands, Parts, import_images},
    components::{Components, FAILED},
    config::{CLUSTER_DOMAIN, Config, Scope},
    control::ControlSocket,
    floors::{Floors, until_told},
    identity::{self, ControllerClients},
    kubeconfig::{self, Entry},
    node::{
        bridge,
        dns_feed::DnsFeed,
        dns_process::{COMPONENT as DNS_COMPONENT, DnsProcess},
        kubelet, proxy_feed, settings,
    },
    pki::Pki,
    program,
    progress::{Event, Progress},
    readiness::{self, Waiter},
    record::Record,
    renewal::Renewal,
};

/// How long a step of the start may wait for a component to do its part: ten times what a slow machine was seen to need.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a start is asked for beyond the configuration of the cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Archives of images to import.
    pub(crate) images: Vec<PathBuf>,
    /// Whether the user's kubeconfig gets the context.
    pub(crate) merge_kubeconfig: bool,
}

/// What every part is given.
#[derive(Clone)]
struct Base {
    config: Config,
    /// What the cluster was made with; nothing at its first start.
    record: Option<Record>,
    clock: SharedClock,
    rng: SharedRng,
    components: Components,
    progress: Progress,
}

/// Runs the cluster until `shutdown`, which `stop` requests, or until its start or a component fails.
pub(crate) async fn run(
    (config, record): (Config, Option<Record>),
    start: Start,
    progress: Progress,
    (clock, rng): (SharedClock, SharedRng),
    (stop, shutdown): (ShutdownTrigger, Shutdown),
) -> anyhow::Result<()> {
    let components = Components::new(Arc::clone(&clock));
    let mut floors = Floors::new(components.clone());
    let base = Base { config, record, clock: Arc::clone(&clock), rng, components, progress };
    let failed = floors.failed();
    let stand = async {
        build_all(&base, start, (stop, shutdown.clone()), &mut floors).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    let outcome = tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        panic = failed => Err(anyhow::Error::new(panic).context("a component failed; the next start takes up what runs")),
        failed = stand => failed,
    };
    let ended = floors.tear_down(&*clock).await;
    outcome.and(ended)
}

/// Everything, from the ground up. Dropped in the middle, it leaves floors that `tear_down` ends.
async fn build_all(
    base: &Base,
    start: Start,
    stop: (ShutdownTrigger, Shutdown),
    floors: &mut Floors,
) -> anyhow::Result<()> {
    let Base { config, clock, rng, components, progress, .. } = base;
    let began = clock.monotonic();

    // First, so that a start which takes long can be asked what it does, and stopped.
    let (tasks, shutdown) = floors.build_roof("control socket");
    let socket = ControlSocket::bind(&config.places.control_socket())?;
    let commands = Arc::new(Commands::new(config.clone(), components.clone(), progress.clone(), stop));
    tasks.spawn("control", until_told(shutdown.clone(), socket.run(commands.clone(), Arc::clone(clock), shutdown)));

    let step = progress.step("certificates");
    let (made_for, now) = (config.clone(), Arc::clone(clock));
    let pki = blocking(move || Pki::ensure(&made_for, &*now)).await.context("prepare the certificates")?;
    step.done(config.places.pki().display().to_string());

    let step = progress.step("store");
    let (tasks, shutdown) = floors.build("store");
    let has_cluster = config.places.has_cluster();
    // A store without a cluster around it came out of a backup that had nothing else: what it was made with is known when it
    // works, and wrong flags must not be what later starts have to repeat.
    let is_new = !has_cluster && !config.places.store().exists();
    let storage = corten_storage_sqlite::Config {
        must_exist: has_cluster,
        ..corten_storage_sqlite::Config::new(config.places.store())
    };
    let engine = SqliteEngine::open(storage, Arc::clone(clock), &tasks, &shutdown).await.context("open the store")?;
    let engine: Arc<dyn KvEngine> = Arc::new(engine);
    if is_new {
        // Before the first object depends on it.
        base.write_record().await?;
    }
    components.running("store", "sqlite");
    step.done("sqlite");

    let step = progress.step("API server");
    let control_plane =
        ControlPlane::build(api_server(config, &pki)?, Arc::clone(&engine), Arc::clone(clock), Arc::clone(rng))
            .await
            .context("start the API server")?;
    let address = control_plane.local_addr().context("read the API server's address")?;
    let local = config.local_server(address.port());
    let clients = Clients::new(&control_plane, &config.node_name);
    let api_server = control_plane.certificates();
    let statuses = control_plane.components();
    let made = control_plane.made();
    let (tasks, shutdown) = floors.build("kube-apiserver");
    tasks.spawn("api-server", until_told(shutdown.clone(), control_plane.run(shutdown)));
    let waiter = Waiter { client: clients.admin.clone(), clock: Arc::clone(clock), rng: Arc::clone(rng) };
    let made = readiness::within(&**clock, PATIENCE, made).await;
    made.context("the API server did not make the objects that every cluster has; its log says why")?;
    let admin = Entry::new(&config.places.name, local, &pki.authority, &pki.admin);
    let (path, text) = (config.places.admin_kubeconfig(), admin.to_text()?);
    blocking(move || Ok(fs::write_atomic(&path, text.as_bytes(), 0o600)?)).await?;
    let applied = readiness::within(&**clock, PATIENCE, addons::ensure_roles(&waiter)).await;
    applied.flatten().context("apply the roles of components")?;
    components.running("kube-apiserver", format!("https://{local}"));
    tracing::info!(address = %local, kubeconfig = %config.places.admin_kubeconfig().display(), "Started the API server");
    step.done(format!("https://{local}"));

    let step = progress.step("controllers");
    let (tasks, shutdown) = floors.build("kube-controller-manager");
    let parts = corten_controllers::Parts {
        clients: clients.controllers.clone(),
        manager: clients.controller_manager.clone(),
        informers: base.informers(&clients.controller_manager),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
    };
    let controllers =
        Controllers::build(controllers(config, &pki), parts, &shutdown).context("build the controllers")?;
    tasks.spawn("controllers", until_told(shutdown.clone(), controllers.run(shutdown)));
    components.running("kube-controller-manager", "");
    statuses.run_here("kube-controller-manager");
    step.done("");

    let step = progress.step("scheduler");
    let (tasks, shutdown) = floors.build("kube-scheduler");
    let scheduling = corten_scheduler::framework::Config::default();
    start_scheduler(&clients.scheduler, &scheduling, (clock, rng), &tasks, &shutdown, InitialList::List)?;
    components.running("kube-scheduler", "");
    statuses.run_here("kube-scheduler");
    step.done("");

    let parts = Parts { client: clients.admin.clone(), engine, port: address.port() };
    commands.cluster_runs(parts);
    let kubelet = match config.scope {
        Scope::Cluster => Some(build_node(base, &pki, &clients, start.images, floors, &commands).await?),
        Scope::ControlPlane => None,
    };

    if !is_new {
        // Ports that do not work are not remembered; nor is, of a cluster of an earlier version, a range that is not its own.
        base.write_record().await?;
    }
    let merge_kubeconfig = start.merge_kubeconfig;
    if merge_kubeconfig {
        let telling = progress.clone();
        blocking(move || {
            add_context(&admin, &telling);
            Ok(())
        })
        .await?;
    }
    let (tasks, shutdown) = floors.build("certificates");
    let renewal = Renewal { config: config.clone(), pki, local, api_server, kubelet, merge_kubeconfig };
    tasks.spawn("certificates", until_told(shutdown.clone(), renewal.run(Arc::clone(clock), shutdown)));
    progress.tell(Event::Ready(farewell(config, clock.monotonic().saturating_sub(began))));
    Ok(())
}

/// The node: what runs containers, and what leads to them. `commands` about images get the container runtime. Gives what
/// the kubelet's server shows.
async fn build_node(
    base: &Base,
    pki: &Pki,
    clients: &Clients,
    images: Vec<PathBuf>,
    floors: &mut Floors,
    commands: &Commands,
) -> anyhow::Result<ServerCertificate> {
    let Base { config, clock, rng, components, progress, .. } = base;

    let step = progress.step("container runtime");
    let (tasks, shutdown) = floors.build("container-runtime");
    let executable = std::env::current_exe().context("find this program's file")?;
    let host = Netns::current().context("open the network namespace")?;
    let (places, ours) = (config.places.clone(), Netns::current().context("open the network namespace")?);
    // Before anything changes them: the network of the first pod does.
    blocking(move || settings::remember(&places, &ours)).await.context("look at the machine's settings")?;
    // A node that is new gets its range from the controllers, and the kubelet tells the runtime.
    let runtime_config = corten_container_runtime::Config {
        reserved_ports: vec![config.listen.port(), config.kubelet_port],
        ..config.places.container_runtime(executable)
    };
    let runtime = ContainerRuntime::open(runtime_config, host, Arc::clone(clock), Arc::clone(rng), shutdown.clone())
        .await
        .context("open the container runtime")?;
    let ending = runtime.clone();
    tasks.spawn("container-runtime", async move {
        tokio::select! {
            biased;
            panic = ending.panicked() => std::panic::resume_unwind(Box::new(panic.to_string())),
            () = shutdown.requested() => {}
        }
        if let Err(panic) = ending.join().await {
            tracing::error!(err = %panic, "The container runtime ended with a panic");
        }
    });
    commands.runtime_runs(runtime.clone());
    components.running("container-runtime", "built in");
    step.done("built in");
    if !images.is_empty() {
        let step = progress.step("images");
        let imported = import_images(&runtime, images).await.map_err(anyhow::Error::msg)?;
        step.done(format!("{} imported", imported.len()));
    }

    let name = config.places.bridge();
    blocking(move || bridge::expect_ours(&name)).await?;

    let step = progress.step("kubelet");
    let (tasks, shutdown) = floors.build("kubelet");
    let parts = corten_kubelet::agent::Parts {
        config: kubelet::config(config),
        cri: runtime.cri(),
        client: clients.node.clone(),
        certificate: pki.kubelet.certificate.clone(),
        key: pki.kubelet.key.clone(),
        client_authorities: pki.authority.clone(),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
    };
    let agent = Agent::build(parts, &shutdown).await.context("start the kubelet")?;
    let (node, certificate) = (agent.node(), agent.certificate());
    tasks.spawn("kubelet", until_told(shutdown.clone(), agent.run(shutdown)));
    components.running("kubelet", format!("node {}", config.node_name));
    step.done(config.node_name.clone());

    let step = progress.step("node Ready");
    let ready = readiness::within(&**clock, PATIENCE, node.ready()).await;
    ready.with_context(|| kubelet::why_not_ready(&node))?;
    let waiter = Waiter { client: clients.node.clone(), clock: Arc::clone(clock), rng: Arc::clone(rng) };
    let given = readiness::within(&**clock, PATIENCE, kubelet::pod_cidr(&waiter, &config.node_name)).await;
    let pod_cidr = given.context("the controllers gave the node no range of pod addresses; the log says why")??;
    step.done(format!("pods in {pod_cidr}"));

    let name = config.places.bridge();
    blocking(move || bridge::ensure(&name, pod_cidr)).await.context("make the bridge of pods")?;

    let step = progress.step("proxy");
    let (tasks, shutdown) = floors.build("kube-proxy");
    let mode = start_proxy(base, &clients.proxy, &tasks, &shutdown)?;
    components.running("kube-proxy", mode);
    step.done(mode);

    let step = progress.step("DNS");
    let (tasks, shutdown) = floors.build(DNS_COMPONENT);
    start_dns(base, clients, bridge::gateway(pod_cidr), &tasks, &shutdown).await?;
    step.done(format!("{} for pods", config.dns_service_address()));
    Ok(certificate)
}

impl Base {
    async fn write_record(&self) -> anyhow::Result<()> {
        let (record, path) = (self.config.record(self.record.as_ref()), self.config.places.record());
        blocking(move || record.write(&path)).await.context("record what the cluster is made with")
    }

    /// Informers in this process: lists are vectors of shared objects.
    fn informers(&self, client: &Client) -> InformerFactory {
        InformerFactory::new(client.clone(), InitialList::List, Arc::clone(&self.clock), Arc::clone(&self.rng))
    }
}

/// The clients of the components, each under its own identity.
#[derive(Clone)]
struct Clients {
    admin: Client,
    controller_manager: Client,
    controllers: Arc<ControllerClients>,
    scheduler: Client,
    node: Client,
    proxy: Client,
    dns: Client,
}

impl Clients {
    fn new(control_plane: &ControlPlane, node_name: &str) -> Self {
        let component = |name: &str, manager: &str| control_plane.client(identity::component(name), manager);
        Self {
            admin: control_plane.client(identity::administrator(), "corten"),
            controller_manager: component("system:kube-controller-manager", "kube-controller-manager"),
            controllers: ControllerClients::new(control_plane),
            scheduler: component("system:kube-scheduler", "kube-scheduler"),
            node: control_plane.client(identity::node(node_name), "kubelet"),
            proxy: component("system:kube-proxy", "kube-proxy"),
            dns: control_plane.client(identity::service_account(addons::DNS_ACCOUNT), "coredns"),
        }
    }
}

fn api_server(config: &Config, pki: &Pki) -> anyhow::Result<corten_controlplane::Config> {
    Ok(corten_controlplane::Config {
        address: config.listen,
        advertise_address: SocketAddr::new(config.advertise, config.listen.port()),
        serving: pki.apiserver.clone(),
        client_authorities: pki.authority.clone(),
        service_accounts: ServiceAccounts {
            issuer: DEFAULT_ISSUER.to_owned(),
            signing_key: pki.service_account_key.clone(),
            further_keys: vec![pki.service_account_public_key.clone()],
            audiences: Vec::new(),
        },
        services: ServiceNetwork {
            cluster_ip_ranges: vec![IpNet::V4(config.service_cidr)],
            ..ServiceNetwork::default()
        },
        event_ttl: Duration::from_secs(3_600),
        compaction_interval: compactor::DEFAULT_INTERVAL,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        kubelet_client: Some(kubelet_client(config, pki)),
        limits: Limits::default(),
        feature_gates: FeatureGates::parse(&config.feature_gates).context("--feature-gates")?,
        runtime_config: RuntimeConfig::parse(&config.runtime_config).context("--runtime-config")?,
    })
}

/// How the API server shows itself to kubelets. The kubelet of this process has a certificate of this authority; those that
/// come to a control plane alone make their own, which upstream's API server believes unless it is told authorities.
pub(crate) fn kubelet_client(config: &Config, pki: &Pki) -> KubeletClient {
    let authorities = match config.scope {
        Scope::Cluster => Some(pki.authority.clone()),
        Scope::ControlPlane => None,
    };
    KubeletClient { pair: pki.apiserver_kubelet_client.clone(), authorities }
}

fn controllers(config: &Config, pki: &Pki) -> corten_controllers::Config {
    corten_controllers::Config {
        root_ca: pki.authority.clone(),
        signing: Some(SigningAuthority { certificate: pki.authority.clone(), key: pki.authority_key.clone() }),
        cluster_cidrs: vec![IpNet::V4(config.cluster_cidr)],
        node_cidr_mask_ipv4: config.node_prefix(),
        service_cidrs: vec![IpNet::V4(config.service_cidr)],
        advertise: Some(config.advertise),
        ..corten_controllers::Config::default()
    }
}

/// Starts a scheduler with its informers and its events.
pub(crate) fn start_scheduler(
    client: &Client,
    config: &corten_scheduler::framework::Config,
    (clock, rng): (&SharedClock, &SharedRng),
    tasks: &TaskSet,
    shutdown: &Shutdown,
    initial: InitialList,
) -> anyhow::Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let (recorder, queue) = Recorder::new("default-scheduler", host, Arc::clone(clock));
    let writer = EventWriter::new(client.clone(), queue, Arc::clone(clock), Arc::clone(rng));
    let cluster = ApiCluster::new(client.clone(), recorder, Arc::clone(clock));
    let (scheduler, inputs) = Scheduler::build(config, Arc::new(cluster), Arc::clone(clock), Arc::clone(rng))
        .context("build the scheduler")?;
    let informers = InformerFactory::new(client.clone(), initial, Arc::clone(clock), Arc::clone(rng));
    let profiles = config.profiles.iter().map(|profile| profile.scheduler_name.clone()).collect();
    let feed = Feed::new(&informers, profiles, inputs);
    informers.start(tasks, shutdown);
    tasks.spawn("scheduler-events", until_told(shutdown.clone(), writer.run(shutdown.clone())));
    tasks.spawn("scheduler-feed", until_told(shutdown.clone(), feed.run(shutdown.clone())));
    tasks.spawn("scheduler", until_told(shutdown.clone(), scheduler.run(shutdown.clone())));
    Ok(())
}

/// The proxy's configuration in a cluster of corten.
pub(crate) fn proxy_config(config: &Config) -> corten_proxy::Config {
    corten_proxy::Config {
        mode: config.proxy_mode,
        prefix: config.places.name.clone(),
        families: vec![corten_proxy::names::IpFamily::V4],
        cluster_cidrs: vec![IpNet::V4(config.cluster_cidr)],
        service_cidrs: vec![IpNet::V4(config.service_cidr)],
        ..corten_proxy::Config::new(config.node_name.clone())
    }
}

fn start_proxy(base: &Base, client: &Client, tasks: &TaskSet, shutdown: &Shutdown) -> anyhow::Result<&'static str> {
    run_proxy(&proxy_config(&base.config), base.informers(client), (&base.clock, &base.rng), tasks, shutdown)
}

/// Starts a proxy that `informers`, which nobody has started, tell of services; gives its mode.
pub(crate) fn run_proxy(
    config: &corten_proxy::Config,
    informers: InformerFactory,
    (clock, rng): (&SharedClock, &SharedRng),
    tasks: &TaskSet,
    shutdown: &Shutdown,
) -> anyhow::Result<&'static str> {
    let uses_nftables = match config.mode {
        ProxyMode::Nftables => true,
        ProxyMode::Userspace => false,
        ProxyMode::Auto => NftablesBackend::is_supported().context("ask the kernel for nftables")?,
    };
    let (mode, name) =
        if uses_nftables { (ProxyMode::Nftables, "nftables") } else { (ProxyMode::Userspace, "userspace") };
    let (config, inbox) = (corten_proxy::Config { mode, ..config.clone() }, Inbox::new());
    let proxy = Proxy::build(&config, inbox.clone(), Arc::clone(clock), Arc::clone(rng)).context("start the proxy")?;
    let health = HealthServers::new(&config, name, proxy.status(), Arc::clone(clock));
    proxy_feed::follow(&informers, &inbox);
    informers.start(tasks, shutdown);
    tasks.spawn("proxy-feed", proxy_feed::tell_synced(informers, inbox, shutdown.clone()));
    tasks.spawn("proxy-health", until_told(shutdown.clone(), health.run(shutdown.clone())));
    tasks.spawn("proxy", until_told(shutdown.clone(), proxy.run(shutdown.clone())));
    Ok(name)
}

/// Starts DNS at the gateway of this node's pods, and completes when it knows the cluster.
async fn start_dns(
    base: &Base,
    clients: &Clients,
    gateway: Ipv4Addr,
    tasks: &TaskSet,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let Base { config, clock, rng, components, .. } = base;
    let (count, process) = watch::channel(0);
    let (told, mut known) = watch::channel(0);
    let listen = SocketAddr::new(gateway.into(), 53);
    let (components, timing) = (components.clone(), (Arc::clone(clock), Arc::clone(rng)));
    let supervisor =
        DnsProcess::new(config.places.clone(), listen, CLUSTER_DOMAIN, components, timing.0.clone(), timing.1.clone())?;
    let informers = base.informers(&clients.dns);
    let feed = DnsFeed::new(&informers, config.places.dns_socket(), timing.0, timing.1);
    informers.start(tasks, shutdown);
    tasks.spawn("dns-supervisor", supervisor.run(count, shutdown.clone()));
    tasks.spawn("dns-feed", feed.run(process, told, shutdown.clone()));
    let waiter = Waiter { client: clients.admin.clone(), clock: Arc::clone(clock), rng: Arc::clone(rng) };
    let applied = readiness::within(&**clock, PATIENCE, addons::ensure_dns(&waiter, config, gateway)).await;
    applied.flatten().context("apply the service of DNS")?;
    let known = async {
        tokio::select! {
            biased;
            told = known.wait_for(|told| *told > 0) => told.map(drop).context("wait for DNS to know the cluster"),
            // It would be tried again; a start that does not come to its end has to say so now.
            why = base.components.until(DNS_COMPONENT, FAILED) => Err(anyhow::anyhow!("DNS does not start: {why}")),
        }
    };
    let known = readiness::within(&**clock, PATIENCE, known).await;
    known.with_context(|| why_no_dns(&base.components))?
}

/// What the supervisor of DNS last said.
fn why_no_dns(components: &Components) -> String {
    let said = components.list().into_iter().find(|one| one.name == DNS_COMPONENT);
    let said = said.map(|one| format!("{} {}", one.state, one.detail)).unwrap_or_default();
    format!("DNS does not answer: {said}")
}

/// Puts the context into the user's kubeconfig. A failure is said and ends nothing: the cluster runs.
fn add_context(admin: &Entry, progress: &Progress) {
    let merged = kubeconfig::find().and_then(|file| match file {
        Some(file) => file.add(admin).map(|()| format!("context {:?} in {}", admin.name, file.path.display())),
        None => anyhow::bail!("there is no home directory: name a file in KUBECONFIG"),
    });
    match merged {
        Ok(where_) => progress.step("kubeconfig").done(where_),
        Err(error) => {
            tracing::warn!(err = format!("{error:#}"), "Could not change the user's kubeconfig");
            progress.tell(Event::Note(format!("The kubeconfig was not changed: {error:#}")));
        }
    }
}

/// What to do with a cluster that is ready.
fn farewell(config: &Config, took: Duration) -> String {
    let (flag, corten) = (config.places.flag(), program::name());
    format!(
        "\nThe cluster is ready after {:.1} s. Next:\n\
         \x20 kubectl get nodes\n\
         \x20 {corten} status{flag}\n\
         \x20 {corten} down{flag}        stops it with its containers; its data stays\n\
         The administrator's kubeconfig is {}.",
        took.as_secs_f64(),
        config.places.admin_kubeconfig().display(),
    )
}
