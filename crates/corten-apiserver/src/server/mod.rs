//! The server: what all requests share, and the ways in.

mod encode;
mod http;
mod in_process;
mod listener;
mod tls;

use std::sync::Arc;

use corten_apimachinery::{resource::UserInfo, type_table::TypeTable};
use corten_base::{SharedClock, SharedRng};
use corten_client::Transport;
use parking_lot::RwLock;

pub use listener::Listener;
pub use tls::{BadCertificate, ServerCertificate, server_config};

use crate::{
    authentication::Authenticator, authorization::Authorizer, endpoints::Routes, filters, request::Request,
    response::Reply,
};

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The type table of everything that is served.
    pub table: &'static TypeTable,
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
}

/// An API server.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    routes: RwLock<Arc<Routes>>,
    in_flight: filters::InFlight,
}

impl Server {
    /// A server that answers nothing yet: `set_routes` gives it its resources.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let in_flight = filters::InFlight::new(&parts.limits);
        Arc::new(Self { parts, routes: RwLock::default(), in_flight })
    }

    /// Replaces what is served.
    pub fn set_routes(&self, routes: Routes) {
        *self.routes.write() = Arc::new(routes);
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

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.parts.clock
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

    /// Takes a request through the chain.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Reply {
        filters::chain::handle(self, request).await
    }

    /// A way in for a component of this process, as `user`.
    #[must_use]
    pub fn in_process(self: &Arc<Self>, user: UserInfo) -> Arc<dyn Transport> {
        Arc::new(in_process::InProcess::new(Arc::clone(self), user))
    }
}
