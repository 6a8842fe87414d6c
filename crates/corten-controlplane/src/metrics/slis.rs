//! `/metrics/slis`: what the health checks have said, for service level indicators.
//!
//! Upstream: k8s.io/component-base/metrics/prometheus/slis (v1.35): a check counts when it is asked for.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Response, Server,
    endpoints::{NonResource, RoutesBuilder},
};
use http::StatusCode;
use parking_lot::Mutex;

use super::{
    MEDIA_TYPE,
    text::{Page, float},
};

/// What the health checks have said so far, by name and by the path that asked: both are of a fixed list.
#[derive(Debug, Default)]
pub(crate) struct Slis(Mutex<BTreeMap<(&'static str, &'static str), Seen>>);

/// What one check has said so far.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_well: bool,
    well: u64,
    unwell: u64,
}

impl Slis {
    /// Counts a result.
    pub(crate) fn note(&self, check: &'static str, path: &'static str, is_well: bool) {
        let mut all = self.0.lock();
        let seen = all.entry((check, path)).or_default();
        seen.is_well = is_well;
        *(if is_well { &mut seen.well } else { &mut seen.unwell }) += 1;
    }

    fn page(&self) -> String {
        let all = self.0.lock().clone();
        let mut page = Page::default();
        page.family(
            "kubernetes_healthcheck",
            "gauge",
            "[STABLE] This metric records the result of a single healthcheck.",
        );
        for ((check, path), seen) in &all {
            page.line("", &[("name", check), ("type", path)], float(seen.is_well.into()));
        }
        page.family(
            "kubernetes_healthchecks_total",
            "counter",
            "[STABLE] This metric records the results of all healthcheck.",
        );
        for ((check, path), seen) in &all {
            for (status, count) in [("error", seen.unwell), ("success", seen.well)] {
                if count > 0 {
                    page.line("", &[("name", check), ("status", status), ("type", path)], float(count));
                }
            }
        }
        page.text()
    }
}

#[derive(Debug)]
struct Indicators(Arc<Slis>);

/// Serves what `slis` has noted.
pub(crate) fn install(routes: &mut RoutesBuilder, slis: &Arc<Slis>) {
    routes.path("/metrics/slis", Arc::new(Indicators(Arc::clone(slis))));
}

#[async_trait]
impl NonResource for Indicators {
    async fn handle(&self, _server: &Arc<Server>, _request: Request) -> Result<Reply, Status> {
        let body = self.0.page().into();
        Ok(Reply::new(Response::Raw { code: StatusCode::OK, content_type: MEDIA_TYPE, body }))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Cluster, admin};

    #[tokio::test]
    async fn health_checks_are_counted_when_they_are_asked_for() {
        let cluster = Cluster::start().await;
        for _ in 0..2 {
            cluster.get(admin(), "/livez").await.unwrap();
        }
        let page = cluster.get(admin(), "/metrics/slis").await.unwrap();
        let text = page.as_str().unwrap();
        for line in [
            "kubernetes_healthcheck{name=\"etcd\",type=\"livez\"} 1",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"success\",type=\"livez\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("readyz"), "{text}");
        cluster.stop().await;
    }
}
