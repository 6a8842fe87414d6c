//! The control plane's API server, from configuration to running.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use corten_api::{descriptions::descriptions, types};
use corten_apimachinery::{
    Features,
    resource::{Resource, UserInfo, Verb, Version},
    type_table::TypeTable,
};
use corten_apiserver::{
    Server,
    authentication::{self, X509},
    authorization::own_identity,
    customresources::{self, BuiltIn, CustomResources},
    discovery,
    endpoints::{RoutesBuilder, index},
    filters::Limits,
    openapi,
    registry::{Hooks, ResourceCodec, Settings, Store},
    server::Parts,
};
use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{
    Client,
    events::{EventWriter, Recorder},
};
use corten_component_base::{
    certificates::KeyPairPem,
    feature_gates::FeatureGates,
    serving::{BadCertificate, ClientCertificate, ServerCertificate, TlsListener, server_config},
};
use corten_resources::{catalog::RESOURCES, core::service, networking::ip_address};
use corten_storage::{
    kv::{KvEngine, KvError},
    object,
};
use ipnet::IpNet;

use crate::{
    RuntimeConfig, ServiceAccounts, ServiceNetwork,
    access::Access,
    allocators::{Repair, ServiceHooks},
    authentication::service_account::KeyError,
    bootstrap, compactor, health, metrics,
    rest::{
        component_status::{self, Components},
        kubelets::{BadKubeletClient, KubeletClient, Kubelets},
    },
    version,
};

/// What an API server needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// The address that clients inside the cluster are told.
    pub advertise_address: SocketAddr,
    /// The certificate to serve with.
    pub serving: KeyPairPem,
    /// The authorities of client certificates, PEM.
    pub client_authorities: String,
    /// How tokens of service accounts are made and known.
    pub service_accounts: ServiceAccounts,
    /// The addresses and ports that services get.
    pub services: ServiceNetwork,
    /// How long events are kept. Upstream: `--event-ttl`.
    pub event_ttl: Duration,
    /// How often the store's history is forgotten; never for zero. Upstream: `--etcd-compaction-interval`.
    pub compaction_interval: Duration,
    /// The name of this machine, by which the server's lease is known. Servers on machines of one name share a lease, which
    /// harms nobody.
    pub host: String,
    /// How to reach kubelets; without it, no exec, attach, port forwarding and logs.
    pub kubelet_client: Option<KubeletClient>,
    /// How many requests may run at once.
    pub limits: Limits,
    /// Which optional features are on. Upstream: `--feature-gates`.
    pub feature_gates: FeatureGates,
    /// Which versions and resources are served. Upstream: `--runtime-config`.
    pub runtime_config: RuntimeConfig,
}

/// An API server ready to run.
#[derive(Debug)]
pub struct ControlPlane {
    server: Arc<Server>,
    listener: TlsListener,
    serving: ServerCertificate,
    kubelets: Arc<Kubelets>,
    components: Components,
    stores: Vec<Arc<Store>>,
    custom: Option<CustomResources>,
    services: ServiceHooks,
    engine: Arc<dyn KvEngine>,
    compaction_interval: Duration,
    bootstrap: bootstrap::Progress,
    advertised: bootstrap::Advertised,
    service_ranges: Vec<IpNet>,
    client_authorities: String,
    /// By which other servers know this one; none with its gate off.
    identity: Option<bootstrap::identity_lease::Identity>,
    rng: SharedRng,
    /// Writes that are seen to their end whoever waits for them.
    writes: TaskSet,
}

/// The certificates that an API server shows, to be exchanged while it runs.
#[derive(Debug, Clone)]
pub struct Certificates {
    serving: ServerCertificate,
    kubelets: Arc<Kubelets>,
}

impl Certificates {
    /// Exchanges them: new connections get the new ones.
    ///
    /// Errors: one of them is unusable; those behind it stay as they are.
    pub fn replace(&self, serving: &KeyPairPem, kubelet_client: &KubeletClient) -> Result<(), BuildError> {
        self.serving.replace(&serving.certificate, &serving.key)?;
        self.kubelets.identify(kubelet_client)?;
        Ok(())
    }
}

