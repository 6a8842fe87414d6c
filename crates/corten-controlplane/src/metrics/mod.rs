//! `/metrics`: what this server has answered, how long that took, what is stored and what the process uses.
//!
//! Flow: `Server::handle` -> `requests` counts; a read of `/metrics` writes all of it down.
//! Invariant: labels come from the routes, never from what a client wrote, and go with the resources that they name: nobody
//! can make the list grow.
//! Upstream: k8s.io/apiserver/pkg/endpoints/metrics, k8s.io/component-base/metrics (v1.35).

mod allocators;
mod process;
mod requests;
mod slis;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Response, Server,
    endpoints::{NonResource, RoutesBuilder},
    registry::Store,
    server::Observer,
};
use corten_base::blocking;
use corten_storage::{
    cacher::PastMemory,
    kv::{self, KvEngine},
};
use http::{Method, StatusCode};

use crate::{allocators::ServiceHooks, version::GIT_VERSION};
use requests::Requests;
pub(crate) use slis::{Slis, install as install_slis};
use text::Page;

/// The media type of metrics as text.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug)]
struct Metrics {
    requests: Arc<Requests>,
    engine: Arc<dyn KvEngine>,
    services: ServiceHooks,
    past: Arc<PastMemory>,
}

/// Serves the metrics, and gives what must see every request.
pub(crate) fn install(
    routes: &mut RoutesBuilder,
    engine: &Arc<dyn KvEngine>,
    services: &ServiceHooks,
    past: &Arc<PastMemory>,
) -> Arc<dyn Observer> {
    let requests = Arc::new(Requests::default());
    let metrics = Metrics {
        requests: Arc::clone(&requests),
        engine: Arc::clone(engine),
        services: services.clone(),
        past: Arc::clone(past),
    };
    routes.path("/metrics", Arc::new(metrics));
    requests
}

#[async_trait]
impl NonResource for Metrics {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        // Every other method reads. Upstream: `HandlerWithReset` in k8s.io/component-base/metrics/http.go (v1.35).
        if request.method == Method::DELETE {
            self.requests.reset();
            return Ok(Reply::text(StatusCode::OK, "metrics reset\n"));
        }
        let mut page = Page::default();
        self.requests.write(&server.routes(), &mut page);
        objects(&server.routes().stores(), &mut page);
        page.family(
            "corten_recent_events_bytes",
            "gauge",
            "What the recent events of all watch caches keep in memory, of which there is a bound. Not one of upstream's.",
        );
        page.line("", &[], text::float(self.past.events_bytes()));
        page.family(
            "corten_kept_states_bytes",
            "gauge",
            "What states that are kept for lists read page by page keep in memory, of which there is a bound. Not one of upstream's.",
        );
        page.line("", &[], text::float(self.past.states_bytes()));
        allocators::write(&self.services.counts(), &mut page);
        // A store that cannot say is left out, as upstream leaves it out.
        if let Ok(status) = self.engine.status().await {
            store(&status, &mut page);
        }
        page.family(
            "kubernetes_build_info",
            "gauge",
            "[ALPHA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree \
             state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is \
             running.",
        );
        page.line("", &[("git_version", GIT_VERSION), ("major", "1"), ("minor", "35")], 1.0);
        let process = blocking::run(server.tasks(), "process metrics", process::read).await;
        // Without them the others are as good.
        process.iter().for_each(|figures| process::write(figures, &mut page));
        let body = page.text().into();
        Ok(Reply::new(Response::Raw { code: StatusCode::OK, content_type: MEDIA_TYPE, body }))
    }
}

/// The store itself.
fn store(status: &kv::Status, page: &mut Page) {
    page.family(
        "apiserver_storage_size_bytes",
        "gauge",
        "[STABLE] Size of the storage database file physically allocated in bytes.",
    );
    page.line("", &[("storage_cluster_id", "etcd-0")], text::float(status.size_bytes));
    page.family(
        "corten_storage_full",
        "gauge",
        "Whether the last value that was to be written found no room on the store's disk. Not one of upstream's.",
    );
    page.line("", &[], f64::from(u8::from(status.is_full)));
}

