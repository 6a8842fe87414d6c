//! What the proxy tells those who ask over HTTP: its own health, its figures, and whether this node has endpoints of a
//! service, for load balancers in front of nodes (`healthCheckNodePort`).
//!
//! Flow: `Status` (what the sync task last did) -> `answer` (pure) -> one small server per address. Servers of services come
//! and go with the ruleset.
//! Not here: `nodeEligible` is always true, because the proxy does not watch its node.
//!
//! Upstream: pkg/proxy/healthcheck, cmd/kube-proxy/app/server.go (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use corten_base::{SharedClock, Shutdown, ShutdownTrigger, TaskSet};
use corten_component_base::serving::PlainServer;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{self, HeaderName},
};
use tokio::sync::oneshot;

use crate::{
    metrics::{Snapshot, Timing},
    names::ObjectName,
    proxy::{Config, Health, Status},
};

/// Tells load balancers in front how many endpoints stand behind this node.
const ENDPOINT_WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");
/// What is served at an address.
#[derive(Clone, Debug)]
enum Site {
    /// `--healthz-bind-address`.
    Health,
    /// `--metrics-bind-address`.
    Metrics,
    /// The `healthCheckNodePort` of a service.
    Service(ObjectName),
}

/// An answer, before it is one of HTTP.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    /// Of `ENDPOINT_WEIGHT`.
    weight: Option<usize>,
    body: String,
}

/// The server of a service.
struct Opened {
    stop: ShutdownTrigger,
    /// Answered, with an error, once nobody has the socket any more.
    ended: oneshot::Receiver<()>,
}

/// The servers. See the module. Clones are the same servers.
#[derive(Clone, Debug)]
pub struct HealthServers {
    healthz: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    mode: &'static str,
    status: Status,
    clock: SharedClock,
    tasks: TaskSet,
}

impl HealthServers {
    /// Servers for the proxy whose `status` this is; `mode` is the name of its backend.
    #[must_use]
    pub fn new(config: &Config, mode: &'static str, status: Status, clock: SharedClock) -> Self {
        let tasks = TaskSet::new("proxy-health");
        Self { healthz: config.healthz, metrics: config.metrics, mode, status, clock, tasks }
    }

    /// Serves until shutdown is requested, and returns when all connections have ended.
    pub async fn run(self, shutdown: Shutdown) {
        for (address, site) in [(self.healthz, Site::Health), (self.metrics, Site::Metrics)] {
            if let Some(address) = address {
                self.tasks.spawn("listen", self.clone().listen(address, site, shutdown.clone()));
            }
        }
        self.tasks.spawn("services", self.clone().follow_services(shutdown));
        if let Err(panic) = self.tasks.guard(self.tasks.join()).await {
            tracing::error!(err = %panic, "A health server of the proxy panicked");
        }
    }