/// Why an API server cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store does not take its first write.
    #[error("begin the store")]
    Store(#[from] KvError),
    /// The serving certificate is unusable.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The client authorities are unusable.
    #[error(transparent)]
    Authority(#[from] authentication::BadAuthority),
    /// The certificate for kubelets is unusable.
    #[error(transparent)]
    KubeletClient(#[from] BadKubeletClient),
    /// A key for tokens of service accounts is unusable.
    #[error(transparent)]
    ServiceAccountKey(#[from] KeyError),
}

impl ControlPlane {
    /// Builds the server on `engine` and binds its socket, so that a taken address is an error now and not later.
    pub async fn build(
        config: Config,
        engine: Arc<dyn KvEngine>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<Self, BuildError> {
        let x509 = X509::new(config.client_authorities.as_bytes(), Arc::clone(&clock))?;
        let writes = TaskSet::new("writes");
        let features = Arc::new(features_of(&config.feature_gates));
        let access = Access::build(&config.service_accounts, Some(x509), (&clock, &rng), &features, &writes)?;
        if let Some(client) = &config.kubelet_client {
            access.kubelets().identify(client)?;
        }
        object::begin(&*engine).await?;
        let has_identity = config.feature_gates.is_enabled("APIServerIdentity");
        let identity = has_identity.then(|| bootstrap::identity_lease::Identity::starting(&config.host, &*rng));
        let settings = Settings {
            engine,
            clock,
            rng: Arc::clone(&rng),
            features,
            event_ttl: config.event_ttl,
            past: Arc::default(),
            admission: Arc::clone(&access.admission),
            tasks: writes.clone(),
        };
        let bootstrap = bootstrap::Progress::default();
        let components = Components::default();
        let cluster_ip = config.services.first_address();
        let service_ranges = config.services.cluster_ip_ranges.clone();
        let parts = Surface {
            access: &access,
            limits: config.limits,
            runtime_config: &config.runtime_config,
            advertise_address: config.advertise_address,
            services: config.services,
            bootstrap: &bootstrap,
            components: &components,
        };
        let Assembled { server, stores, custom, services } = assemble(&settings, parts);
        let serving = ServerCertificate::new(&config.serving.certificate, &config.serving.key)?;
        let tls = server_config(serving.clone(), ClientCertificate::Any)?;
        let listener = TlsListener::bind(config.address, tls)
            .await
            .map_err(|source| BuildError::Listen { address: config.address, source })?;
        let mut address = config.advertise_address;
        if address.port() == 0 {
            let bound = listener.local_addr();
            let bound = bound.map_err(|source| BuildError::Listen { address: config.address, source })?;
            address.set_port(bound.port());
        }
        let advertised = bootstrap::Advertised { cluster_ip, address };
        let kubelets = Arc::clone(access.kubelets());
        Ok(Self {
            server,
            listener,
            serving,
            kubelets,
            components,
            stores,
            custom,
            services,
            engine: settings.engine,
            compaction_interval: config.compaction_interval,
            bootstrap,
            advertised,
            service_ranges,
            client_authorities: config.client_authorities,
            identity,
            rng,
            writes,
        })
    }

    /// The address that is listened on: with the port that the system chose if none was asked for.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it takes to renew its certificates.
    #[must_use]
    pub fn certificates(&self) -> Certificates {
        Certificates { serving: self.serving.clone(), kubelets: Arc::clone(&self.kubelets) }
    }

    /// Completes once the server that runs has made what components begin with: namespaces, roles and priorities, as far as
    /// they are served. Cancel-safe.
    pub fn made(&self) -> impl Future<Output = ()> + use<> {
        let progress = self.bootstrap.clone();
        // Namespaces and roles are made before these.
        async move { progress.until(bootstrap::Step::PriorityClasses).await }
    }

    /// Where to say which components of the control plane run in this process.
    #[must_use]
    pub fn components(&self) -> Components {
        self.components.clone()
    }

    /// A client in this process under the identity `user`, through the same chain as any other.
    #[must_use]
    pub fn client(&self, user: UserInfo, field_manager: &str) -> Client {
        Client::new(self.server.in_process(user), field_manager)
    }

    /// Completes once every resource has been read from the store. Cancel-safe.
    pub async fn synced(&self) {
        for store in &self.stores {
            store.cacher().ready().await;
        }
    }

    /// Serves until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let tasks = TaskSet::new("control-plane");
        // The caches end after the server: its last requests still read from them.
        let (stop_caches, caches_shutdown) = Shutdown::new();
        for store in &self.stores {
            tasks.spawn("cacher", store.cacher().clone().run(caches_shutdown.clone()));
        }
        if let Some(custom) = self.custom.take() {
            tasks.spawn("custom-resources", custom.run(caches_shutdown.clone()));
        }
        let server = Arc::clone(&self.server);
        let caches = move || server.routes().stores().iter().map(|store| store.cacher().clone()).collect();
        let (interval, clock) = (self.compaction_interval, Arc::clone(self.server.clock()));
        tasks.spawn("compactor", compactor::run(Arc::clone(&self.engine), caches, interval, clock, shutdown.clone()));
        let client = self.client(own_identity(), "kube-apiserver");
        let clock = Arc::clone(self.server.clock());
        if let Some(identity) = self.identity {
            let lease = bootstrap::identity_lease::run(client.clone(), Arc::clone(&clock), identity, shutdown.clone());
            tasks.spawn("identity-lease", lease);
        }
        let (recorder, events) = Recorder::new("kube-apiserver", "", Arc::clone(&clock));
        let writer = EventWriter::new(client.clone(), events, Arc::clone(&clock), Arc::clone(&self.rng));
        tasks.spawn("events", writer.run(shutdown.clone()));
        let services = bootstrap::Services {
            ranges: self.service_ranges,
            repair: Repair::new(&self.services, Arc::clone(&clock), &recorder),
            recorder,
        };
        let progress = self.bootstrap.clone();
        let (advertised, authorities) = (self.advertised, self.client_authorities);
        let bootstrap =
            bootstrap::run(client, (clock, self.rng), progress, advertised, services, authorities, shutdown.clone());
        tasks.spawn("bootstrap", bootstrap);
        tasks.guard(self.server.serve(self.listener, shutdown)).await;
        self.kubelets.stop().await;
        if let Err(panic) = self.writes.join().await {
            tracing::error!(err = %panic, "A write's task panicked");
        }
        stop_caches.request();
        if let Err(panic) = tasks.join().await {
            tracing::error!(err = %panic, "Control plane task panicked");
        }
    }
}

/// The gates in the form that rules ask.
pub(crate) fn features_of(gates: &FeatureGates) -> Features {
    Features::new(gates.iter().map(|(gate, enabled)| (gate.name, enabled)))
}

/// What a server is made of besides its storage.
#[derive(Debug)]
pub(crate) struct Surface<'a> {
    pub(crate) access: &'a Access,
    pub(crate) limits: Limits,
    pub(crate) runtime_config: &'a RuntimeConfig,
    pub(crate) advertise_address: SocketAddr,
    pub(crate) services: ServiceNetwork,
    pub(crate) bootstrap: &'a bootstrap::Progress,
    pub(crate) components: &'a Components,
}

/// A server and what is behind it.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) server: Arc<Server>,
    /// The stores of its built-in resources.
    pub(crate) stores: Vec<Arc<Store>>,
    /// What serves custom resources; none if their definitions are not served.
    pub(crate) custom: Option<CustomResources>,
    /// The addresses and node ports of services.
    pub(crate) services: ServiceHooks,
}

/// The server with all it serves, and the stores behind it.
pub(crate) fn assemble(settings: &Settings, surface: Surface<'_>) -> Assembled {
    let Surface { access, limits, runtime_config, advertise_address, services, bootstrap, components } = surface;
    let table = types::table();
    let server = Server::new(Parts {
        table,
        features: Arc::clone(&settings.features),
        clock: Arc::clone(&settings.clock),
        rng: Arc::clone(&settings.rng),
        authenticator: Arc::clone(&access.authenticator),
        authorizer: Arc::clone(&access.authorizer),
        limits,
        tasks: settings.tasks.clone(),
    });
    let mut routes = RoutesBuilder::default();
    let mut stores: Vec<Arc<Store>> = Vec::new();
    let caches = Arc::clone(access.caches());
    let services = ServiceHooks::new(caches, settings, &services);
    let resources = served(table, &settings.features, runtime_config);
    for resource in &resources {
        let is_services = resource.group.is_empty() && resource.plural == service::RESOURCE.plural;
        let hooks = is_services.then(|| Arc::new(services.clone()) as Arc<dyn Hooks>);
        let store = store_of(resource, &mut stores, settings, hooks);
        routes.resource(resource, store.as_ref());
    }
    // Who has which address is decided by these objects, whether clients see them or not.
    let addresses = &ip_address::RESOURCE;
    if !resources.iter().any(|known| known.group == addresses.group && known.plural == addresses.plural) {
        let unseen = Arc::new(Resource::built_in(addresses, None, table, |_| false));
        store_of(&unseen, &mut stores, settings, None);
    }
    services.fill(&stores);
    let source = openapi::Source {
        table,
        descriptions: || Box::new(descriptions()),
        version: version::GIT_VERSION,
        cbor: settings.features.is_enabled("CBORServingAndStorage"),
        enums: settings.features.is_enabled("OpenAPIEnums"),
    };
    let openapi = openapi::OpenApi::new(source);
    access.install(&mut routes, &stores, &advertise_address.to_string());
    component_status::install(&mut routes, &settings.engine, access.caches(), components);
    version::install(&mut routes);
    index::install(&mut routes);
    let slis = Arc::default();
    health::install(&mut routes, &settings.engine, &stores, bootstrap, &slis);
    metrics::install_slis(&mut routes, &slis);
    server.observe(metrics::install(&mut routes, &settings.engine, &services, &settings.past));
    let has_hashes = settings.features.is_enabled("StorageVersionHash");
    let discovery = discovery::Discovery::new(table, advertise_address.to_string(), has_hashes);
    let prefixes = RESOURCES.iter().map(|definition| definition.storage_prefix);
    let built_in = BuiltIn::new(resources.iter().map(|resource| &**resource), prefixes);
    let make_routes = move |custom: &[(Arc<Resource>, Arc<Store>)]| {
        let (mut routes, mut resources) = (routes.clone(), resources.clone());
        for (resource, store) in custom {
            routes.resource(resource, Some(store));
            resources.push(Arc::clone(resource));
        }
        let groups = discovery::documents(&resources);
        discovery.install(&mut routes, &groups);
        openapi.install(&mut routes, &groups);
        routes.build()
    };
    server.set_routes(make_routes(&[]));
    let (group, plural) = customresources::DEFINITIONS;
    let definitions = server.routes().store(group, plural).cloned();
    let custom = definitions.map(|definitions| {
        CustomResources::new(
            Arc::clone(&server),
            definitions,
            settings.clone(),
            (table, built_in),
            Arc::new(make_routes),
        )
    });
    Assembled { server, stores, custom, services }
}

/// The resources of which some version is served.
fn served(table: &'static TypeTable, features: &Features, config: &RuntimeConfig) -> Vec<Arc<Resource>> {
    let mut resources: Vec<Arc<Resource>> = Vec::new();
    for definition in RESOURCES.iter().copied() {
        let is_served = |version: &Version| config.serves(features, definition, version);
        if !definition.versions.iter().any(is_served) {
            continue;
        }
        let stored_as = definition.stored_as.map(|stored| {
            let is_it = |known: &&Arc<Resource>| known.group == stored.group && known.plural == stored.plural;
            let known = resources.iter().find(is_it).cloned();
            known.unwrap_or_else(|| Arc::new(Resource::built_in(stored, None, table, |_| false)))
        });
        resources.push(Arc::new(Resource::built_in(definition, stored_as, table, is_served)));
    }
    resources
}

/// The store of a resource; the one of another group where two groups show the same objects; none for what is not stored.
fn store_of(
    resource: &Arc<Resource>,
    stores: &mut Vec<Arc<Store>>,
    settings: &Settings,
    hooks: Option<Arc<dyn Hooks>>,
) -> Option<Arc<Store>> {
    // What is answered and not stored cannot be followed.
    if !resource.verbs.contains(&Verb::Watch) {
        return None;
    }
    let stored = resource.stored_as.as_ref().unwrap_or(resource);
    if let Some(store) = stores.iter().find(|store| Arc::ptr_eq(store.resource(), stored)) {
        return Some(Arc::clone(store));
    }
    let codec = Arc::new(ResourceCodec::new(Arc::clone(stored)));
    let store = Arc::new(Store::new(codec, settings.clone(), hooks));
    stores.push(Arc::clone(&store));
    Some(store)
}