/// What is stored, by resource, custom ones too.
fn objects(stores: &[Arc<Store>], page: &mut Page) {
    let counts: Vec<(&str, &str, f64)> = stores
        .iter()
        .map(|store| {
            let resource = store.resource();
            (resource.group.as_str(), resource.plural.as_str(), text::float(store.cacher().any().len() as u64))
        })
        .collect();
    page.family(
        "apiserver_resource_objects",
        "gauge",
        "[ALPHA] Number of stored objects at the time of last check split by kind. In case of a fetching error, the \
         value will be -1.",
    );
    for (group, resource, count) in &counts {
        page.line("", &[("group", group), ("resource", resource)], *count);
    }
    page.family(
        "apiserver_storage_objects",
        "gauge",
        "[STABLE] Number of stored objects at the time of last check split by kind. In case of a fetching error, \
         the value will be -1.",
    );
    for (group, resource, count) in &counts {
        let name = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
        page.line("", &[("resource", &name)], *count);
    }
    page.family(
        "corten_corrupt_objects",
        "gauge",
        "Number of stored objects that cannot be decoded, split by kind: nobody can list or watch these kinds. Not one of upstream's.",
    );
    for store in stores {
        let (resource, corrupt) = (store.resource(), store.cacher().any().corrupt("", "").count());
        page.line("", &[("group", &*resource.group), ("resource", &*resource.plural)], text::float(corrupt as u64));
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::testing::{Cluster, admin};

    #[tokio::test]
    async fn requests_are_counted_under_upstreams_names() {
        let cluster = Cluster::start().await;
        cluster.post(admin(), "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.unwrap();
        cluster.get(admin(), "/api/v1/namespaces/n").await.unwrap();
        cluster.get(admin(), "/api/v1/namespaces/none").await.unwrap_err();
        cluster.warnings(admin(), "/api/v1/namespaces/n/made-up-by-the-client").await;
        let metrics = cluster.get(admin(), "/metrics").await.unwrap();
        let text = metrics.as_str().unwrap();
        let request = |verb: &str, code: &str| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",group=\"\",\
                 resource=\"namespaces\",scope=\"resource\",subresource=\"\",verb=\"{verb}\",version=\"v1\"}} "
            )
        };
        for start in [
            &*request("GET", "200"),
            &*request("GET", "404"),
            &*request("POST", "201"),
            "# TYPE apiserver_request_duration_seconds histogram",
            "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1",
            "apiserver_storage_objects{resource=\"namespaces\"} ",
            "apiserver_storage_size_bytes{storage_cluster_id=\"etcd-0\"} ",
            "corten_storage_full 0",
            "corten_recent_events_bytes ",
            "corten_kept_states_bytes ",
            "process_start_time_seconds ",
        ] {
            assert!(text.lines().any(|line| line.starts_with(start)), "{start} is not in\n{text}");
        }
        assert!(!text.contains("made-up"), "labels are not the client's to choose");
        cluster.stop().await;
    }

    /// It was 405, as were all methods but reads.
    #[tokio::test]
    async fn counts_begin_anew_when_they_are_deleted() {
        let cluster = Cluster::start().await;
        let counted = async |method: Method| {
            let page = cluster.ask(method, "/metrics", admin()).await.unwrap();
            page.as_str().unwrap().contains("resource=\"namespaces\"")
        };
        cluster.get(admin(), "/api/v1/namespaces").await.unwrap();
        assert!(counted(Method::GET).await);
        assert!(counted(Method::POST).await, "it is read by every method");
        let reset = cluster.ask(Method::DELETE, "/metrics", admin()).await.unwrap();
        assert_eq!(reset.as_str(), Some("metrics reset\n"));
        let page = cluster.get(admin(), "/metrics").await.unwrap();
        let left: Vec<_> =
            page.as_str().unwrap().lines().filter(|line| line.contains("resource=\"namespaces\"")).collect();
        // What there is now is no count of what has been.
        let is_state = |line: &&str| line.contains("_objects{");
        assert!(!left.is_empty() && left.iter().all(is_state), "{left:?}");
        cluster.stop().await;
    }
}
