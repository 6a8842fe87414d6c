//! A control plane without sockets, over a store in memory, for tests.

#[cfg(test)]
mod held;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use corten_apimachinery::{
    codec::{self, FieldValidation},
    resource::UserInfo,
    status::Status,
    value::Value,
};
use corten_apiserver::{
    Origin, Reply, Request, RequestInfo, Response, Server,
    admission::{Chain, Plugin},
    filters::Limits,
    registry::{Settings, Store},
    request::{Query, RequestBody},
    response::ListResponse,
};
use corten_base::{Clock as _, SharedClock, Shutdown, ShutdownTrigger, SimClock, SimRng, TaskSet};
use corten_client::{
    Client, PatchKind,
    events::{EventQueue, EventWriter, Recorder},
};
use corten_component_base::feature_gates::FeatureGates;
use corten_storage::{
    kv::{Change, Expected, KvEngine, Outcome, Write},
    memory::{MemoryEngine, MemoryStore},
    object,
};
use http::{HeaderMap, HeaderValue, Method, header};
use ipnet::IpNet;

use crate::{
    Components, KubeletClient, RuntimeConfig, ServiceAccounts, ServiceNetwork,
    access::Access,
    allocators::{Repair, ServiceHooks},
    authentication::service_account::{DEFAULT_ISSUER, new_key},
    bootstrap,
    control_plane::{Assembled, Surface, assemble, features_of},
    rest::kubelets::Kubelets,
};

#[cfg(test)]
pub(crate) use held::Hold;

/// A running control plane.
#[derive(Debug)]
pub struct Cluster {
    /// The server itself.
    pub server: Arc<Server>,
    /// Its time.
    pub clock: Arc<SimClock>,
    /// Which components run beside it.
    pub components: Components,
    engine: Arc<dyn KvEngine>,
    stores: Vec<Arc<Store>>,
    tasks: TaskSet,
    stop: ShutdownTrigger,
    shutdown: Shutdown,
    advertised: bootstrap::Advertised,
    service_ranges: Vec<IpNet>,
    services: ServiceHooks,
    kubelets: Arc<Kubelets>,
    /// What is stored, which outlives the control plane.
    store: MemoryStore,
}

/// What few tests want.
#[derive(Debug, Default)]
struct Special {
    /// A further admission plugin, behind all others.
    plugin: Option<Arc<dyn Plugin>>,
    runtime_config: RuntimeConfig,
    gates: FeatureGates,
    /// Holds writes and watches.
    #[cfg(test)]
    hold: Option<Hold>,
}

impl Special {
    /// The engine, some of whose writes and watches may be held.
    #[cfg(test)]
    fn engine(&self, engine: MemoryEngine, tasks: &TaskSet) -> Arc<dyn KvEngine> {
        match self.hold.clone() {
            Some(hold) => Arc::new(held::HeldEngine { engine: Arc::new(engine), hold, tasks: tasks.clone() }),
            None => Arc::new(engine),
        }
    }

    #[cfg(not(test))]
    fn engine(&self, engine: MemoryEngine, _tasks: &TaskSet) -> Arc<dyn KvEngine> {
        Arc::new(engine)
    }
}

impl Cluster {
    /// Starts one and waits until it has what every cluster has.
    pub async fn start() -> Self {
        Self::start_at(SimClock::new("2026-01-01T00:00:00Z".parse().unwrap())).await
    }

    /// Starts one on a clock of the caller's, and waits until it has what every cluster has.
    ///
    /// # Panics
    /// If the control plane cannot be built: a test is the only caller.
    pub async fn start_at(clock: Arc<SimClock>) -> Self {
        Self::start_with(clock, ServiceNetwork::default()).await
    }

    /// Starts one whose services have addresses and ports of the caller's.
    ///
    /// # Panics
    /// If the control plane cannot be built: a test is the only caller.
    pub async fn start_with(clock: Arc<SimClock>, services: ServiceNetwork) -> Self {
        Self::start_limited(clock, services, Limits::default()).await
    }

