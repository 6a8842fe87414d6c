//! The server: what all requests share, and the ways in.

mod compressed;
mod encode;
mod http;
mod in_process;
mod malformed;
mod pieces;
mod response_body;
mod wants;
mod watch_socket;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::StatusCode;
use corten_apimachinery::{Features, resource::UserInfo, type_table::TypeTable};
use corten_base::{Clock, SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::Transport;
use corten_component_base::serving::{Connection, Limits, TlsListener};
use hyper::service::service_fn;
use parking_lot::RwLock;

pub(crate) use encode::{json as encode_json, tree as encode_tree};
pub(crate) use wants::{expect_document, expect_form};

use crate::{
    authentication::{Authenticator, ClientCertificates},
    authorization::Authorizer,
    endpoints::Routes,
    filters,
    large::Large,
    negotiation::Encodings,
    request::Request,
    response::Reply,
};

/// Connections: beyond what a large cluster needs, within what the process may have of descriptors. Requests on an HTTP/2
/// connection: upstream's `--http2-max-streams-per-connection`.
const LIMITS: Limits =
    Limits { name: "apiserver", connections: 65_536, streams_per_connection: 1_000, drain: Duration::from_secs(5) };

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The type table of everything that is served.
    pub table: &'static TypeTable,
    /// Which feature gates are on.
    pub features: Arc<Features>,
    /// The time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
    /// Who asks.
    pub authenticator: Arc<dyn Authenticator>,
    /// Whether they may.
    pub authorizer: Arc<dyn Authorizer>,
    /// Limits of the chain.
    pub limits: filters::Limits,
    /// Where large requests run. The caller awaits it when the server has ended.
    pub tasks: TaskSet,
}

/// Sees every request come and go: for metrics.
pub trait Observer: std::fmt::Debug + Send + Sync + 'static {
    /// A request came. What this gives is handed to `ended`.
    fn began(&self, routes: &Routes, request: &Request) -> usize;

    /// The answer is made, or the client has gone before (`None`).
    fn ended(&self, token: usize, code: Option<StatusCode>, took: Duration);
}

/// An API server.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    observer: OnceLock<Arc<dyn Observer>>,
    routes: RwLock<Arc<Routes>>,
    expects_routes: AtomicBool,
    in_flight: filters::InFlight,
    bodies: filters::Bodies,
    large: Large,
    encodings: Encodings,
}

impl Server {
    /// A server that answers nothing yet: `set_routes` gives it its resources. Called on the runtime that it will serve on,
    /// whose threads it counts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let in_flight = filters::InFlight::new(&parts.limits);
        let large = Large::new(parts.tasks.clone());
        let encodings = Encodings::of(&parts.features);
        Arc::new(Self {
            parts,
            observer: OnceLock::new(),
            routes: RwLock::default(),
            expects_routes: AtomicBool::new(false),
            in_flight,
            bodies: filters::Bodies::default(),
            large,
            encodings,
        })
    }

    /// Replaces what is served.
    pub fn set_routes(&self, routes: Routes) {
        *self.routes.write() = Arc::new(routes);
    }

    /// Says whether more will be served soon. Until all is, nobody is told that a path does not exist: who asks for an object of
    /// a kind that is still to be read would take it for deleted.
    pub fn expect_routes(&self, more: bool) {
        self.expects_routes.store(more, Ordering::Release);
    }

    /// Whether all is served that was there when the server started.
    #[must_use]
    pub fn has_all_routes(&self) -> bool {
        !self.expects_routes.load(Ordering::Acquire)
    }

    /// What is served.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read())
    }

    /// The type table.
    #[must_use]
    pub fn table(&self) -> &'static TypeTable {
        self.parts.table
    }

    /// Which feature gates are on.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.parts.features
    }

    /// The encodings that are served.
    #[must_use]
    pub fn encodings(&self) -> Encodings {
        self.encodings
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.parts.clock
    }

    /// Where work runs that would hold up others on a thread of the runtime.
    #[must_use]
    pub fn tasks(&self) -> &TaskSet {
        &self.parts.tasks
    }

    /// Randomness.
    #[must_use]
    pub fn rng(&self) -> &SharedRng {
        &self.parts.rng
    }

    /// Who asks.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<dyn Authenticator> {
        &self.parts.authenticator
    }

    /// Whether they may.
    #[must_use]
    pub fn authorizer(&self) -> &Arc<dyn Authorizer> {
        &self.parts.authorizer
    }

    pub(crate) fn in_flight(&self) -> &filters::InFlight {
        &self.in_flight
    }

    pub(crate) fn bodies(&self) -> &filters::Bodies {
        &self.bodies
    }

    pub(crate) fn large(&self) -> &Large {
        &self.large
    }

    /// Lets `observer` see every request. Done once, before the first request.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let set = self.observer.set(observer);
        assert!(set.is_ok(), "one observer sees all");
    }

    /// Takes a request through the chain. In a box, since what waits for it in each link has room for it.
    pub async fn handle(self: &Arc<Self>, request: Box<Request>) -> Reply {
        let Some(observer) = self.observer.get() else {
            return filters::chain::handle(self, request).await;
        };
        let token = observer.began(&self.routes(), &request);
        let clock = &**self.clock();
        let mut observed = Observed { observer: &**observer, token, code: None, clock, began: clock.monotonic() };
        let reply = filters::chain::handle(self, request).await;
        observed.code = Some(reply.response.code());
        reply
    }

    /// Serves on `listener` until shutdown, then lets running requests finish for a few seconds.
    pub async fn serve(self: Arc<Self>, listener: TlsListener, shutdown: Shutdown) {
        let (clock, tasks) = (Arc::clone(self.clock()), TaskSet::new("apiserver-connections"));
        let streams = watch_socket::Streams { tasks: tasks.clone(), shutdown: shutdown.clone() };
        let serve = move |connection: Connection| {
            let server = Arc::clone(&self);
            let client = http::Client {
                peer: connection.peer,
                certificates: Arc::new(ClientCertificates::new(connection.certificates)),
                place: connection.place,
            };
            let streams = streams.clone();
            // HTTP moves what makes the answer from hand to hand.
            service_fn(move |request| {
                Box::pin(http::serve(Arc::clone(&server), client.clone(), streams.clone(), request))
            })
        };
        listener.run(LIMITS, clock, tasks, shutdown, serve).await;
    }

    /// A way in for a component of this process, as `user`.
    #[must_use]
    pub fn in_process(self: &Arc<Self>, user: UserInfo) -> Arc<dyn Transport> {
        Arc::new(in_process::InProcess::new(Arc::clone(self), user))
    }
}

/// A request under observation; that of a client who goes away is dropped half way.
struct Observed<'a> {
    observer: &'a dyn Observer,
    token: usize,
    code: Option<StatusCode>,
    clock: &'a dyn Clock,
    began: Duration,
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        self.observer.ended(self.token, self.code, self.clock.monotonic().saturating_sub(self.began));
    }
}
