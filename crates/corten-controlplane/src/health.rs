//! `/healthz`, `/livez`, `/readyz`: whether the server works, and with `?verbose` what of it.
//!
//! Upstream: k8s.io/apiserver/pkg/server/healthz (v1.35).

use std::{fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{NonResource, RoutesBuilder},
    registry::Store,
};
use http::StatusCode;

use crate::bootstrap::Progress;

/// One health path.
#[derive(Debug)]
struct Health {
    name: &'static str,
    /// What has to be in sync; empty for liveness.
    stores: Vec<Arc<Store>>,
    /// What is made at start, where it counts.
    bootstrap: Option<Progress>,
}

pub(crate) fn install(routes: &mut RoutesBuilder, stores: &[Arc<Store>], bootstrap: &Progress) {
    for (name, stores) in [("healthz", stores), ("livez", &[]), ("readyz", stores)] {
        let bootstrap = (name != "livez").then(|| bootstrap.clone());
        let health = Arc::new(Health { name, stores: stores.to_vec(), bootstrap });
        routes.path(&format!("/{name}"), Arc::clone(&health) as _);
        routes.prefix(&format!("/{name}/"), health);
    }
}

impl Health {
    fn checks(&self) -> Vec<(&'static str, bool)> {
        let mut checks = vec![("ping", true), ("log", true)];
        if !self.stores.is_empty() {
            checks.push(("informer-sync", self.stores.iter().all(|store| store.cacher().is_ready())));
        }
        if let Some(bootstrap) = &self.bootstrap {
            checks.push(("poststarthook/rbac/bootstrap-roles", bootstrap.is_complete()));
        }
        checks
    }
}

#[async_trait]
impl NonResource for Health {
    async fn handle(&self, _server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let wanted = request.info.path.trim_matches('/').split_once('/').map(|(_, check)| check.to_owned());
        let excluded: Vec<&str> = request.query.all("exclude").collect();
        let mut checks = self.checks();
        checks.retain(|(name, _)| !excluded.contains(name) && wanted.as_deref().is_none_or(|wanted| wanted == *name));
        if wanted.is_some() && checks.is_empty() {
            return Ok(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        let failed = checks.iter().any(|(_, ok)| !ok);
        let mut lines = String::new();
        for (name, ok) in &checks {
            let _ = if *ok {
                writeln!(lines, "[+]{name} ok")
            } else {
                writeln!(lines, "[-]{name} failed: reason withheld")
            };
        }
        Ok(match (failed, request.query.find("verbose").is_some()) {
            (true, _) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{} check failed\n", self.name)),
            (false, true) => Reply::text(StatusCode::OK, format!("{lines}{} check passed\n", self.name)),
            (false, false) => Reply::text(StatusCode::OK, "ok"),
        })
    }
}