    /// Starts one that answers only so many requests at once.
    ///
    /// # Panics
    /// If the control plane cannot be built: a test is the only caller.
    pub async fn start_limited(clock: Arc<SimClock>, services: ServiceNetwork, limits: Limits) -> Self {
        Self::start_on(MemoryStore::default(), clock, services, limits, Special::default()).await
    }

    /// Starts one with a further admission plugin, behind all others.
    ///
    /// # Panics
    /// If the control plane cannot be built: a test is the only caller.
    pub async fn start_admitted(clock: Arc<SimClock>, plugin: Arc<dyn Plugin>) -> Self {
        let (services, limits) = (ServiceNetwork::default(), Limits::default());
        let special = Special { plugin: Some(plugin), ..Special::default() };
        Self::start_on(MemoryStore::default(), clock, services, limits, special).await
    }

    /// Starts one that serves what `runtime_config` says.
    #[cfg(test)]
    pub(crate) async fn start_switched(runtime_config: &str) -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (services, limits) = (ServiceNetwork::default(), Limits::default());
        let special = Special { runtime_config: RuntimeConfig::parse(runtime_config).unwrap(), ..Special::default() };
        Self::start_on(MemoryStore::default(), clock, services, limits, special).await
    }

    /// Starts one that serves all there is, with every feature gate on.
    #[cfg(test)]
    pub(crate) async fn start_with_all() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (services, limits) = (ServiceNetwork::default(), Limits::default());
        let runtime_config = RuntimeConfig::parse("api/all=true").unwrap();
        let gates = FeatureGates::parse("AllAlpha=true,AllBeta=true").unwrap();
        let special = Special { runtime_config, gates, ..Special::default() };
        Self::start_on(MemoryStore::default(), clock, services, limits, special).await
    }

    /// Starts one some of whose writes and watches are held.
    #[cfg(test)]
    pub(crate) async fn start_held(hold: &Hold) -> Self {
        Self::start_held_gated(hold, "").await
    }

    /// The same, with feature gates of the caller's.
    #[cfg(test)]
    pub(crate) async fn start_held_gated(hold: &Hold, gates: &str) -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (services, limits) = (ServiceNetwork::default(), Limits::default());
        let gates = FeatureGates::parse(gates).unwrap();
        let special = Special { hold: Some(hold.clone()), gates, ..Special::default() };
        Self::start_on(MemoryStore::default(), clock, services, limits, special).await
    }

    /// Starts one with feature gates of the caller's.
    ///
    /// # Panics
    /// If there are no such gates, or the control plane cannot be built: a test is the only caller.
    pub async fn start_gated(gates: &str) -> Self {
        Self::start_gated_switched(gates, "").await
    }

    /// The same, with a `--runtime-config`.
    pub(crate) async fn start_gated_switched(gates: &str, runtime_config: &str) -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (services, limits) = (ServiceNetwork::default(), Limits::default());
        let runtime_config = RuntimeConfig::parse(runtime_config).unwrap();
        let special = Special { gates: FeatureGates::parse(gates).unwrap(), runtime_config, ..Special::default() };
        Self::start_on(MemoryStore::default(), clock, services, limits, special).await
    }

    /// Ends this one and starts another over what it has stored.
    ///
    /// # Panics
    /// If one of the control plane's tasks has panicked, or another cannot be built.
    pub async fn restart(self) -> Self {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        self.stop().await;
        Self::start_on(store, clock, ServiceNetwork::default(), Limits::default(), Special::default()).await
    }

    async fn start_on(
        store: MemoryStore,
        clock: Arc<SimClock>,
        services: ServiceNetwork,
        limits: Limits,
        special: Special,
    ) -> Self {
        let shared: SharedClock = Arc::clone(&clock) as _;
        let rng = SimRng::shared(42);
        let (tasks, (stop, shutdown)) = (TaskSet::new("cluster"), Shutdown::new());
        let engine = MemoryEngine::open(&store, Arc::clone(&shared), &tasks, &shutdown);
        object::begin(&engine).await.unwrap();
        let (signing_key, _) = new_key().unwrap();
        let accounts = ServiceAccounts {
            issuer: DEFAULT_ISSUER.to_owned(),
            signing_key: signing_key.into(),
            further_keys: Vec::new(),
            audiences: Vec::new(),
        };
        let features = Arc::new(features_of(&special.gates));
        let access = Access::build(&accounts, None, (&shared, &rng), &features, &tasks).unwrap();
        let settings = Settings {
            engine: special.engine(engine, &tasks),
            clock: Arc::clone(&shared),
            rng,
            features,
            event_ttl: Duration::from_secs(3_600),
            past: Arc::default(),
            admission: match special.plugin {
                Some(plugin) => Arc::new(Chain::clone(&access.admission).with(plugin)),
                None => Arc::clone(&access.admission),
            },
            tasks: tasks.clone(),
        };
        let progress = bootstrap::Progress::default();
        let components = Components::default();
        let address = SocketAddr::from(([192, 0, 2, 1], 6443));
        let surface = Surface {
            access: &access,
            limits,
            runtime_config: &special.runtime_config,
            advertise_address: address,
            services: services.clone(),
            bootstrap: &progress,
            components: &components,
        };
        let Assembled { server, stores, custom, services: hooks } = assemble(&settings, surface);
        if let Some(custom) = custom {
            tasks.spawn("custom-resources", custom.run(shutdown.clone()));
        }
        for store in &stores {
            tasks.spawn("cacher", store.cacher().clone().run(shutdown.clone()));
        }
        let advertised = bootstrap::Advertised { cluster_ip: services.first_address(), address };
        let service_ranges = services.cluster_ip_ranges;
        let cluster = Self {
            server,
            clock,
            components,
            engine: settings.engine,
            stores,
            tasks,
            stop,
            shutdown,
            advertised,
            service_ranges,
            services: hooks,
            kubelets: Arc::clone(access.kubelets()),
            store,
        };
        for store in &cluster.stores {
            store.cacher().ready().await;
        }
        let client = cluster.client(admin());
        let (recorder, _) = cluster.recorder();
        let services = (&*cluster.service_ranges, &bootstrap::service_cidr::Reports::new(&recorder));
        bootstrap::ensure(&client, &shared, &progress, services, "").await.unwrap();
        // Tests that want the service `kubernetes`, or what is kept, say so.
        progress.complete(bootstrap::Step::KubernetesService);
        progress.complete(bootstrap::Step::ServiceRepair);
        cluster
    }

    /// A client under an identity, through the same chain as any other.
    #[must_use]
    pub fn client(&self, user: UserInfo) -> Client {
        Client::new(self.server.in_process(user), "test")
    }

    /// Makes what every cluster has and keeps it, as a real server does.
    pub fn keep_bootstrapped(&self) {
        self.keep_bootstrapped_telling(bootstrap::Progress::default());
    }

    /// The same, and tells of it.
    pub(crate) fn keep_bootstrapped_telling(&self, progress: bootstrap::Progress) {
        let (client, clock) = (self.client(admin()), Arc::clone(&self.clock) as SharedClock);
        let (recorder, events) = self.recorder();
        let writer = EventWriter::new(client.clone(), events, Arc::clone(&clock), SimRng::shared(44));
        self.tasks.spawn("events", writer.run(self.shutdown.clone()));
        let repair = Repair::new(&self.services, Arc::clone(&clock), &recorder);
        let keeper = bootstrap::run(
            client,
            (clock, SimRng::shared(43)),
            progress,
            self.advertised,
            bootstrap::Services { ranges: self.service_ranges.clone(), repair, recorder },
            String::new(),
            self.shutdown.clone(),
        );
        self.tasks.spawn("bootstrap", keeper);
    }

    /// What tells of events in this cluster's time, and what waits to be written.
    pub(crate) fn recorder(&self) -> (Recorder, EventQueue) {
        Recorder::new("kube-apiserver", "", Arc::clone(&self.clock) as SharedClock)
    }

    /// The hooks of services.
    #[cfg(test)]
    pub(crate) fn services(&self) -> &ServiceHooks {
        &self.services
    }

    /// Gives the certificate that is shown to kubelets.
    ///
    /// # Panics
    /// If it cannot be used.
    pub fn identify_to_kubelets(&self, client: &KubeletClient) {
        self.kubelets.identify(client).unwrap();
    }

    /// Ends all connections to kubelets; there are none afterwards.
    pub async fn end_kubelet_connections(&self) {
        self.kubelets.stop().await;
    }

    /// Forgets the store's history.
    ///
    /// # Panics
    /// If the store fails.
    pub async fn compact(&self) {
        let caches: Vec<_> = self.server.routes().stores().iter().map(|store| store.cacher().clone()).collect();
        let newest = self.engine.status().await.unwrap().revision;
        crate::compactor::compact(&*self.engine, &caches, Some(newest)).await.unwrap();
    }

    /// The newest revision of the store.
    ///
    /// # Panics
    /// If the store fails.
    pub async fn revision(&self) -> u64 {
        self.engine.status().await.unwrap().revision
    }

    /// Writes the stored object under `key` once more, past the server: its caches do not know of it yet when this returns.
    /// Gives the revision.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn overtake(&self, key: &str) -> u64 {
        self.rewrite(key, |_| {}).await
    }

    /// The same of an object that was changed, as another release or another server has it.
    ///
    /// # Panics
    /// As `overtake`; if the object is not stored in JSON.
    pub async fn rewrite(&self, key: &str, change: impl FnOnce(&mut serde_json::Value)) -> u64 {
        let kv = self.engine.get(key.as_bytes(), None).await.unwrap().kv.unwrap();
        let mut object: serde_json::Value = serde_json::from_slice(&kv.value).unwrap();
        change(&mut object);
        let change = Change::Put { value: object.to_string().into(), expires_at: None };
        let write = Write { key: kv.key, expected: Expected::ModRevision(kv.mod_revision), change };
        match self.engine.commit(vec![write]).await.unwrap()[..] {
            [Outcome::Done { revision }] => revision,
            ref other => panic!("{other:?}"),
        }
    }

    /// Stores bytes under `key`, where nothing is, past the server. Gives the revision.
    ///
    /// # Panics
    /// If something is there.
    pub async fn plant(&self, key: &'static str, value: impl Into<bytes::Bytes>) -> u64 {
        self.plant_over(key, value, Expected::Absent).await
    }

    /// Stores bytes past the API in the place of what is expected there.
    ///
    /// # Panics
    /// If something else is there.
    pub async fn plant_over(&self, key: &'static str, value: impl Into<bytes::Bytes>, expected: Expected) -> u64 {
        let change = Change::Put { value: value.into(), expires_at: None };
        let write = Write { key: key.into(), expected, change };
        match self.engine.commit(vec![write]).await.unwrap()[..] {
            [Outcome::Done { revision }] => revision,
            ref other => panic!("{other:?}"),
        }
    }

    /// The failure that a read of a path as `user` ends with, as it is sent.
    ///
    /// # Panics
    /// If it succeeds.
    pub async fn failure(&self, path: &str, user: UserInfo) -> Value {
        let reply = self.reply(Method::GET, path, Origin::InProcess, user, HeaderMap::new(), None).await;
        match reply.response {
            Response::Tree { code, tree } if !code.is_success() => tree,
            other => panic!("unexpected answer {other:?}"),
        }
    }

    /// Begins a watch as an administrator, which is read by the caller.
    ///
    /// # Panics
    /// If the answer is another one.
    #[cfg(test)]
    pub(crate) async fn watch(&self, path: &str) -> Box<corten_apiserver::endpoints::watch::WatchSource> {
        match self.reply(Method::GET, path, Origin::InProcess, admin(), HeaderMap::new(), None).await.response {
            Response::Watch(source) => source,
            other => panic!("unexpected answer {other:?}"),
        }
    }

    /// Ends everything.
    ///
    /// # Panics
    /// If one of the control plane's tasks has panicked.
    pub async fn stop(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }

    /// Makes `object` as `user`: at the path that the collection has, which may be that of a subresource.
    pub async fn post(
        &self,
        user: UserInfo,
        path: impl AsRef<str>,
        object: serde_json::Value,
    ) -> Result<Value, Status> {
        self.answer(Method::POST, path.as_ref(), Origin::InProcess, user, HeaderMap::new(), Some(object)).await
    }

    /// Makes a pod with one container in `default`, with the account that it runs as.
    pub async fn make_pod(&self, name: &str) -> Value {
        let account = serde_json::json!({"metadata": {"name": "default"}});
        match self.post(admin(), "/api/v1/namespaces/default/serviceaccounts", account).await {
            Err(status) if status.is_already_exists() => {}
            made => drop(made.unwrap()),
        }
        let pod = serde_json::json!({
            "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        self.post(admin(), "/api/v1/namespaces/default/pods", pod).await.unwrap()
    }

    /// Reads a path as `user`.
    pub async fn get(&self, user: UserInfo, path: &str) -> Result<Value, Status> {
        self.answer(Method::GET, path, Origin::InProcess, user, HeaderMap::new(), None).await
    }

    /// Reads a page of a collection as `user`.
    ///
    /// # Panics
    /// If there is no such page.
    pub async fn page(&self, user: UserInfo, path: &str) -> ListResponse {
        match self.reply(Method::GET, path, Origin::InProcess, user, HeaderMap::new(), None).await.response {
            Response::List(page) => page,
            other => panic!("unexpected answer {other:?}"),
        }
    }

    /// Replaces the object at a path as `user`.
    pub async fn put(&self, user: UserInfo, path: &str, object: serde_json::Value) -> Result<Value, Status> {
        self.answer(Method::PUT, path, Origin::InProcess, user, HeaderMap::new(), Some(object)).await
    }

    /// Changes the object at a path as `user`, by a patch of a kind.
    pub async fn patch(
        &self,
        user: UserInfo,
        path: &str,
        kind: PatchKind,
        patch: serde_json::Value,
    ) -> Result<Value, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
        self.answer(Method::PATCH, path, Origin::InProcess, user, headers, Some(patch)).await
    }

    /// Deletes a path as `user`.
    pub async fn delete(&self, user: UserInfo, path: &str) -> Result<Value, Status> {
        self.answer(Method::DELETE, path, Origin::InProcess, user, HeaderMap::new(), None).await
    }

    /// Deletes a path as `user`, with options.
    pub async fn delete_with(&self, user: UserInfo, path: &str, options: serde_json::Value) -> Result<Value, Status> {
        self.answer(Method::DELETE, path, Origin::InProcess, user, HeaderMap::new(), Some(options)).await
    }

    /// Asks with a method and without a body.
    pub async fn ask(&self, method: Method, path: &str, user: UserInfo) -> Result<Value, Status> {
        self.answer(method, path, Origin::InProcess, user, HeaderMap::new(), None).await
    }

    /// The code of the answer.
    pub async fn code(&self, method: Method, path: &str, user: UserInfo) -> u16 {
        self.reply(method, path, Origin::InProcess, user, HeaderMap::new(), None).await.response.code().as_u16()
    }

    /// Asks as somebody outside, who has `token` or nothing.
    pub async fn outside(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        object: Option<serde_json::Value>,
    ) -> Result<Value, Status> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            headers.insert(header::AUTHORIZATION, value);
        }
        let origin =
            Origin::Connection { peer: SocketAddr::from(([192, 0, 2, 9], 40_000)), certificates: Arc::default() };
        self.answer(method, path, origin, UserInfo::default(), headers, object).await
    }

    /// The advice that goes with the answer to a read of a path as `user`.
    pub async fn warnings(&self, user: UserInfo, path: &str) -> Vec<String> {
        self.reply(Method::GET, path, Origin::InProcess, user, HeaderMap::new(), None).await.warnings
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        origin: Origin,
        user: UserInfo,
        headers: HeaderMap,
        object: Option<serde_json::Value>,
    ) -> Result<Value, Status> {
        value_of(self.reply(method, path, origin, user, headers, object).await)
    }

    async fn reply(
        &self,
        method: Method,
        path: &str,
        origin: Origin,
        user: UserInfo,
        headers: HeaderMap,
        object: Option<serde_json::Value>,
    ) -> Reply {
        // Authorizers and authenticators look at what the caches have at hand; tests want to see what they did.
        for store in &self.stores {
            store.cacher().consistent().await.unwrap();
        }
        self.reply_at_once(method, path, origin, user, headers, object).await
    }

    /// Says that a write past the API at `revision` is known to have happened, as the API says of its own.
    #[cfg(test)]
    pub(crate) fn acknowledge(&self, plural: &str, revision: u64) {
        let of_core = |store: &&Arc<Store>| (&*store.resource().group, &*store.resource().plural) == ("", plural);
        self.stores.iter().find(of_core).expect("it is served").cacher().acknowledge(revision);
    }

    /// Asks as an administrator, whatever the caches have heard of.
    #[cfg(test)]
    pub(crate) async fn at_once(
        &self,
        method: Method,
        path: &str,
        kind: Option<PatchKind>,
        object: serde_json::Value,
    ) -> Result<Value, Status> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
        }
        value_of(self.reply_at_once(method, path, Origin::InProcess, admin(), headers, Some(object)).await)
    }

    async fn reply_at_once(
        &self,
        method: Method,
        path: &str,
        origin: Origin,
        user: UserInfo,
        headers: HeaderMap,
        object: Option<serde_json::Value>,
    ) -> Reply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = Query::parse(query);
        let info = RequestInfo::parse(&method, path, &query);
        let body = object.map_or(RequestBody::Empty, |object| RequestBody::Bytes(object.to_string().into()));
        let request = Request {
            method,
            path: path.to_owned(),
            query,
            headers,
            body,
            origin,
            upgrade: None,
            received: self.clock.now(),
            info,
            user,
        };
        self.server.handle(Box::new(request)).await
    }
}

