//! A control plane without sockets, over a store in memory, for tests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use corten_apimachinery::{
    codec::{self, FieldValidation},
    resource::UserInfo,
    status::Status,
    value::Value,
};
use corten_apiserver::{
    Origin, Reply, Request, RequestInfo, Response, Server,
    filters::Limits,
    registry::{Settings, Store},
    request::{Query, RequestBody},
};
use corten_base::{Clock as _, SharedClock, Shutdown, ShutdownTrigger, SimClock, SimRng, TaskSet};
use corten_client::Client;
use corten_storage::memory::{MemoryEngine, MemoryStore};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    ServiceAccounts,
    access::Access,
    authentication::service_account::{DEFAULT_ISSUER, new_key},
    bootstrap,
    control_plane::assemble,
};

/// A running control plane.
pub(crate) struct Cluster {
    pub(crate) server: Arc<Server>,
    pub(crate) clock: Arc<SimClock>,
    stores: Vec<Arc<Store>>,
    tasks: TaskSet,
    stop: ShutdownTrigger,
}

impl Cluster {
    /// Starts one and waits until it has what every cluster has.
    pub(crate) async fn start() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let shared: SharedClock = Arc::clone(&clock) as _;
        let rng = SimRng::shared(42);
        let (tasks, (stop, shutdown)) = (TaskSet::new("cluster"), Shutdown::new());
        let engine = MemoryEngine::open(&MemoryStore::default(), Arc::clone(&shared), &tasks, &shutdown);
        let (signing_key, _) = new_key().unwrap();
        let accounts = ServiceAccounts {
            issuer: DEFAULT_ISSUER.to_owned(),
            signing_key,
            further_keys: Vec::new(),
            audiences: Vec::new(),
        };
        let access = Access::build(&accounts, None, &shared, &rng).unwrap();
        let settings = Settings {
            engine: Arc::new(engine),
            clock: Arc::clone(&shared),
            rng,
            feature_enabled: |_| false,
            event_ttl: Duration::from_secs(3_600),
            admission: Arc::clone(&access.admission),
        };
        let progress = bootstrap::Progress::default();
        let address = SocketAddr::from(([192, 0, 2, 1], 6443));
        let (server, stores) = assemble(&settings, &access, Limits::default(), address, &progress);
        for store in &stores {
            tasks.spawn("cacher", store.cacher().clone().run(shutdown.clone()));
        }
        let cluster = Self { server, clock, stores, tasks, stop };
        for store in &cluster.stores {
            store.cacher().ready().await;
        }
        bootstrap::ensure(&cluster.client(admin())).await.unwrap();
        progress.complete();
        cluster
    }

    pub(crate) fn client(&self, user: UserInfo) -> Client {
        Client::new(self.server.in_process(user), "test")
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }

    /// Makes `object` as `user`: at the path that the collection has, which may be that of a subresource.
    pub(crate) async fn post(
        &self,
        user: UserInfo,
        path: impl AsRef<str>,
        object: serde_json::Value,
    ) -> Result<Value, Status> {
        self.answer(Method::POST, path.as_ref(), Origin::InProcess, user, HeaderMap::new(), Some(object)).await
    }

    pub(crate) async fn get(&self, user: UserInfo, path: &str) -> Result<Value, Status> {
        self.answer(Method::GET, path, Origin::InProcess, user, HeaderMap::new(), None).await
    }

    pub(crate) async fn delete(&self, user: UserInfo, path: &str) -> Result<Value, Status> {
        self.answer(Method::DELETE, path, Origin::InProcess, user, HeaderMap::new(), None).await
    }

    /// Asks as somebody outside, who has `token` or nothing.
    pub(crate) async fn outside(
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

    async fn answer(
        &self,
        method: Method,
        path: &str,
        origin: Origin,
        user: UserInfo,
        headers: HeaderMap,
        object: Option<serde_json::Value>,
    ) -> Result<Value, Status> {
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
        value_of(self.server.handle(request).await)
    }
}

fn value_of(reply: Reply) -> Result<Value, Status> {
    match reply.response {
        Response::Object { object, .. } => Ok(value(&object.json)),
        Response::Tree { code, tree } if code.is_success() => Ok(tree),
        Response::Tree { tree, .. } => Err(Status::from_value(&tree)),
        Response::List(list) => Ok(Value::Int(list.items.len() as i64)),
        Response::Raw { code, body, .. } if code.is_success() => {
            Ok(Value::from(String::from_utf8(body.into()).unwrap()))
        }
        other => panic!("unexpected answer {other:?}"),
    }
}

/// JSON bytes as a tree.
pub(crate) fn value(json: &bytes::Bytes) -> Value {
    codec::json::decode(json, None, FieldValidation::Ignore).unwrap().value
}

/// `json!` as a tree.
pub(crate) fn tree(json: serde_json::Value) -> Value {
    value(&json.to_string().into())
}

/// A cluster administrator.
pub(crate) fn admin() -> UserInfo {
    user("kubernetes-admin", &["system:masters", "system:authenticated"])
}

/// A user.
pub(crate) fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect(), ..UserInfo::default() }
}

/// What a request for a resource means.
pub(crate) fn request(method: &Method, path: &str) -> RequestInfo {
    RequestInfo::parse(method, path, &Query::default())
}