    /// Opens and closes the servers of services.
    async fn follow_services(self, shutdown: Shutdown) {
        let mut checks = self.status.watch_health_checks();
        let mut open: BTreeMap<(ObjectName, u16), Opened> = BTreeMap::new();
        loop {
            let wanted: BTreeSet<(ObjectName, u16)> =
                checks.borrow_and_update().iter().map(|(name, check)| (name.clone(), check.node_port)).collect();
            // First those that go, to the end: a port may pass to another service.
            let gone: Vec<_> = open.extract_if(.., |key, _| !wanted.contains(key)).collect();
            gone.iter().for_each(|(_, server)| server.stop.request());
            for (_, server) in gone {
                // Nothing is ever sent.
                let _ = server.ended.await;
            }
            for key in wanted {
                if open.contains_key(&key) {
                    continue;
                }
                let (stop, stopping) = Shutdown::new();
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, key.1));
                let (alive, ended) = oneshot::channel();
                let listening = self.clone().listen(address, Site::Service(key.0.clone()), stopping);
                self.tasks.spawn("listen", async move {
                    listening.await;
                    drop::<oneshot::Sender<()>>(alive);
                });
                open.insert(key, Opened { stop, ended });
            }
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                changed = checks.changed() => if changed.is_err() { break },
            }
        }
        open.values().for_each(|server| server.stop.request());
    }

    async fn listen(self, address: SocketAddr, site: Site, stop: Shutdown) {
        let server =
            PlainServer { of: "kube-proxy", clock: SharedClock::clone(&self.clock), tasks: self.tasks.clone(), stop };
        server.run(address, move |request| self.answer(&site, request.uri().path()).into_response()).await;
    }

    fn answer(&self, site: &Site, path: &str) -> Answer {
        let health = self.status.health(&*self.clock);
        match (site, path) {
            (Site::Health, "/healthz") => of_proxy(&health, ", \"nodeEligible\": true"),
            (Site::Health, "/livez") => of_proxy(&health, ""),
            (Site::Metrics, "/healthz" | "/livez") => text(StatusCode::OK, "ok".to_owned()),
            (Site::Metrics, "/proxyMode") => text(StatusCode::OK, self.mode.to_owned()),
            (Site::Metrics, "/metrics") => Answer {
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                ..text(StatusCode::OK, figures(&self.status.metrics()))
            },
            (Site::Service(name), _) => {
                let checks = self.status.watch_health_checks();
                let local = checks.borrow().iter().find(|(of, _)| of == name).map_or(0, |(_, it)| it.local_endpoints);
                of_service(name, local, health.is_healthy)
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        }
    }
}

impl Answer {
    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .body(Full::new(Bytes::from(self.body)))
            .expect("the parts are valid");
        if let Some(weight) = self.weight {
            response.headers_mut().insert(ENDPOINT_WEIGHT, weight.into());
        }
        response
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", weight: None, body }
}

fn json(is_well: bool, body: String) -> Answer {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer { status, content_type: "application/json", weight: None, body }
}

/// The words of Go for times, which is what upstream prints.
fn of_proxy(health: &Health, more: &str) -> Answer {
    let shown = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string();
    // While all is well this is the moment of the question, as upstream.
    let updated = if health.is_healthy { Some(health.now) } else { health.last_updated };
    let updated = updated.map_or_else(|| "0001-01-01 00:00:00 +0000 UTC".to_owned(), shown);
    let now = shown(health.now);
    json(health.is_healthy, format!("{{\"lastUpdated\": \"{updated}\",\"currentTime\": \"{now}\"{more}}}"))
}

fn of_service(name: &ObjectName, local_endpoints: usize, is_healthy: bool) -> Answer {
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n\t\"localEndpoints\": {local_endpoints},\
         \n\t\"serviceProxyHealthy\": {is_healthy}\n}}",
        name.namespace, name.name
    );
    Answer { weight: Some(local_endpoints), ..json(local_endpoints > 0 && is_healthy, body) }
}

/// The counters as Prometheus reads them.
fn figures(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let timing = |out: &mut String, name: &str, timing: &Timing| {
        let (count, sum) = (timing.count, timing.sum.as_secs_f64());
        let _ = writeln!(
            out,
            "# TYPE kubeproxy_{name} summary\nkubeproxy_{name}_sum {sum}\nkubeproxy_{name}_count {count}"
        );
    };
    timing(&mut out, "sync_proxy_rules_duration_seconds", &snapshot.sync_proxy_rules);
    timing(&mut out, "sync_full_proxy_rules_duration_seconds", &snapshot.sync_full_proxy_rules);
    timing(&mut out, "sync_partial_proxy_rules_duration_seconds", &snapshot.sync_partial_proxy_rules);
    for (name, kind, value) in [
        ("sync_proxy_rules_nftables_sync_failures_total", "counter", snapshot.sync_failures_total),
        ("sync_proxy_rules_service_changes_total", "counter", snapshot.service_changes_total),
        ("sync_proxy_rules_endpoint_changes_total", "counter", snapshot.endpoint_changes_total),
        (
            "sync_proxy_rules_last_timestamp_seconds",
            "gauge",
            snapshot.last_sync_unix_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default(),
        ),
    ] {
        let _ = writeln!(out, "# TYPE kubeproxy_{name} {kind}\nkubeproxy_{name} {value}");
    }
    out
}

#[cfg(test)]
mod tests;