fn value_of(reply: Reply) -> Result<Value, Status> {
    match reply.response {
        Response::Object { object, .. } => Ok(value(&object.json)),
        Response::Tree { code, tree } if code.is_success() => Ok(tree),
        Response::Tree { tree, .. } => Err(Status::from_value(&tree)),
        Response::Made(made) => Ok(made.into_tree()),
        Response::List(list) => Ok(Value::Int(list.items.len() as i64)),
        Response::EndedWatch(status) => {
            Ok(Value::object_of([("type", Value::from("ERROR")), ("object", status.to_value())]))
        }
        Response::Raw { code, body, .. } if code.is_success() => {
            Ok(Value::from(String::from_utf8(body.into()).unwrap()))
        }
        Response::Raw { code, body, .. } => {
            let message = String::from_utf8(body.into()).unwrap();
            Err(Status::from_value(&tree(serde_json::json!({"code": code.as_u16(), "message": message}))))
        }
        other => panic!("unexpected answer {other:?}"),
    }
}

/// JSON bytes as a tree.
pub fn value(json: &bytes::Bytes) -> Value {
    codec::json::decode(json, None, FieldValidation::Ignore).unwrap().value
}

/// `json!` as a tree.
pub fn tree(json: serde_json::Value) -> Value {
    value(&json.to_string().into())
}

/// A cluster administrator.
#[must_use]
pub fn admin() -> UserInfo {
    user("kubernetes-admin", &["system:masters", "system:authenticated"])
}

/// A user.
#[must_use]
pub fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect(), ..UserInfo::default() }
}

/// What a request for a resource means.
pub fn request(method: &Method, path: &str) -> RequestInfo {
    RequestInfo::parse(method, path, &Query::default())
}
